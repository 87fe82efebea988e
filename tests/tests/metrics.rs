//! What the binaries export is written down in `k8s/monitoring/metrics.json`, which rules, alerts and dashboards are
//! checked against. `UPDATE_METRICS=1` writes it anew.

#![expect(clippy::unwrap_used, reason = "test helpers: a failure is a failed test")]

use platform::metrics::Family;
use platform::{Process, ProcessSettings, Settings};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const CAMPAIGN: &str = campaign_service::SERVICE;
const BIDDING: &str = bidding_service::SERVICE;
const ANALYTICS: &str = analytics_service::SERVICE;
const ALL_IN_ONE: &str = "adplatform";

/// Names of `contracts`, as alerts and autoscalers know them.
const PROMISED: [&str; 24] = [
    "http_requests_total",
    "http_request_duration_seconds",
    "http_requests_in_flight",
    "build_info",
    "process_start_time_seconds",
    "bid_requests_total",
    "bid_request_duration_seconds",
    "bid_no_bid_reasons_total",
    "bid_stage_duration_seconds",
    "bids_total",
    "wins_total",
    "billed_nanos_total",
    "over_delivery_nanos_total",
    "lease_balance_nanos",
    "pending_nanos",
    "index_campaigns",
    "index_age_seconds",
    "events_dropped_total",
    "notices_total",
    "outbox_lag_seconds",
    "outbox_pending",
    "consumer_lag_records",
    "events_applied_total",
    "report_freshness_seconds",
];

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s/monitoring/metrics.json")
}

/// Starts services in one process, on an embedded store, and answers with what they registered.
async fn families_of(name: &'static str, services: &[&str]) -> Vec<Family> {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_str().unwrap().to_owned();
    let pairs = [("DATA_DIR", data_dir.as_str()), ("ADMIN_API_KEY", "adm_metrics")];
    let mut settings = Settings::from_pairs(pairs);
    let process = Process::new(name, ProcessSettings::read(&mut settings)).unwrap();
    for service in services {
        match *service {
            CAMPAIGN => {
                let config = campaign_service::Config::read(&mut settings);
                let ports = campaign_service::wiring::ports(&config, &process, None)
                    .await
                    .unwrap();
                campaign_service::build(&config, ports, &process).unwrap();
            }
            BIDDING => {
                let config = bidding_service::Config::read(&mut settings);
                let ports = bidding_service::wiring::ports(&config, &process, None)
                    .await
                    .unwrap();
                bidding_service::build(&config, ports, &process).unwrap();
            }
            _ => {
                let config = analytics_service::Config::read(&mut settings);
                let ports = analytics_service::wiring::ports(&config, &process, None)
                    .await
                    .unwrap();
                analytics_service::build(&config, ports, &process).unwrap();
            }
        }
    }
    let families = process.metrics.families();
    process.shutdown.request("the metrics are known");
    process.shutdown.finished().await;
    families
}

/// One entry a family, with the binaries that export it.
async fn catalogue() -> Vec<Value> {
    let mut entries: BTreeMap<String, (Family, Vec<&str>)> = BTreeMap::new();
    let binaries: [(&'static str, &[&str]); 4] = [
        (CAMPAIGN, &[CAMPAIGN]),
        (BIDDING, &[BIDDING]),
        (ANALYTICS, &[ANALYTICS]),
        (ALL_IN_ONE, &[CAMPAIGN, BIDDING, ANALYTICS]),
    ];
    for (binary, services) in binaries {
        for family in families_of(binary, services).await {
            let (known, exported_by) = entries
                .entry(family.name.clone())
                .or_insert_with(|| (family.clone(), Vec::new()));
            assert_eq!(*known, family, "one name, one meaning");
            exported_by.push(binary);
        }
    }
    let entry = |(family, services): (Family, Vec<&str>)| {
        let mut entry = serde_json::to_value(family).unwrap();
        entry["services"] = json!(services);
        entry
    };
    entries.into_values().map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_metrics_is_current_and_holds_what_was_promised() {
    let current = catalogue().await;
    let names: BTreeSet<&str> = current
        .iter()
        .filter_map(|entry| entry["name"].as_str())
        .collect();
    for name in PROMISED {
        assert!(names.contains(name), "{name} is promised and not registered");
    }
    for entry in &current {
        let help = entry["help"].as_str().unwrap();
        assert!(
            help.len() > 10 && help.ends_with('.'),
            "{entry} needs a help text"
        );
    }
    let text = format!("{:#}\n", Value::from(current));
    if std::env::var_os("UPDATE_METRICS").is_some() {
        std::fs::write(file(), &text).unwrap();
    }
    let written = std::fs::read_to_string(file()).unwrap_or_default();
    assert!(
        written == text,
        "k8s/monitoring/metrics.json is not current: UPDATE_METRICS=1 cargo test -p adplatform-tests --test metrics"
    );
}
