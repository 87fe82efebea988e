use crate::app::{NOON_MS, TestApp, banner, memory_ports, within};
use crate::faults::GatedLog;
use domain::serving::{ServingCampaign, ServingExchange};
use platform::Clock;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use storage::EventLog;
use storage::event_log::Topic;

const SECOND: Duration = Duration::from_secs(1);
/// For what makes no promise of time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The values of a key in the order of the topic.
async fn records(log: &dyn EventLog, topic: Topic, key: &str) -> Vec<Option<Vec<u8>>> {
    let mut found = Vec::new();
    for partition in 0..log.partitions(topic).await.unwrap() {
        let mut offset = 0;
        loop {
            let batch = log
                .read(topic, partition, offset, 100, Duration::ZERO)
                .await
                .unwrap();
            found.extend(
                batch
                    .records
                    .iter()
                    .filter(|record| record.key == key)
                    .map(|record| record.value.clone()),
            );
            // Records that were replaced while they were read leave an empty batch, with more behind it.
            if batch.next_offset == offset {
                break;
            }
            offset = batch.next_offset;
        }
    }
    found
}

pub(crate) async fn latest(app: &TestApp, id: &str) -> Option<ServingCampaign> {
    let last = records(&*app.ports.log, Topic::Campaigns, id).await.pop()??;
    Some(serde_json::from_slice(&last).unwrap())
}

async fn is_tombstone(app: &TestApp, topic: Topic, id: &str) -> bool {
    matches!(records(&*app.ports.log, topic, id).await.pop(), Some(None))
}

#[tokio::test]
async fn a_change_is_published_within_a_second_with_all_that_serving_needs() {
    let app = TestApp::start().await;
    let id = app.campaign().await;
    app.admin()
        .post(&format!("/campaigns/{id}/creatives"), banner())
        .await
        .created();
    within(SECOND, async || {
        latest(&app, &id)
            .await
            .is_some_and(|record| record.creatives.len() == 1)
    })
    .await;
    let record = latest(&app, &id).await.unwrap();
    assert_eq!(record.limits.daily_nanos, Some(50_000_000_000));
    assert_eq!(record.limits.total_nanos, Some(1_000_000_000_000));
    let dates: Vec<&str> = record.days.iter().map(|day| day.date.as_str()).collect();
    assert_eq!((dates.len(), dates[0], dates[7]), (8, "2026-11-23", "2026-11-30"));
    // A pause is news too: bidders must stop.
    app.admin()
        .patch(&format!("/campaigns/{id}"), json!({"status": "paused"}))
        .await
        .ok();
    let is_paused = async || {
        latest(&app, &id)
            .await
            .is_some_and(|record| record.campaign.spec.status == domain::campaign::CampaignStatus::Paused)
    };
    within(SECOND, is_paused).await;
    assert!(app.readiness.is_ready());
}

#[tokio::test]
async fn later_records_have_later_revisions_and_an_archived_campaign_is_a_tombstone() {
    let app = TestApp::start().await;
    let id = app.campaign().await;
    for name in ["one", "two", "three"] {
        app.admin()
            .patch(&format!("/campaigns/{id}"), json!({"name": name}))
            .await
            .ok();
        within(PATIENCE, async || {
            latest(&app, &id)
                .await
                .is_some_and(|record| record.campaign.spec.name == name)
        })
        .await;
    }
    let revisions: Vec<(i64, i64)> = records(&*app.ports.log, Topic::Campaigns, &id)
        .await
        .iter()
        .flatten()
        .map(|value| serde_json::from_slice::<ServingCampaign>(value).unwrap())
        .map(|record| (record.generation, record.revision))
        .collect();
    assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
    app.admin()
        .post(&format!("/campaigns/{id}/archive"), json!(null))
        .await
        .ok();
    within(PATIENCE, async || is_tombstone(&app, Topic::Campaigns, &id).await).await;
}

#[tokio::test]
async fn an_advertisers_change_reaches_its_campaigns() {
    let app = TestApp::start().await;
    let id = app.campaign().await;
    let shown = app.admin().get(&format!("/campaigns/{id}")).await.ok();
    let advertiser = format!("/advertisers/{}", shown["advertiser_id"].as_str().unwrap());
    app.admin()
        .patch(&advertiser, json!({"seats": {"default": "seat-7"}}))
        .await
        .ok();
    let has_seat = async || {
        latest(&app, &id)
            .await
            .is_some_and(|record| record.advertiser.seats.contains_key("default"))
    };
    within(PATIENCE, has_seat).await;
    app.admin()
        .post(&format!("{advertiser}/archive"), json!(null))
        .await
        .ok();
    within(PATIENCE, async || is_tombstone(&app, Topic::Campaigns, &id).await).await;
}

#[tokio::test]
async fn exchanges_are_published_the_default_one_from_the_start() {
    let app = TestApp::start().await;
    within(PATIENCE, async || {
        !records(&*app.ports.log, Topic::Exchanges, "default")
            .await
            .is_empty()
    })
    .await;
    app.admin()
        .post(
            "/exchanges",
            json!({"id": "partner", "name": "Partner", "seat": "s1"}),
        )
        .await
        .created();
    let is_published = async || {
        let last = records(&*app.ports.log, Topic::Exchanges, "partner")
            .await
            .pop()
            .flatten();
        last.is_some_and(|value| {
            let record: ServingExchange = serde_json::from_slice(&value).unwrap();
            record.exchange.spec.seat.as_deref() == Some("s1")
        })
    };
    within(PATIENCE, is_published).await;
    app.admin()
        .patch("/exchanges/partner", json!({"status": "archived"}))
        .await
        .ok();
    within(PATIENCE, async || {
        is_tombstone(&app, Topic::Exchanges, "partner").await
    })
    .await;
}

#[tokio::test]
async fn published_days_are_extended_as_time_goes_on() {
    let app = TestApp::start().await;
    let id = app.campaign().await;
    let begins = async |date: &str| {
        latest(&app, &id)
            .await
            .is_some_and(|record| record.days[0].date == date)
    };
    within(PATIENCE, async || begins("2026-11-23").await).await;
    app.clock.advance(86_400_000);
    within(PATIENCE, async || begins("2026-11-24").await).await;
}

#[tokio::test]
async fn a_relay_that_was_taken_over_cannot_leave_the_past_behind_the_present() {
    let clock = Clock::manual(NOON_MS);
    let ports = memory_ports(&clock).await;
    let gate = Arc::new(GatedLog::new(ports.log.clone()));
    let mut gated = ports.clone();
    gated.log = gate.clone();
    let stale = TestApp::over(gated, clock, &[]);
    within(PATIENCE, async || {
        stale.ports.campaigns.outgoing_backlog().await.unwrap().0 == 0
    })
    .await;
    gate.close();
    let id = stale.campaign().await;
    // It has composed the living campaign and now stands before the topic.
    within(PATIENCE, async || gate.is_waiting()).await;

    let fresh = TestApp::over(ports, Clock::manual(NOON_MS + 60_000), &[]);
    within(PATIENCE, async || latest(&fresh, &id).await.is_some()).await;
    fresh
        .admin()
        .post(&format!("/campaigns/{id}/archive"), json!(null))
        .await
        .ok();
    within(PATIENCE, async || {
        is_tombstone(&fresh, Topic::Campaigns, &id).await
    })
    .await;

    gate.open();
    within(PATIENCE, async || gate.passed() > 0).await;
    let is_settled = async || {
        let backlog = fresh.ports.campaigns.outgoing_backlog().await.unwrap().0;
        backlog == 0 && is_tombstone(&fresh, Topic::Campaigns, &id).await && gate.passed() > 0
    };
    within(PATIENCE, is_settled).await;
}

#[tokio::test]
async fn a_relay_that_stops_hands_over_before_its_claim_runs_out() {
    let clock = Clock::manual(NOON_MS);
    let ports = memory_ports(&clock).await;
    let first = TestApp::over(ports.clone(), clock.clone(), &[]);
    let id = first.campaign().await;
    within(PATIENCE, async || latest(&first, &id).await.is_some()).await;
    drop(first);
    // The clock stands still: the claim of the first has its whole time left.
    let second = TestApp::over(ports, clock, &[]);
    second
        .admin()
        .patch(&format!("/campaigns/{id}"), json!({"name": "second"}))
        .await
        .ok();
    let is_second = async || {
        let record = latest(&second, &id).await;
        record.is_some_and(|record| record.campaign.spec.name == "second")
    };
    within(PATIENCE, is_second).await;
}

#[tokio::test]
async fn what_waits_shows_in_the_metrics() {
    let clock = Clock::manual(NOON_MS);
    let mut ports = memory_ports(&clock).await;
    let gate = Arc::new(GatedLog::new(ports.log.clone()));
    ports.log = gate.clone();
    gate.refuse();
    let app = TestApp::over(ports, clock, &[]);
    app.campaign().await;
    app.clock.advance(3_000);
    let shows = async |line: &str| {
        app.metrics
            .encode()
            .unwrap()
            .lines()
            .any(|found| found.starts_with(line))
    };
    within(PATIENCE, async || {
        shows("outbox_lag_seconds 3").await
            || shows("outbox_lag_seconds").await && !shows("outbox_lag_seconds 0").await
    })
    .await;
    assert!(!shows("outbox_pending 0").await);
    gate.open();
    within(PATIENCE, async || {
        shows("outbox_pending 0").await && shows("outbox_lag_seconds 0").await
    })
    .await;
}
