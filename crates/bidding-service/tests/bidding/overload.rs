//! Too much, or broken inside: still a 204, and never at the cost of a notice.

use crate::stage::{Setting, Stage, banner_request};
use crate::users::{Reads, capped, of_user};
use reqwest::StatusCode;
use std::sync::Arc;
use std::time::Duration;

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
