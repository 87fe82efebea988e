use crate::app::{NOON_MS, TestApp, banner, campaign_of, memory_ports};
use crate::faults::AwayLedger;
use platform::Clock;
use serde_json::{Value, json};
use std::sync::Arc;
use storage::spend_ledger::{Billing, Reservation};

async fn status(app: &TestApp, id: &str) -> (String, Vec<String>) {
    let shown = app.admin().get(&format!("/campaigns/{id}")).await.ok();
    let reasons = shown["serving_reasons"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&shown["serving_status"]), reasons.iter().map(text).collect())
}

#[tokio::test]
async fn the_serving_status_names_every_reason_against() {
    let app = TestApp::start().await;
    let id = app.campaign().await;
    assert_eq!(
        status(&app, &id).await,
        (
            "no_approved_creative".to_owned(),
            vec!["no_approved_creative".to_owned()]
        )
    );
    let creative = app
        .admin()
        .post(&format!("/campaigns/{id}/creatives"), banner())
        .await
        .created();
    assert_eq!(status(&app, &id).await, ("serving".to_owned(), vec![]));
    let review = json!({"reviews": [{"exchange": "default", "status": "rejected"}]});
    app.admin()
        .patch(&format!("/creatives/{creative}"), review)
        .await
        .ok();
    let patch = json!({"status": "paused", "flight": {"start": "2026-11-24T00:00:00Z"}});
    let patched = app.admin().patch(&format!("/campaigns/{id}"), patch).await.ok();
    app.admin()
        .patch(
            &format!("/advertisers/{}", patched["advertiser_id"].as_str().unwrap()),
            json!({"status": "paused"}),
        )
        .await
        .ok();
    let reasons = [
        "paused",
        "advertiser_paused",
        "not_started",
        "no_approved_creative",
    ]
    .map(str::to_owned);
    assert_eq!(status(&app, &id).await, ("paused".to_owned(), reasons.to_vec()));
}

#[tokio::test]
async fn a_spent_budget_shows_without_a_new_version() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let mut body = campaign_of(&advertiser);
    // Two impressions at 2.00 CPM.
    body["budget"] = json!({"currency": "USD", "total_micros": 4_000});
    let id = app.admin().post("/campaigns", body).await.created();
    app.admin()
        .post(&format!("/campaigns/{id}/creatives"), banner())
        .await
        .created();
    spend(&app, &id, 2_000_001).await;
    assert_eq!(status(&app, &id).await.0, "budget_exhausted");
    let shown = app
        .admin()
        .header("if-none-match", "\"v1\"")
        .get(&format!("/campaigns/{id}"))
        .await;
    assert_eq!(shown.status, 304);
}

/// Leases and bills so many nanos of the campaign.
async fn spend(app: &TestApp, id: &str, nanos: i64) {
    let bundle = app.ports.campaigns.bundle(id).await.unwrap().unwrap();
    let now = jiff::Timestamp::from_millisecond(NOON_MS).unwrap();
    let day = domain::period::days(&bundle.campaign.spec.flight, now, 1).remove(0);
    let bidder = domain::id::BidderId("bdr_1".to_owned());
    let lease = storage::spend_ledger::LeaseRequest {
        advertiser_id: bundle.campaign.spec.advertiser_id.clone(),
        campaign_id: bundle.campaign.id.clone(),
        generation: bundle.generation,
        revision: bundle.revision,
        day: day.clone(),
        limits: domain::period::Limits::of(&bundle.campaign.spec.budget),
        wanted_nanos: nanos,
        bid_nanos: nanos,
        opportunities: 1,
        bids: 1,
        renewal: 0,
    };
    let group = app.ports.ledger.group_of(&lease.advertiser_id);
    app.ports
        .ledger
        .renew(group, &bidder, 10_000, &[lease])
        .await
        .unwrap();
    let reservation = Reservation {
        bid_id: domain::id::BidId(1),
        advertiser_id: bundle.campaign.spec.advertiser_id,
        campaign_id: bundle.campaign.id,
        day,
        bidder_id: bidder,
        reserved_nanos: nanos,
        billing_window_ms: 60_000,
    };
    let billing = Billing {
        reservation,
        charge_nanos: nanos,
        context: "{}".to_owned(),
    };
    app.ports.ledger.bill(&billing).await.unwrap();
}

#[tokio::test]
async fn without_the_ledger_the_status_is_unknown_and_the_rest_is_there() {
    let clock = Clock::manual(NOON_MS);
    let mut ports = memory_ports(&clock).await;
    ports.ledger = Arc::new(AwayLedger);
    let app = TestApp::over(ports, clock, &[]);
    let id = app.campaign().await;
    assert_eq!(
        status(&app, &id).await,
        ("unknown".to_owned(), vec!["no_approved_creative".to_owned()])
    );
    assert_eq!(
        app.admin().get("/campaigns").await.items()[0]["serving_status"],
        "unknown"
    );
}
