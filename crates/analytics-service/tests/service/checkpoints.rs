//! Topic `ledger_checkpoints`: each record is right by itself.

use crate::app::{self, App, eventually};
use crate::events::bid;
use crate::shared_log::{PARTITIONS, SharedLog};
use analytics_service::{Ports, wiring};
use domain::event::{LedgerCheckpoint, SpendEvent, SpentTotals};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use storage::ReportStore;
use storage::event_log::Topic;
use storage_sqlite::SqliteStore;

fn replica(store: &Arc<SqliteStore>, log: &Arc<SharedLog>) -> App {
    let ports = Ports {
        events: log.clone(),
        ..wiring::embedded(store.clone())
    };
    App::with(store.clone(), ports)
}

fn spent(id: u128) -> (u128, SpendEvent) {
    let campaign = format!("cmp_{}", id % 3);
    let mut event = bid(id, "adv_1", &campaign, "2026-11-23T10:00:00Z").spend(1 << (id % 40));
    if id.is_multiple_of(5) {
        event.day = "2026-11-22".to_owned();
        (event.day_start_ms, event.day_end_ms) = (event.day_start_ms - 86_400_000, event.day_start_ms);
    }
    if id.is_multiple_of(7) {
        // Long over: in the lifetime alone.
        event.day = "2026-11-01".to_owned();
        (event.day_start_ms, event.day_end_ms) = (1_793_491_200_000, 1_793_577_600_000);
    }
    event.over_delivery_nanos = i64::try_from(id % 4).unwrap();
    (id, event)
}

fn checkpoints(log: &SharedLog) -> Vec<LedgerCheckpoint> {
    let values = log.values(Topic::LedgerCheckpoints, 0);
    values
        .iter()
        .map(|value| serde_json::from_slice(value).unwrap())
        .collect()
}

/// The events of the checkpoint's campaign below its offsets, each once: by date, and all of them under ''.
fn summed(log: &SharedLog, of: &LedgerCheckpoint) -> BTreeMap<String, SpentTotals> {
    let mut seen = BTreeSet::new();
    let mut sums: BTreeMap<String, SpentTotals> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let next_offset = of.offsets.get(&partition).copied().unwrap_or(0);
        let below = log.values(Topic::Spend, partition);
        for value in below.iter().take(usize::try_from(next_offset).unwrap()) {
            let event: SpendEvent = serde_json::from_slice(value).unwrap();
            if event.campaign_id != of.campaign_id || !seen.insert(event.event_id.clone()) {
                continue;
            }
            for date in [event.day.as_str(), ""] {
                let sum = sums.entry(date.to_owned()).or_default();
                sum.spent_nanos += event.charge_nanos;
                sum.over_delivery_nanos += event.over_delivery_nanos;
                sum.settled_bids += 1;
            }
        }
    }
    sums
}

fn assert_right(log: &SharedLog, of: &LedgerCheckpoint) {
    let mut expected = summed(log, of);
    expected.remove("2026-11-01");
    let mut told: BTreeMap<String, SpentTotals> = of
        .days
        .iter()
        .map(|day| (day.day.date.clone(), day.totals))
        .collect();
    told.insert(String::new(), of.lifetime);
    assert_eq!(told, expected, "{of:?}");
    assert!(of.days.is_sorted_by_key(|day| day.day.start_ms));
    assert_eq!(of.advertiser_id.as_str(), "adv_1");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_checkpoint_is_the_sum_of_the_events_below_its_offsets() {
    let (store, log) = (app::store().await, SharedLog::new());
    for round in 0..8_u128 {
        // Two at once: both may publish for a moment. Every event comes twice.
        let (one, two) = (replica(&store, &log), replica(&store, &log));
        for start in [0, 20, 40, 30, 10, 0_u128] {
            let events: Vec<_> = (round * 60 + start..round * 60 + start + 20).map(spent).collect();
            log.append_of_bids(Topic::Spend, &events);
            tokio::task::yield_now().await;
        }
        let (of, ends): (Vec<_>, Vec<i64>) = log.ends(Topic::Spend).into_iter().unzip();
        eventually("applied", || async { store.offsets(&of).await.unwrap() == ends }).await;
        one.stop().await;
        two.stop().await;
    }
    let last = replica(&store, &log);
    let ends: BTreeMap<u32, i64> = log
        .ends(Topic::Spend)
        .into_iter()
        .map(|((_, partition), end)| (partition, end))
        .collect();
    eventually("all are published with all events", || async {
        let complete = checkpoints(&log).into_iter().filter(|of| of.offsets == ends);
        complete.map(|of| of.campaign_id).collect::<BTreeSet<_>>().len() == 3
    })
    .await;
    for of in &checkpoints(&log) {
        assert_right(&log, of);
    }
    let settled: i64 = ["cmp_0", "cmp_1", "cmp_2"]
        .map(|id| {
            let all = checkpoints(&log);
            all.iter()
                .rfind(|of| of.campaign_id.as_str() == id)
                .unwrap()
                .lifetime
                .settled_bids
        })
        .iter()
        .sum();
    assert_eq!(settled, 480);
    last.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_published_within_seconds_and_nothing_else() {
    let (store, log) = (app::store().await, SharedLog::new());
    let app = replica(&store, &log);
    log.append_of_bids(Topic::Spend, &[spent(1), spent(2)]);
    eventually("both campaigns are told", || async {
        checkpoints(&log).len() == 2
    })
    .await;
    log.append_of_bids(Topic::Spend, &[spent(4)]);
    eventually("the one that changed is told", || async {
        checkpoints(&log).len() >= 3
    })
    .await;
    let told = checkpoints(&log);
    assert_eq!(told.len(), 3);
    assert_eq!(told[2].campaign_id.as_str(), "cmp_1");
    assert_right(&log, &told[2]);
    app.stop().await;
}
