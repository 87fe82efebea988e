//! A running service over a store in memory, and the words to use it with.

use analytics_service::{Config, Ports, build, wiring};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use domain::api_key::{ApiKey, KeyRole, KeyStatus, sha256_hex};
use http_body_util::BodyExt;
use jiff::Timestamp;
use platform::{Clock, Process, ProcessSettings, Settings};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use storage::campaign_store::{Change, Document, Kind, Write};
use storage::event_log::{NewRecord, Topic};
use storage::{CampaignStore, EventLog, ReportStore};
use storage_sqlite::SqliteStore;
use tower::ServiceExt;

pub(crate) const ADMIN_KEY: &str = "an administrator's key";
/// 2026-11-23T10:20:00Z.
pub(crate) const NOW_MS: i64 = 1_795_429_200_000;
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct App {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) process: Process,
    router: Router,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

pub(crate) async fn store() -> Arc<SqliteStore> {
    Arc::new(
        SqliteStore::open("sqlite::memory:", Arc::new(|| NOW_MS))
            .await
            .unwrap(),
    )
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::on(store().await)
    }

    pub(crate) fn on(store: Arc<SqliteStore>) -> Self {
        let ports = wiring::embedded(store.clone());
        Self::with(store, ports)
    }

    pub(crate) fn with(store: Arc<SqliteStore>, ports: Ports) -> Self {
        let settings = ProcessSettings::read(&mut Settings::from_pairs([]));
        let mut process = Process::new("analytics-service", settings).unwrap();
        process.clock = Clock::manual(NOW_MS);
        let config = Config::read(&mut Settings::from_pairs([("ADMIN_API_KEY", ADMIN_KEY)]));
        let router = build(&config, ports, &process).unwrap().router;
        Self {
            store,
            process,
            router,
        }
    }

    /// As a signal does; returns when every reader has ended.
    pub(crate) async fn stop(self) -> Arc<SqliteStore> {
        self.process.shutdown.request("test");
        self.process.shutdown.finished().await;
        self.store
    }

    pub(crate) async fn append<E: Serialize>(&self, topic: Topic, events: &[E]) {
        append(&self.store, topic, events).await;
    }

    /// Waits until everything appended so far is in the reports.
    pub(crate) async fn caught_up(&self) {
        for topic in analytics_service::fold::TOPICS {
            let end_offset = self.store.end_offset(topic, 0).await.unwrap();
            eventually("the readers have caught up", || async {
                self.store.offsets(&[(topic, 0)]).await.unwrap()[0] >= end_offset
            })
            .await;
        }
    }

    pub(crate) async fn get(&self, path: &str, key: &str) -> Answer {
        self.get_as(path, key, "application/json").await
    }

    pub(crate) async fn get_as(&self, path: &str, key: &str, accept: &str) -> Answer {
        let mut request = Request::get(path).header("accept", accept);
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// The report for these parameters, as an administrator sees it.
    pub(crate) async fn report(&self, query: &str) -> Value {
        let answer = self.get(&format!("/analytics/report?{query}"), ADMIN_KEY).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    }

    pub(crate) async fn counted_clicks(&self) -> i64 {
        let report = self.report("metrics=clicks").await;
        report["totals"]["clicks"].as_i64().unwrap()
    }

    /// The value of one series in `/metrics`, as text.
    pub(crate) fn metric(&self, series: &str) -> Option<String> {
        let text = self.process.metrics.encode().unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(str::to_owned)
    }

    /// A stored key of an advertiser, as campaign-service stores it; answers its text.
    pub(crate) async fn key(
        &self,
        id: &str,
        role: KeyRole,
        advertiser: Option<&str>,
        status: KeyStatus,
    ) -> String {
        let key = ApiKey {
            id: id.into(),
            name: id.to_owned(),
            role,
            advertiser_id: advertiser.map(Into::into),
            status,
            secret_sha256: sha256_hex(b"s3cret"),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        self.document(Kind::Key, id, serde_json::to_value(key).unwrap())
            .await;
        format!("adp_{id}_s3cret")
    }

    pub(crate) async fn document(&self, kind: Kind, id: &str, body: Value) {
        let document = Document {
            kind,
            id: id.to_owned(),
            advertiser_id: body["advertiser_id"].as_str().map(str::to_owned),
            parent_id: None,
            external_id: None,
            name: id.to_owned(),
            status: "active".to_owned(),
            version: 1,
            created_at_ms: 0,
            updated_at_ms: 0,
            body,
        };
        let write = Write {
            changes: vec![Change { document }],
            announcements: Vec::new(),
            actor: "test".to_owned(),
            now_ms: NOW_MS,
            idempotency: None,
            traceparent: None,
        };
        self.store.write(write).await.unwrap();
    }
}

pub(crate) async fn append<E: Serialize>(store: &SqliteStore, topic: Topic, events: &[E]) {
    let records = events
        .iter()
        .map(|event| record(serde_json::to_vec(event).unwrap()));
    store.append(topic, records.collect(), NOW_MS).await.unwrap();
}

pub(crate) fn record(value: Vec<u8>) -> NewRecord {
    NewRecord {
        key: "a bid".to_owned(),
        value: Some(value),
    }
}

/// Looks again and again, within reason, until the condition holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, looking).await.is_ok(),
        "{what}: not within {PATIENCE:?}"
    );
}
