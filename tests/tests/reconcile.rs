//! `adplatform reconcile` beside a running platform: it agrees while nothing is lost, and says what is.

#![expect(clippy::unwrap_used, reason = "test helpers: a failure is a failed test")]

use adplatform_tests::fixtures::{USD, banner_request, notice, only_bid};
use adplatform_tests::{Platform, eventually, program};
use reqwest::StatusCode;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::path::Path;
use std::sync::Arc;
use storage::EventLog;
use storage::event_log::{NewRecord, Topic};
use storage_sqlite::SqliteStore;

/// Whether it found no difference, and what it said.
fn reconcile(data_dir: &Path) -> (bool, String) {
    let output = program::command("adplatform")
        .arg("reconcile")
        .env("DATA_DIR", data_dir)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), said)
}

#[tokio::test]
async fn a_lost_rollup_is_told_in_nanos() {
    let platform = Platform::start().await;
    let campaign = platform.live_campaign(2 * USD, 100 * USD).await;
    for price in ["1.25", "0.75"] {
        let response = platform.bid_on(&banner_request("r")).await;
        let burl = notice(only_bid(&response), "burl", price);
        assert_eq!(platform.hit(&burl).await, StatusCode::OK);
    }
    eventually("the report has it", || async {
        let totals = platform.report_totals("spend_nanos").await;
        (totals["spend_nanos"] == 2_000_000).then_some(())
    })
    .await;

    let (agrees, said) = reconcile(&platform.data_dir);
    assert!(agrees, "{said}");
    assert!(said.contains(&campaign.id) && said.contains("2000000"), "{said}");

    let options = SqliteConnectOptions::new().filename(platform.data_dir.join("adplatform.sqlite"));
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let lost = sqlx::query("UPDATE rollups SET spend_nanos = spend_nanos - 7 WHERE spend_nanos > 0");
    // One row, or two when a quarter of an hour ended between the bids.
    let rows = lost.execute(&mut database).await.unwrap().rows_affected();
    let (agrees, said) = reconcile(&platform.data_dir);
    assert!(
        !agrees && said.contains(&format!("events - rollups = {} nanos", 7 * rows)),
        "{said}"
    );
}

#[tokio::test]
async fn a_record_that_nobody_can_read_is_left_out_and_told() {
    let platform = Platform::start().await;
    let campaign = platform.live_campaign(2 * USD, 100 * USD).await;
    let response = platform.bid_on(&banner_request("r")).await;
    let burl = notice(only_bid(&response), "burl", "1.25");
    assert_eq!(platform.hit(&burl).await, StatusCode::OK);
    eventually("the report has it", || async {
        let totals = platform.report_totals("spend_nanos").await;
        (totals["spend_nanos"] == 1_250_000).then_some(())
    })
    .await;
    let url = format!("sqlite:{}", platform.data_dir.join("adplatform.sqlite").display());
    let log = SqliteStore::open(&url, Arc::new(|| 0)).await.unwrap();
    for value in [&b"{\"schema\":1"[..], b"\xff"] {
        let record = NewRecord {
            key: campaign.id.clone(),
            value: Some(value.to_vec()),
        };
        log.append(Topic::Spend, vec![record], 0).await.unwrap();
    }
    let (agrees, said) = reconcile(&platform.data_dir);
    assert!(agrees, "{said}");
    assert_eq!(
        said.matches("left out: topic spend, partition").count(),
        2,
        "{said}"
    );
}
