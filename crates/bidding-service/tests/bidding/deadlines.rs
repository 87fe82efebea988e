//! Late is a 204, never an error, and never a wait.

use crate::stage::{Setting, Stage, banner, banner_request, campaign};
use crate::users::{Reads, capped, of_user};
use reqwest::StatusCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LATE: &str = "bid_requests_total{exchange=\"default\",outcome=\"late\"}";

#[tokio::test]
async fn a_body_that_trickles_in_is_late() {
    let stage = Stage::set(Setting {
        settings: vec![("BID_TIMEOUT_MS", "50".into())],
        ..Setting::default()
    })
    .await;
    let mut connection = TcpStream::connect(stage.addr).await.unwrap();
    connection
        .write_all(b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"id\":")
        .await
        .unwrap();
    let mut answer = [0; 64];
    let read = connection.read(&mut answer).await.unwrap();
    assert!(
        answer[..read].starts_with(b"HTTP/1.1 204 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(stage.metric(LATE), 1.0);
}

#[tokio::test]
async fn a_tmax_that_the_network_eats_up_is_a_no_bid_at_once() {
    let stage = Stage::with([campaign("c1", [banner(300, 250)])]).await;
    stage.bid_until_won(&banner_request()).await;
    let mut hasty = banner_request();
    hasty["tmax"] = 10.into();
    assert!(stage.bid(&hasty).await.is_empty_with(StatusCode::NO_CONTENT));
    assert_eq!(
        stage.metric("bid_no_bid_reasons_total{reason=\"insufficient_time\"}"),
        1.0
    );
    hasty["test"] = 1.into();
    assert_eq!(stage.bid(&hasty).await.json()["nbr"], 15);
    hasty["tmax"] = 4_000.into();
    assert_eq!(stage.bid(&hasty).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_silent_store_of_users_costs_only_the_campaigns_that_need_it() {
    let mut capped = capped("capped");
    capped["campaign"]["bid"]["max_cpm_micros"] = 90_000_000.into();
    let stage = Stage::set(Setting {
        campaigns: vec![capped, campaign("plain", [banner(300, 250)])],
        user_states: Some(Arc::new(Reads::held())),
        ..Setting::default()
    })
    .await;
    let stranger = banner_request();
    let known = of_user("u1", banner_request());
    // The dearer one bids on strangers, and not on a user whose counters never come.
    let cid = |response: &serde_json::Value| {
        response["seatbid"][0]["bid"][0]["cid"]
            .as_str()
            .map(str::to_owned)
    };
    let give_up = Instant::now() + Duration::from_secs(20);
    while cid(&stage.bid_until_won(&stranger).await).as_deref() != Some("capped") {
        assert!(Instant::now() < give_up);
    }
    let response = stage.bid_until_won(&known).await;
    assert_eq!(cid(&response).as_deref(), Some("plain"));
}
