//! An advertiser at work: creates campaigns all the time, and remembers what was acknowledged.

use adplatform_tests::Platform;
use adplatform_tests::fixtures::{USD, campaign};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) acknowledged: Mutex<BTreeSet<String>>,
    /// 503 with a time to come back.
    pub(crate) put_off: AtomicU64,
    /// Other answers that are no acknowledgement, and requests that got none for too long.
    pub(crate) unexpected: Mutex<Vec<String>>,
}

pub(crate) struct Editor {
    pub(crate) changes: Arc<Changes>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Editor {
    pub(crate) fn start(platform: &Platform, advertiser_id: &str) -> Self {
        let changes = Arc::new(Changes::default());
        let stop = Arc::new(AtomicBool::new(false));
        let work = Work {
            client: Client::builder()
                .timeout(Duration::from_secs(20))
                .build()
                .unwrap(),
            url: format!("{}/campaigns", platform.campaigns),
            key: platform.key.clone(),
            // A draft is stored and published like any other, and wins nobody's auctions.
            body: {
                let mut body = campaign(advertiser_id, USD, USD);
                body["status"] = "draft".into();
                body
            },
            changes: changes.clone(),
            stop: stop.clone(),
        };
        Self {
            changes,
            stop,
            task: tokio::spawn(work.run()),
        }
    }

    pub(crate) async fn finish(self) -> Arc<Changes> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.changes
    }
}

struct Work {
    client: Client,
    url: String,
    key: String,
    body: Value,
    changes: Arc<Changes>,
    stop: Arc<AtomicBool>,
}

impl Work {
    async fn run(self) {
        while !self.stop.load(Ordering::Relaxed) {
            self.create().await;
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn create(&self) {
        let request = self
            .client
            .post(&self.url)
            .bearer_auth(&self.key)
            .json(&self.body);
        // Refused or cut off while the service itself is down: nothing was acknowledged.
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => return self.unexpected(error.to_string()),
            Err(_) => return,
        };
        let status = answer.status();
        let comes_back = answer.headers().contains_key("retry-after");
        let text = answer.text().await.unwrap_or_default();
        match status {
            StatusCode::CREATED => {
                let created: Value = serde_json::from_str(&text).unwrap();
                let id = created["id"].as_str().unwrap().to_owned();
                self.changes.acknowledged.lock().unwrap().insert(id);
            }
            StatusCode::SERVICE_UNAVAILABLE if comes_back => {
                self.changes.put_off.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.unexpected(format!("{status} {text}")),
        }
    }

    fn unexpected(&self, what: String) {
        self.changes.unexpected.lock().unwrap().push(what);
    }
}
