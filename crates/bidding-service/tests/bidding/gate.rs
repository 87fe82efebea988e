//! Who may ask.

use crate::stage::{Setting, Stage, banner_request, exchange};
use reqwest::StatusCode;
use serde_json::json;
use sha2::{Digest, Sha256};

fn hex(secret: &str) -> String {
    Sha256::digest(secret.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

async fn production() -> Stage {
    Stage::set(Setting {
        settings: vec![
            ("ENVIRONMENT", "production".into()),
            ("SHUTDOWN_DRAIN_SECONDS", "0".into()),
        ],
        exchanges: vec![
            exchange("default", json!({})),
            exchange("by-path", json!({"secret_path_sha256": hex("open-sesame")})),
            exchange(
                "by-header",
                json!({"secret_header": {"name": "x-exchange-token", "sha256": hex("t0ken")}}),
            ),
            exchange("here", json!({"allowed_networks": ["127.0.0.0/8"]})),
            exchange("elsewhere", json!({"allowed_networks": ["192.0.2.0/24"]})),
        ],
        ..Setting::default()
    })
    .await
}

#[tokio::test]
async fn outside_development_an_exchange_has_to_prove_its_requests() {
    let stage = production().await;
    let asked = banner_request().to_string();
    let no_content = StatusCode::NO_CONTENT;
    for (path, headers, expected) in [
        ("/openrtb2/bid", &[][..], StatusCode::FORBIDDEN),
        ("/openrtb2/default/bid", &[], StatusCode::FORBIDDEN),
        ("/openrtb2/by-path/bid", &[], StatusCode::FORBIDDEN),
        ("/openrtb2/by-path/bid/guess", &[], StatusCode::FORBIDDEN),
        ("/openrtb2/by-path/bid/open-sesame", &[], no_content),
        (
            "/openrtb2/by-header/bid",
            &[("x-exchange-token", "guess")],
            StatusCode::FORBIDDEN,
        ),
        (
            "/openrtb2/by-header/bid",
            &[("x-exchange-token", "t0ken")],
            no_content,
        ),
        ("/openrtb2/here/bid", &[], no_content),
        ("/openrtb2/elsewhere/bid", &[], StatusCode::FORBIDDEN),
        ("/openrtb2/nobody/bid", &[], StatusCode::NOT_FOUND),
        ("/openrtb2/%ff/bid", &[], StatusCode::NOT_FOUND),
    ] {
        let answer = stage.post(path, headers, asked.clone()).await;
        assert!(answer.is_empty_with(expected), "{path}: {answer:?}");
    }
    assert_eq!(
        stage.metric("bid_requests_unproven_total{exchange=\"default\"}"),
        2.0
    );
    assert_eq!(stage.metric("bid_requests_unknown_exchange_total"), 1.0);
}

#[tokio::test]
async fn beyond_its_rate_an_exchange_gets_no_bid_and_that_is_no_fault() {
    let stage = Stage::set(Setting {
        exchanges: vec![exchange("default", json!({"qps_limit": 1}))],
        ..Setting::default()
    })
    .await;
    for _ in 0..5 {
        assert!(
            stage
                .bid(&banner_request())
                .await
                .is_empty_with(StatusCode::NO_CONTENT)
        );
    }
    assert!(stage.metric("bid_no_bid_reasons_total{reason=\"qps_limit\"}") >= 1.0);
    assert_eq!(
        stage.metric("bid_requests_total{exchange=\"default\",outcome=\"shed\"}"),
        0.0
    );
}
