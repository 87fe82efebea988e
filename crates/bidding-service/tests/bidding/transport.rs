//! How a request may come.

use crate::stage::{Stage, banner, banner_request, campaign};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::StatusCode;
use std::io::Write;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn gzip_and_zstd_are_read_and_the_answer_is_plain() {
    let stage = Stage::with([campaign("c1", [banner(300, 250)])]).await;
    let asked = banner_request().to_string();
    let zstd = zstd::encode_all(asked.as_bytes(), 3).unwrap();
    for (encoding, body) in [("gzip", gzip(asked.as_bytes())), ("zstd", zstd)] {
        let headers = [
            ("content-encoding", encoding),
            ("accept-encoding", "gzip"),
            ("content-type", "text/plain"),
        ];
        let answer = stage
            .until_answered("/openrtb2/bid", &headers, &body, StatusCode::OK)
            .await;
        assert_eq!(answer.json()["id"], "req-1", "{encoding}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_an_empty_400() {
    let stage = Stage::with([]).await;
    let bomb = gzip(&vec![b' '; 8 << 20]);
    let deep = "[".repeat(100_000);
    let huge = format!("{{\"id\":\"{}\"}}", "x".repeat(2 << 20));
    for (headers, body) in [
        (&[][..], Vec::new()),
        (&[], b"{".to_vec()),
        (&[], b"\xff\xfe".to_vec()),
        (&[], deep.into_bytes()),
        (&[], huge.into_bytes()),
        (&[], br#"{"id":"1","imp":[]}"#.to_vec()),
        (&[("content-encoding", "gzip")], bomb),
        (
            &[("content-encoding", "gzip")],
            banner_request().to_string().into_bytes(),
        ),
        (
            &[("content-encoding", "br")],
            banner_request().to_string().into_bytes(),
        ),
    ] {
        let answer = stage.post("/openrtb2/bid", headers, body).await;
        assert!(answer.is_empty_with(StatusCode::BAD_REQUEST), "{answer:?}");
    }
    assert_eq!(
        stage.metric("bid_requests_total{exchange=\"default\",outcome=\"malformed\"}"),
        9.0
    );
}
