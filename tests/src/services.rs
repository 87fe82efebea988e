//! The services as the programs that the images hold: three processes on one store.

use crate::fixtures::banner_request;
use crate::platform::client;
use crate::program::command;
use crate::{Platform, eventually};
use reqwest::StatusCode;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

const ADMIN_KEY: &str = "administrator-of-three-processes";
/// Base of the URLs in bids; nobody answers there.
pub const PUBLIC_BIDDING_URL: &str = "http://bidding.example";

impl Platform {
    /// `campaign-service`, `bidding-service` and `analytics-service`, started at once on one fresh store.
    pub async fn start_as_three_processes() -> Self {
        Self::start_as_three_processes_with(&[]).await
    }

    /// With settings of all three.
    pub async fn start_as_three_processes_with(shared: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_owned();
        let with = |own: &[(&'static str, &str)]| -> Vec<(String, String)> {
            let both = shared.iter().chain(own);
            both.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let analytics = Service::start("analytics-service", &data_dir, &with(&[]));
        let bidding = Service::start(
            "bidding-service",
            &data_dir,
            &with(&[("PUBLIC_BIDDING_URL", PUBLIC_BIDDING_URL)]),
        );
        let campaigns = Service::start(
            "campaign-service",
            &data_dir,
            &with(&[
                ("ANALYTICS_URL", analytics.url.as_str()),
                ("BIDDING_URL", bidding.url.as_str()),
            ]),
        );
        let platform = Self {
            campaigns: campaigns.url,
            bidding: bidding.url,
            analytics: analytics.url,
            metrics: format!("{}/metrics", campaigns.metrics_url),
            key: ADMIN_KEY.to_owned(),
            data_dir,
            client: client(),
            processes: vec![campaigns.child, bidding.child, analytics.child],
            _folder: Some(folder),
        };
        platform.ready().await;
        // A bidder alone is ready before campaign-service has published the exchange.
        eventually("the bidder knows its exchange", || async {
            let (status, _) = platform.offer(banner_request("first").to_string()).await;
            (status != StatusCode::NOT_FOUND).then_some(())
        })
        .await;
        platform
    }
}

struct Service {
    child: Child,
    url: String,
    metrics_url: String,
}

impl Service {
    /// Starts it on free ports and waits until it has said which.
    fn start(name: &str, data_dir: &Path, settings: &[(String, String)]) -> Self {
        let mut child = command(name)
            .env("HTTP_ADDR", "127.0.0.1:0")
            .env("METRICS_ADDR", "127.0.0.1:0")
            .env("DATA_DIR", data_dir)
            .env("ADMIN_API_KEY", ADMIN_KEY)
            .env("LOG_FORMAT", "json")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut url, mut metrics_url) = (None, None);
        while url.is_none() || metrics_url.is_none() {
            let line = log.next().expect("a service that listens says so").unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            let said = || Some(format!("http://{}", line["addr"].as_str()?));
            if line["message"] == "listening" && line["name"] == name {
                url = said();
            } else if line["message"] == "listening" && line["name"] == "metrics" {
                metrics_url = said();
            }
        }
        // Drained, so that the process never blocks.
        std::thread::spawn(move || log.for_each(drop));
        Self {
            child,
            url: url.unwrap(),
            metrics_url: metrics_url.unwrap(),
        }
    }
}
