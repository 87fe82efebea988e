//! Too much, or broken inside: still a 204, and never at the cost of a notice.

use crate::stage::{Setting, Stage, banner, banner_request, campaign};
use crate::users::{Reads, capped, of_user};
use futures_util::future::join_all;
use reqwest::StatusCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn outcome(stage: &Stage, outcome: &str) -> f64 {
    stage.metric(&format!(
        "bid_requests_total{{exchange=\"default\",outcome=\"{outcome}\"}}"
    ))
}

#[tokio::test]
async fn beyond_the_bids_in_flight_requests_are_shed_and_notices_are_not() {
    let reads = Arc::new(Reads::held());
    let stage = Stage::set(Setting {
        campaigns: vec![capped("c1")],
        user_states: Some(reads.clone()),
        tune: |config| {
            config.max_bids_in_flight = 1;
            config.user_state_timeout = Duration::from_secs(60);
            config.bid_timeout = Duration::from_secs(60);
        },
        ..Setting::default()
    })
    .await;
    let request = of_user("u1", banner_request());
    let meanwhile = async {
        reads.begun.acquire().await.unwrap().forget();
        assert!(stage.bid(&request).await.is_empty_with(StatusCode::NO_CONTENT));
        assert_eq!(outcome(&stage, "shed"), 1.0);
        let notice = stage.post("/notice/win?t=forged", &[], "").await;
        assert_eq!(notice.status, StatusCode::FORBIDDEN);
        reads.let_go.add_permits(1);
    };
    let (first, ()) = tokio::join!(stage.bid(&request), meanwhile);
    assert!([StatusCode::OK, StatusCode::NO_CONTENT].contains(&first.status));
    assert_eq!(outcome(&stage, "shed"), 1.0);
    // Its place is free again.
    reads.let_go.add_permits(1);
    stage.bid(&request).await;
    assert_eq!(outcome(&stage, "shed"), 1.0);
    assert_eq!(outcome(&stage, "bid") + outcome(&stage, "no_bid"), 2.0);
}

#[tokio::test]
async fn clients_that_trickle_take_nobodys_place() {
    let stage = Stage::set(Setting {
        campaigns: vec![campaign("c1", [banner(300, 250)])],
        tune: |config| config.max_bids_in_flight = 1,
        ..Setting::default()
    })
    .await;
    stage.bid_until_won(&banner_request()).await;
    let mut trickling = Vec::new();
    for _ in 0..20 {
        let mut connection = TcpStream::connect(stage.addr).await.unwrap();
        connection
            .write_all(b"POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"id\":")
            .await
            .unwrap();
        trickling.push(connection);
    }
    stage.bid_until_won(&banner_request()).await;
    assert_eq!(outcome(&stage, "shed"), 0.0);
}

/// The one thread of this test's runtime is kept busy between requests, as under load.
#[tokio::test]
async fn a_queue_that_never_empties_is_cut_and_comes_back_when_it_does() {
    let stage = Stage::set(Setting {
        settings: vec![("BENCH_SLOWER_DECISION_US", "10000".into())],
        campaigns: vec![campaign("c1", [banner(300, 250)])],
        tune: |config| config.bid_timeout = Duration::from_millis(100),
        ..Setting::default()
    })
    .await;
    stage.bid_until_won(&banner_request()).await;
    let request = banner_request();
    let give_up = Instant::now() + Duration::from_secs(20);
    while outcome(&stage, "shed") == 0.0 {
        assert!(Instant::now() < give_up, "nobody is refused");
        join_all((0..20).map(|_| stage.bid(&request))).await;
    }
    let notice = stage.post("/notice/win?t=forged", &[], "").await;
    assert_eq!(notice.status, StatusCode::FORBIDDEN);
    stage.bid_until_won(&request).await;
}

#[tokio::test]
async fn a_request_that_panics_is_a_204_and_takes_nothing_with_it() {
    let stage = Stage::set(Setting {
        campaigns: vec![capped("c1")],
        user_states: Some(Arc::new(Reads::panicking())),
        tune: |config| config.max_bids_in_flight = 1,
        ..Setting::default()
    })
    .await;
    let request = of_user("u1", banner_request());
    for panics in 1..=3 {
        assert!(stage.bid(&request).await.is_empty_with(StatusCode::NO_CONTENT));
        assert_eq!(stage.metric("bid_panics_total"), f64::from(panics));
    }
    assert_eq!(outcome(&stage, "no_bid"), 3.0);
    assert_eq!(outcome(&stage, "shed"), 0.0);
    stage.bid_until_won(&banner_request()).await;
}
