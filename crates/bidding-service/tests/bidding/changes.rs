//! A campaign that changes, changes here.

use crate::stage::{Setting, Stage, banner, banner_request, campaign, exchange};
use reqwest::StatusCode;
use serde_json::{Value, json};
use storage::event_log::Topic;
use test_servers::Journal;

#[tokio::test]
async fn a_campaign_bids_from_its_record_on_until_it_is_paused() {
    let stage = Stage::with([]).await;
    assert!(
        stage
            .bid(&banner_request())
            .await
            .is_empty_with(StatusCode::NO_CONTENT)
    );
    let mut record = campaign("c1", [banner(300, 250)]);
    stage.publish(Topic::Campaigns, &json!("c1"), &record).await;
    stage.bid_until_won(&banner_request()).await;
    assert_eq!(stage.metric("index_campaigns"), 1.0);
    record["revision"] = 2.into();
    record["campaign"]["status"] = "paused".into();
    stage.publish(Topic::Campaigns, &json!("c1"), &record).await;
    stage.bid_until(&banner_request(), StatusCode::NO_CONTENT).await;
    stage.publish(Topic::Campaigns, &json!("c1"), &Value::Null).await;
    stage
        .until("removed", |stage| stage.metric("index_campaigns") == 0.0)
        .await;
}

#[tokio::test]
async fn a_new_exchange_is_served_from_its_record_on() {
    let stage = Stage::with([]).await;
    let path = "/openrtb2/late-comer/bid";
    let asked = banner_request().to_string();
    assert!(
        stage
            .post(path, &[], asked.clone())
            .await
            .is_empty_with(StatusCode::NOT_FOUND)
    );
    stage
        .publish(
            Topic::Exchanges,
            &json!("late-comer"),
            &exchange("late-comer", json!({})),
        )
        .await;
    stage
        .until_answered(path, &[], asked.as_bytes(), StatusCode::NO_CONTENT)
        .await;
}

#[tokio::test]
async fn without_any_exchange_it_is_not_ready_and_the_log_says_so_until_the_first_has_come() {
    let (warning, relief) = ("no exchange is known", "exchanges are known now");
    let journal = Journal::open();
    let stage = Stage::set(Setting {
        exchanges: Vec::new(),
        ..Setting::default()
    })
    .await;
    stage
        .until("the warning", |_| journal.count("WARN", warning) == 1)
        .await;
    let record = campaign("c1", [banner(300, 250)]);
    stage.publish(Topic::Campaigns, &json!("c1"), &record).await;
    stage
        .until("indexed", |stage| stage.metric("index_campaigns") == 1.0)
        .await;
    assert!(!stage.process.readiness.is_ready());
    let default = exchange("default", json!({}));
    stage.publish(Topic::Exchanges, &json!("default"), &default).await;
    stage
        .until("the relief", |_| journal.count("INFO", relief) == 1)
        .await;
    stage
        .until("ready", |stage| stage.process.readiness.is_ready())
        .await;
    assert_eq!(journal.count("WARN", warning), 1);
    stage.bid_until_won(&banner_request()).await;
}

#[tokio::test]
async fn plain_http_notices_are_warned_of_outside_development() {
    let journal = Journal::open();
    let _stage = Stage::set(Setting {
        settings: vec![
            ("ENVIRONMENT", "production".into()),
            ("PUBLIC_BIDDING_URL", "http://b.example".into()),
        ],
        ..Setting::default()
    })
    .await;
    assert_eq!(journal.count("WARN", "PUBLIC_BIDDING_URL is http"), 1);
    assert_eq!(journal.count("WARN", "no exchange is known"), 0);
}

#[tokio::test]
async fn a_record_that_needs_what_we_lack_is_left_out_and_counted() {
    let mut demanding = campaign("c1", [banner(300, 250)]);
    demanding["requires"] = json!(["telepathy"]);
    let stage = Stage::with([demanding, campaign("c2", [banner(300, 250)])]).await;
    assert_eq!(stage.metric("index_campaigns"), 1.0);
    assert_eq!(
        stage.metric("index_left_out_records{reason=\"not_understood\"}"),
        1.0
    );
    assert!(stage.metric("index_age_seconds") < 20.0);
}
