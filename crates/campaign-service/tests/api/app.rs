//! The vocabulary of the tests: an app, its clients, and bodies that are right.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use campaign_service::{Config, Ports};
use http_body_util::BodyExt;
use platform::{Clock, Metrics, Process, ProcessSettings, Readiness, Settings, Shutdown};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use storage_sqlite::SqliteStore;
use tower::ServiceExt;

pub(crate) const ADMIN_KEY: &str = "an-administrators-key";
/// 2026-11-23T12:00:00Z.
pub(crate) const NOON_MS: i64 = 1_795_435_200_000;

pub(crate) struct TestApp {
    pub(crate) router: Router,
    pub(crate) clock: Clock,
    pub(crate) ports: Ports,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    shutdown: Shutdown,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.background().cancel();
    }
}

pub(crate) async fn memory_ports(clock: &Clock) -> Ports {
    let ledger_clock = clock.clone();
    let store = SqliteStore::open("sqlite::memory:", Arc::new(move || ledger_clock.unix_ms()))
        .await
        .unwrap();
    let store = Arc::new(store);
    Ports {
        campaigns: store.clone(),
        ledger: store.clone(),
        log: store.clone(),
        users: store,
    }
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        let clock = Clock::manual(NOON_MS);
        let ports = memory_ports(&clock).await;
        Self::over(ports, clock, &[])
    }

    pub(crate) fn over(ports: Ports, clock: Clock, settings: &[(&str, &str)]) -> Self {
        let mut pairs = vec![("ADMIN_API_KEY", ADMIN_KEY)];
        // A journey is no flood.
        pairs.push(("API_RATE_LIMIT_PER_SECOND", "100000"));
        pairs.retain(|(name, _)| !settings.iter().any(|(set, _)| set == name));
        pairs.extend_from_slice(settings);
        let mut settings = Settings::from_pairs(pairs);
        let config = Config::read(&mut settings);
        let process_settings = ProcessSettings::read(&mut settings);
        settings.finish().unwrap();
        let process = Process {
            clock,
            ..Process::new("test", process_settings).unwrap()
        };
        let app = campaign_service::build(&config, ports.clone(), &process).unwrap();
        Self {
            router: app.router,
            ports,
            clock: process.clock,
            readiness: process.readiness,
            metrics: process.metrics,
            shutdown: process.shutdown,
        }
    }

    pub(crate) fn with_key<'a>(&'a self, key: &str) -> Client<'a> {
        Client {
            app: self,
            key: Some(key.to_owned()),
            headers: Vec::new(),
        }
    }

    pub(crate) fn admin(&self) -> Client<'_> {
        self.with_key(ADMIN_KEY)
    }

    pub(crate) fn nobody(&self) -> Client<'_> {
        Client {
            app: self,
            key: None,
            headers: Vec::new(),
        }
    }

    pub(crate) async fn advertiser(&self) -> String {
        self.admin()
            .post("/advertisers", json!({"name": "Acme"}))
            .await
            .created()
    }

    /// A campaign of a new advertiser.
    pub(crate) async fn campaign(&self) -> String {
        let advertiser = self.advertiser().await;
        self.admin()
            .post("/campaigns", campaign_of(&advertiser))
            .await
            .created()
    }

    /// A key of the role for the advertiser.
    pub(crate) async fn key(&self, role: &str, advertiser: &str) -> String {
        let body = json!({"name": "a key", "role": role, "advertiser_id": advertiser});
        let reply = self.admin().post("/keys", body).await.expect(StatusCode::CREATED);
        reply.body["key"].as_str().unwrap().to_owned()
    }
}

pub(crate) struct Client<'a> {
    app: &'a TestApp,
    key: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl Client<'_> {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) async fn get(self, path: &str) -> Reply {
        self.send(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn post(self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Body::from(body.to_string())).await
    }

    pub(crate) async fn patch(self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, Body::from(body.to_string())).await
    }

    pub(crate) async fn send(self, method: Method, path: &str, body: Body) -> Reply {
        let mut request = Request::builder().method(method).uri(path.replace(' ', "%20"));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let response = self
            .app
            .router
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&text).unwrap_or(Value::Null),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        self.expect(StatusCode::OK).body
    }

    /// The id of what was created.
    #[track_caller]
    pub(crate) fn created(self) -> String {
        self.expect(StatusCode::CREATED).body["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    /// `pointer code` of every mistake told.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| format!("{} {}", text(error, "pointer"), text(error, "code")))
            .collect()
    }

    pub(crate) fn items(&self) -> Vec<Value> {
        self.body["items"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.items()
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub(crate) fn campaign_of(advertiser: &str) -> Value {
    json!({
        "advertiser_id": advertiser,
        "name": "Autumn",
        "status": "active",
        "flight": {"start": "2026-11-01T00:00:00Z", "end": "2026-12-31T00:00:00Z", "time_zone": "Europe/Berlin"},
        "budget": {"currency": "USD", "daily_micros": 50_000_000, "total_micros": 1_000_000_000},
        "bid": {"max_cpm_micros": 2_000_000},
        "targeting": {"geo": {"allow": [{"country": "USA"}]}},
    })
}

pub(crate) fn banner() -> Value {
    json!({
        "name": "Leaderboard",
        "format": "banner",
        "markup": "<a href=\"{CLICK_URL}\">buy</a>",
        "width": 728,
        "height": 90,
        "click_url": "https://shop.example/autumn",
        "adomain": ["shop.example"],
    })
}

/// Asks again until it holds, within the deadline.
pub(crate) async fn within<F, Fut>(deadline: Duration, mut holds: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let until = tokio::time::Instant::now() + deadline;
    while !holds().await {
        assert!(
            tokio::time::Instant::now() < until,
            "did not come to hold within {deadline:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
