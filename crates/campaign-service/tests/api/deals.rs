use crate::app::{TestApp, campaign_of, within};
use crate::publishing::latest;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

fn deal_of(advertiser: &str) -> Value {
    json!({"advertiser_id": advertiser, "name": "Front page", "exchange": "default", "deal_id": "ex-7"})
}

fn campaign_on(advertiser: &str, deals: Value) -> Value {
    let mut campaign = campaign_of(advertiser);
    campaign["targeting"] = json!({"deals": deals, "open_auction": false});
    campaign
}

#[tokio::test]
async fn a_deal_is_a_resource_of_its_advertiser() {
    let app = TestApp::start().await;
    let (own, stranger) = (app.advertiser().await, app.advertiser().await);
    let (editor, other) = (app.key("editor", &own).await, app.key("editor", &stranger).await);
    let mut without_owner = deal_of(&own);
    without_owner.as_object_mut().unwrap().remove("advertiser_id");
    let created = app.with_key(&editor).post("/deals", without_owner).await;
    let created = created.expect(StatusCode::CREATED);
    assert_eq!(created.body["advertiser_id"], json!(own));
    let path = format!("/deals/{}", created.body["id"].as_str().unwrap());
    app.with_key(&other)
        .get(&path)
        .await
        .expect(StatusCode::NOT_FOUND);
    // The same deal once for each advertiser.
    let again = app.with_key(&editor).post("/deals", deal_of(&own)).await;
    again.expect(StatusCode::CONFLICT);
    app.admin().post("/deals", deal_of(&stranger)).await.created();
    assert_eq!(app.with_key(&editor).get("/deals").await.names(), ["Front page"]);
    let archived = app
        .with_key(&editor)
        .post(&format!("{path}/archive"), Value::Null)
        .await;
    assert_eq!(archived.ok()["status"], "archived");
}

#[tokio::test]
async fn every_mistake_of_a_deal_is_told() {
    let app = TestApp::start().await;
    let own = app.advertiser().await;
    let wrong = json!({"advertiser_id": "adv_none", "exchange": "X", "deal_id": " 7", "status": "on"});
    let reply = app.admin().post("/deals", wrong).await;
    assert_eq!(
        reply.mistakes(),
        [
            "/advertiser_id not_found",
            "/name required",
            "/status unknown_value",
            "/exchange invalid_value",
            "/deal_id invalid_value",
        ]
    );
    let mut elsewhere = deal_of(&own);
    elsewhere["exchange"] = "nowhere".into();
    let reply = app.admin().post("/deals", elsewhere).await;
    assert_eq!(reply.mistakes(), ["/exchange not_found"]);
}

#[tokio::test]
async fn a_campaign_bids_on_a_named_deal_at_its_exchange_while_it_is_active() {
    let app = TestApp::start().await;
    let (own, stranger) = (app.advertiser().await, app.advertiser().await);
    let deal = app.admin().post("/deals", deal_of(&own)).await.created();
    let foreign = app.admin().post("/deals", deal_of(&stranger)).await.created();
    let refused = app
        .admin()
        .post("/campaigns", campaign_on(&own, json!([deal, foreign, "raw"])))
        .await;
    assert_eq!(refused.mistakes(), ["/targeting/deals/1 not_found"]);
    let created = app
        .admin()
        .post("/campaigns", campaign_on(&own, json!([deal, "raw"])))
        .await;
    let campaign = created.created();
    let published = async |expected: Value| {
        within(Duration::from_secs(10), async || {
            let latest = latest(&app, &campaign).await;
            latest.is_some_and(|latest| json!(latest.campaign.spec.targeting.deals) == expected)
        })
        .await;
    };
    published(json!(["default\u{1f}ex-7", "raw"])).await;
    let path = format!("/deals/{deal}");
    app.admin().patch(&path, json!({"status": "paused"})).await.ok();
    published(json!([deal, "raw"])).await;
    app.admin()
        .patch(&path, json!({"status": "active", "deal_id": "ex-8"}))
        .await
        .ok();
    published(json!(["default\u{1f}ex-8", "raw"])).await;
    // Clients see what they wrote.
    let shown = app.admin().get(&format!("/campaigns/{campaign}")).await.ok();
    assert_eq!(shown["targeting"]["deals"], json!([deal, "raw"]));
}
