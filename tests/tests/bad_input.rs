//! What comes from outside and is wrong: a clear answer, and the process stays up.

#![expect(clippy::unwrap_used, reason = "test helpers: a failure is a failed test")]

use adplatform_tests::fixtures::{USD, banner_request, notice, only_bid};
use adplatform_tests::{Platform, eventually, program};
use flate2::{Compression, write::GzEncoder};
use reqwest::StatusCode;
use serde_json::json;
use sqlx::Connection;
use std::io::Write;

#[test]
fn bad_settings_are_all_listed_and_exit_64() {
    for service in ["campaign-service", "bidding-service", "analytics-service"] {
        let output = program::command(service)
            .env("ENVIRONMENT", "production")
            .env("HTTP_ADDR", "nowhere")
            .env("LOG_FORMAT", "xml")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{service}: {said}");
        for name in ["HTTP_ADDR", "LOG_FORMAT", "DATABASE_URL"] {
            assert!(said.contains(name), "{service} does not speak of {name}: {said}");
        }
    }
}

#[test]
fn a_missing_secret_outside_development_is_a_start_up_error() {
    let output = program::command("bidding-service")
        .env("ENVIRONMENT", "production")
        .env("DATABASE_URL", "sqlite::memory:")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("NOTICE_SECRET"), "{said}");
}

/// It compiles OpenSSL: images have it, a build from source has it on demand.
#[test]
fn kafka_over_tls_without_its_feature_is_a_start_up_error() {
    for service in ["campaign-service", "bidding-service", "analytics-service"] {
        let output = program::command(service)
            .env("KAFKA_BROKERS", "kafka.example:9093")
            .env("KAFKA_SECURITY_PROTOCOL", "SSL")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{service}: {said}");
        for word in ["security protocol SSL", "kafka-tls"] {
            assert!(said.contains(word), "{service} does not speak of {word}: {said}");
        }
    }
}

#[tokio::test]
async fn malformed_requests_get_400_without_a_body_and_the_process_stays_up() {
    let platform = Platform::start().await;
    platform.live_campaign(2 * USD, 100 * USD).await;
    platform.bid_on(&banner_request("before")).await;
    let good = banner_request("r").to_string();
    let malformed: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("truncated", good.as_bytes()[..good.len() / 2].to_vec()),
        ("not JSON", b"<xml/>".to_vec()),
        ("not UTF-8", vec![0xff, 0xfe, b'{', b'}']),
        ("an array", b"[]".to_vec()),
        (
            "deeply nested",
            [b"{\"ext\":".repeat(100_000), b"1".to_vec(), b"}".repeat(100_000)].concat(),
        ),
        ("no imp", br#"{"id":"r","imp":[]}"#.to_vec()),
        (
            "two imps of one id",
            br#"{"id":"r","imp":[{"id":"1","banner":{}},{"id":"1","banner":{}}]}"#.to_vec(),
        ),
        (
            "site and app",
            br#"{"id":"r","imp":[{"id":"1","banner":{"w":1,"h":1}}],"site":{},"app":{}}"#.to_vec(),
        ),
    ];
    for (what, body) in malformed {
        let (status, answer) = platform.offer(body).await;
        assert_eq!((status, answer.len()), (StatusCode::BAD_REQUEST, 0), "{what}");
    }
    platform.bid_on(&banner_request("after")).await;
}

#[tokio::test]
async fn huge_and_exploding_bodies_are_refused() {
    let platform = Platform::start().await;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..200 {
        gzip.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    let url = format!("{}/openrtb2/bid", platform.bidding);
    let answer = platform
        .client
        .post(&url)
        .header("content-encoding", "gzip")
        .body(bomb)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);

    let huge = vec![b' '; 8 << 20];
    // The server may close the connection before it has read all of it.
    if let Ok(answer) = platform.client.post(&url).body(huge).send().await {
        assert!(
            matches!(answer.status().as_u16(), 400 | 413),
            "{}",
            answer.status()
        );
    }
    assert_eq!(
        platform.hit(&format!("{}/health/live", platform.bidding)).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_body_with_many_mistakes_is_told_of_all_at_once() {
    let platform = Platform::start().await;
    let body = json!({
        "name": "", "flight": {"start": "yesterday", "time_zone": "Mars/Olympus"},
        "budget": {"currency": "dollars"}, "bid": {"max_cpm_micros": -1}, "colour": "red",
    });
    let answer = platform.post("/campaigns", &body).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = answer.json().await.unwrap();
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    for pointer in [
        "/advertiser_id",
        "/name",
        "/flight/start",
        "/flight/time_zone",
        "/budget/currency",
        "/bid/max_cpm_micros",
        "/colour",
    ] {
        assert!(pointers.contains(&pointer), "no {pointer} in {problem:#}");
    }
}

/// While another process holds the database, changes are refused with 503, a notice is kept in the spool and settled later,
/// and bids go on.
#[tokio::test]
async fn a_locked_database_refuses_changes_keeps_notices_and_recovers() {
    let platform = Platform::start().await;
    platform.live_campaign(2 * USD, 100 * USD).await;
    let response = platform.bid_on(&banner_request("r")).await;
    let burl = notice(only_bid(&response), "burl", "1.25");

    let lock = Lock::take(&platform.data_dir.join("adplatform.sqlite")).await;
    let refused = platform.post("/advertisers", &json!({"name": "late"})).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(platform.hit(&burl).await, StatusCode::OK);
    assert_eq!(platform.metric("spool_records").await, 1.0);
    let (status, _) = platform.offer(banner_request("meanwhile").to_string()).await;
    assert!(matches!(status.as_u16(), 200 | 204), "{status}");
    lock.release().await;

    eventually("the report has it", || async {
        let totals = platform.report_totals("spend_nanos").await;
        (totals["spend_nanos"] == 1_250_000).then_some(())
    })
    .await;
}

/// Another connection that keeps the database locked, as a backup tool gone wrong would.
struct Lock(sqlx::SqliteConnection);

impl Lock {
    async fn take(database: &std::path::Path) -> Self {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(database)
            .busy_timeout(std::time::Duration::from_secs(30));
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("BEGIN EXCLUSIVE")
            .execute(&mut connection)
            .await
            .unwrap();
        Self(connection)
    }

    async fn release(self) {
        self.0.close().await.unwrap();
    }
}
