use std::time::Duration;

use super::*;
use crate::Settings;
use crate::healthcheck::healthcheck;
use crate::shutdown::Ended;
use crate::telemetry::LogFormat;

fn settings(pairs: &[(&'static str, &'static str)]) -> ProcessSettings {
    let mut settings = Settings::from_pairs(pairs.iter().copied());
    let read = ProcessSettings::read(&mut settings);
    settings.finish().unwrap();
    read
}

#[test]
fn defaults_work_on_a_laptop_and_leave_production_time_to_drain() {
    let laptop = settings(&[("LOG_LEVEL", "INFO"), ("LOG_FORMAT", "json")]);
    assert_eq!(
        (laptop.shutdown.drain, laptop.shutdown.grace),
        (Duration::ZERO, Duration::from_secs(25))
    );
    assert_eq!(laptop.http_addr.port(), 8080);
    assert_eq!(laptop.metrics_addr.port(), 9090);
    assert_eq!(laptop.log.format, LogFormat::Json);
    assert_eq!(
        settings(&[("ENVIRONMENT", "production")]).shutdown.drain,
        Duration::from_secs(5)
    );
}

#[test]
fn a_mistyped_log_level_is_a_mistake_and_directives_are_not() {
    for good in [
        "info",
        "WARN",
        "off",
        "info,sqlx=warn",
        "warn,bidding_service[bid]=trace",
    ] {
        settings(&[("LOG_LEVEL", good)]);
    }
    for bad in ["inof", "info,=", "loud,sqlx=warn", "sqlx=loud"] {
        let mut settings = Settings::from_pairs([("LOG_LEVEL", bad)]);
        ProcessSettings::read(&mut settings);
        assert!(settings.finish().is_err(), "{bad}");
    }
}

async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

#[tokio::test]
async fn both_ports_answer_both_spellings_and_metrics_have_their_own() {
    let process = Process::new(
        "greeter",
        settings(&[("HTTP_ADDR", "127.0.0.1:0"), ("METRICS_ADDR", "127.0.0.1:0")]),
    )
    .unwrap();
    let latch = process.readiness.latch("store reached");
    let http = process.serve(Router::new()).await.unwrap();
    let metrics = process.serve_metrics().await.unwrap();

    for addr in [http, metrics] {
        for path in ["/health", "/health/live"] {
            let (status, answer) = get(addr, path).await;
            assert_eq!(status, 200);
            assert!(answer.ends_with(r#"{"status":"live"}"#), "{answer}");
        }
        for path in ["/ready", "/health/ready"] {
            let (status, answer) = get(addr, path).await;
            assert_eq!(status, 503);
            assert!(answer.contains("store reached"), "{answer}");
        }
    }
    latch.set();
    assert_eq!(get(http, "/ready").await.0, 200);
    assert_eq!(get(metrics, "/health/ready").await.0, 200);

    assert_eq!(get(http, "/metrics").await.0, 404);
    let (status, text) = get(metrics, "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains(r#"build_info{service="greeter""#), "{text}");
    assert!(text.contains("process_cpu_seconds_total"), "{text}");

    let checked = tokio::task::spawn_blocking(move || healthcheck(http))
        .await
        .unwrap();
    assert!(checked.is_ok(), "{checked:?}");
    process.shutdown.request("test");
    assert_eq!(process.shutdown.finished().await, Ended::Clean);
    let checked = tokio::task::spawn_blocking(move || healthcheck(http))
        .await
        .unwrap();
    assert!(checked.is_err());
}

#[tokio::test]
async fn metrics_can_be_turned_off_and_probes_cannot() {
    let process = Process::new(
        "greeter",
        settings(&[("METRICS_ADDR", "127.0.0.1:0"), ("METRICS_ENABLED", "false")]),
    )
    .unwrap();
    let addr = process.serve_metrics().await.unwrap();
    assert_eq!(get(addr, "/metrics").await.0, 404);
    assert_eq!(get(addr, "/health").await.0, 200);
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_in_the_error() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let error = Server::bind("greeter", addr, ServerOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
}
