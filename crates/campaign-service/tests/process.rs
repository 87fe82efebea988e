//! The binary: its help, its settings, its health check.
#![expect(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect ends"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

fn service() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaign-service"));
    command.env_clear();
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_names_the_settings() {
    let Output { status, stdout, .. } = service().arg("--help").output().unwrap();
    assert!(status.success());
    assert!(text(&stdout).contains("ADMIN_API_KEY"));
}

#[test]
fn every_bad_setting_is_told_at_once_with_exit_64_and_no_secret() {
    let Output { status, stderr, .. } = service()
        .env("ENVIRONMENT", "production")
        .env("ADMIN_API_KEY", "too-short")
        .env("DATABASE_URL", "mysql://user:hunter2@db/ads")
        .env("ANALYTICS_URL", "https://analytics/path")
        .env("BIDDING_URL", "bidding:8080")
        .env("API_RATE_LIMIT_PER_SECOND", "0")
        .env("REDIS_URL", "http://user:hunter2@redis")
        .env("KAFKA_BROKERS", "kafka")
        .output()
        .unwrap();
    let told = text(&stderr);
    assert_eq!(status.code(), Some(64), "{told}");
    for name in [
        "ADMIN_API_KEY",
        "DATABASE_URL",
        "ANALYTICS_URL",
        "BIDDING_URL",
        "API_RATE_LIMIT_PER_SECOND",
        "REDIS_URL",
        "KAFKA_BROKERS",
    ] {
        assert_eq!(
            told.lines().filter(|line| line.starts_with(name)).count(),
            1,
            "{name}: {told}"
        );
    }
    assert!(!told.contains("hunter2") && !told.contains("too-short"), "{told}");
}

#[test]
fn outside_development_key_and_database_must_be_named() {
    let Output { status, stderr, .. } = service().env("ENVIRONMENT", "production").output().unwrap();
    let told = text(&stderr);
    assert_eq!(status.code(), Some(64), "{told}");
    assert!(
        told.contains("ADMIN_API_KEY") && told.contains("DATABASE_URL") && told.contains("KAFKA_BROKERS"),
        "{told}"
    );
}

#[test]
fn what_an_adapter_refuses_is_a_bad_setting_too() {
    let Output { status, stderr, .. } = service()
        .env("HTTP_ADDR", "127.0.0.1:0")
        .env("METRICS_ADDR", "127.0.0.1:0")
        .env("DATABASE_URL", "postgres://user:hunter2@db:port/ads")
        .env("REDIS_URL", "rediss://:hunter2@redis")
        .env("REDIS_CA_FILE", "/nowhere/at/all.pem")
        .output()
        .unwrap();
    let told = text(&stderr);
    assert_eq!(status.code(), Some(64), "{told}");
    assert!(
        told.contains("\nDATABASE_URL: ") && told.contains("\nREDIS_HOST: "),
        "{told}"
    );
    assert!(
        told.contains("/nowhere/at/all.pem") && !told.contains("hunter2"),
        "{told}"
    );
}

#[test]
fn an_unknown_argument_is_refused() {
    assert_eq!(service().arg("serve").output().unwrap().status.code(), Some(64));
}

#[test]
fn the_health_check_tells_a_living_service_from_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running(
        service()
            .env("HTTP_ADDR", "127.0.0.1:0")
            .env("METRICS_ADDR", "127.0.0.1:0")
            .env("DATA_DIR", folder.path())
            .env("LOG_FORMAT", "json")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let addr = running.address();
    let check = || {
        service()
            .arg("healthcheck")
            .env("HTTP_ADDR", &addr)
            .stderr(Stdio::null())
            .status()
            .unwrap()
    };
    assert_eq!(check().code(), Some(0));
    drop(running);
    assert_eq!(check().code(), Some(1));
}

struct Running(Child);

impl Running {
    /// From the log line about the bound address.
    fn address(&mut self) -> String {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        for line in lines {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            if line["message"] == "listening" && line["name"] == "campaign-service" {
                return line["addr"].as_str().unwrap().to_owned();
            }
        }
        panic!("the service ended before it listened");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
