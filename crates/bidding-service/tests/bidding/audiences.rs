//! Own audiences, from the store of user states to the bid.

use crate::stage::{Setting, Stage, banner, banner_request, campaign, exchange};
use crate::users::{Reads, capped};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use storage::UserStates;

fn to_audience(id: &str) -> Value {
    let mut campaign = campaign(id, [banner(300, 250)]);
    campaign["campaign"]["targeting"] = json!({"audiences": {"allow": ["aud_1"]}});
    campaign
}

fn of(device: Value, user: Value) -> Value {
    let mut request = banner_request();
    for (name, value) in device.as_object().unwrap() {
        request["device"][name] = value.clone();
    }
    request["user"] = user;
    request
}

async fn join(stage: &Stage, user_keys: &[&str]) {
    let now_ms = stage.process.clock.unix_ms();
    let user_keys: Vec<String> = user_keys.iter().map(|key| (*key).to_owned()).collect();
    stage
        .store
        .set_members("aud_1", &user_keys, &[], now_ms + 60_000, now_ms)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_member_is_bid_for_under_each_of_its_lawful_names_and_nobody_else_is() {
    let stage = Stage::set(Setting {
        exchanges: vec![exchange("default", json!({"eid_sources": ["uidapi.com"]}))],
        campaigns: vec![to_audience("cmp_1")],
        ..Setting::default()
    })
    .await;
    let members = ["ifa:ab-1", "buyeruid:B", "eid:uidapi.com:Two", "id:default:u"];
    join(&stage, &members).await;
    let eids = |source: &str| json!({"eids": [{"source": source, "uids": [{"id": "Two"}]}]});
    for request in [
        of(json!({"ifa": "AB-1"}), json!({})),
        of(json!({}), json!({"buyeruid": "B"})),
        of(json!({}), eids("uidapi.com")),
        of(json!({}), json!({"id": "u"})),
    ] {
        stage.bid_until_won(&request).await;
    }
    for request in [
        of(json!({"ifa": "AB-2"}), json!({"id": "u"})),
        of(json!({"ifa": "AB-1", "lmt": 1}), json!({})),
        of(json!({"ifa": "AB-1", "dnt": 1}), json!({})),
        of(json!({}), eids("other.com")),
        of(json!({}), json!({})),
    ] {
        assert!(
            stage.bid(&request).await.is_empty_with(StatusCode::NO_CONTENT),
            "{request}"
        );
    }
    let mut under_gdpr = of(json!({"ifa": "AB-1"}), json!({}));
    under_gdpr["regs"] = json!({"gdpr": 1});
    assert!(stage.bid(&under_gdpr).await.is_empty_with(StatusCode::NO_CONTENT));
}

#[tokio::test]
async fn an_exchanges_id_reaches_the_memberships_of_whom_it_stands_for() {
    let stage = Stage::with([to_audience("cmp_1")]).await;
    join(&stage, &["buyeruid:ours"]).await;
    let request = of(json!({}), json!({"id": "theirs"}));
    assert!(stage.bid(&request).await.is_empty_with(StatusCode::NO_CONTENT));
    let now_ms = stage.process.clock.unix_ms();
    stage
        .store
        .link("id:default:theirs", "buyeruid:ours", now_ms + 60_000, now_ms)
        .await
        .unwrap();
    stage.bid_until_won(&request).await;
}

#[tokio::test]
async fn no_state_is_read_while_no_campaign_asks_for_a_cap_or_an_audience() {
    let reads = Arc::new(Reads::held());
    let mut paused = capped("cmp_2");
    paused["campaign"]["status"] = "paused".into();
    let stage = Stage::set(Setting {
        campaigns: vec![campaign("cmp_1", [banner(300, 250)]), paused],
        user_states: Some(reads.clone()),
        ..Setting::default()
    })
    .await;
    stage.bid_until_won(&of(json!({"ifa": "AB-1"}), json!({}))).await;
    assert_eq!(reads.begun.available_permits(), 0);
}
