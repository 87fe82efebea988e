//! A campaign's day, straight from the ledger.

use crate::app::{ADMIN_KEY, App, NOW_MS};
use axum::http::StatusCode;
use domain::api_key::{KeyRole, KeyStatus};
use domain::id::{BidId, BidderId};
use domain::period::{self, Limits};
use serde_json::json;
use storage::SpendLedger;
use storage::campaign_store::Kind;
use storage::spend_ledger::{Billing, LeaseRequest, Reservation};

const PATH: &str = "/analytics/campaigns/cmp_1/delivery";
const MICRO: i64 = 1_000;

async fn with_a_campaign() -> App {
    let app = App::start().await;
    let campaign = json!({
        "id": "cmp_1", "advertiser_id": "adv_1", "name": "n", "status": "active", "pacing": "asap",
        "flight": {"start": "2026-01-01T00:00:00Z", "time_zone": "Europe/Berlin"},
        "budget": {"currency": "EUR", "daily_micros": 10_000}, "bid": {"max_cpm_micros": 1_000_000},
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    app.document(Kind::Campaign, "cmp_1", campaign).await;
    app
}

/// One bidder leases 4,000 micros and bills one bid of 1,000 from them.
async fn spend(app: &App) {
    let campaign: domain::campaign::Campaign = {
        use storage::CampaignStore;
        let document = app.store.get(Kind::Campaign, "cmp_1").await.unwrap().unwrap();
        serde_json::from_value(document.body).unwrap()
    };
    let now = jiff::Timestamp::from_millisecond(NOW_MS).unwrap();
    let day = period::days(&campaign.spec.flight, now, 1).remove(0);
    let bidder_id: BidderId = "bdr_1".into();
    let lease = LeaseRequest {
        advertiser_id: campaign.spec.advertiser_id.clone(),
        campaign_id: campaign.id.clone(),
        generation: 1,
        revision: 1,
        day: day.clone(),
        limits: Limits::of(&campaign.spec.budget),
        wanted_nanos: 4_000 * MICRO,
        bid_nanos: 1_000 * MICRO,
        opportunities: 4,
        bids: 1,
        renewal: 0,
    };
    app.store.renew(0, &bidder_id, 60_000, &[lease]).await.unwrap();
    let reservation = Reservation {
        bid_id: BidId(1),
        advertiser_id: campaign.spec.advertiser_id,
        campaign_id: campaign.id,
        day,
        bidder_id,
        reserved_nanos: 1_000 * MICRO,
        billing_window_ms: 60_000,
    };
    app.store.win(&reservation).await.unwrap();
    let billing = Billing {
        reservation,
        charge_nanos: 1_000 * MICRO,
        context: "{}".to_owned(),
    };
    app.store.bill(&billing).await.unwrap();
}

#[tokio::test]
async fn delivery_shows_plan_spend_and_leases_of_today() {
    let app = with_a_campaign().await;
    spend(&app).await;
    let answer = app.get(PATH, ADMIN_KEY).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let delivery = answer.json();
    assert_eq!(
        (&delivery["currency"], &delivery["as_of"]),
        (&json!("EUR"), &json!("2026-11-23T10:20:00Z"))
    );
    let today = &delivery["today"];
    assert_eq!(
        (&today["date"], &today["start"]),
        (&json!("2026-11-23"), &json!("2026-11-22T23:00:00Z"))
    );
    let amounts = ["plan", "planned_so_far", "limit", "spent", "pending", "leased"]
        .map(|name| today[format!("{name}_micros")].as_i64());
    assert_eq!(amounts, [10_000, 10_000, 10_000, 1_000, 0, 3_000].map(Some));
    // 680 of 1,440 minutes have gone by.
    assert_eq!(
        (&today["forecast_micros"], &today["settled_bids"]),
        (&json!(2_118), &json!(1))
    );
    assert_eq!(delivery["lifetime"]["spent_micros"], 1_000);
}

#[tokio::test]
async fn another_tenant_s_campaign_is_not_there() {
    let app = with_a_campaign().await;
    let own = app
        .key("key_1", KeyRole::Viewer, Some("adv_1"), KeyStatus::Active)
        .await;
    let foreign = app
        .key("key_2", KeyRole::Editor, Some("adv_2"), KeyStatus::Active)
        .await;
    assert_eq!(app.get(PATH, &own).await.status, StatusCode::OK);
    assert_eq!(app.get(PATH, &foreign).await.status, StatusCode::NOT_FOUND);
    let unknown = app.get("/analytics/campaigns/cmp_2/delivery", ADMIN_KEY).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(app.get(PATH, "").await.status, StatusCode::UNAUTHORIZED);
}
