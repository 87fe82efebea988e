//! A running service with its store, and words for what a test does with it.

use bidding_service::{App, Config, build, wiring};
use bumpalo::Bump;
use domain::period::days;
use jiff::Timestamp;
use openrtb::BidResponse;
use platform::{Process, ProcessSettings, Server, ServerOptions, Settings};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::event_log::{EventLog, NewRecord, Topic};
use storage_sqlite::SqliteStore;
use tempfile::TempDir;

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) process: Process,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) addr: SocketAddr,
    client: Client,
    _spool_dir: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// The embedded log, and what stands before it.
pub(crate) type BeforeTheLog = fn(Arc<SqliteStore>) -> Arc<dyn EventLog>;

/// What a stage is made of.
pub(crate) struct Setting<'a> {
    pub(crate) settings: Vec<(&'a str, String)>,
    pub(crate) exchanges: Vec<Value>,
    pub(crate) campaigns: Vec<Value>,
    /// Stands in for the store of user states.
    pub(crate) user_states: Option<Arc<dyn storage::UserStates>>,
    /// Stands before the embedded event log.
    pub(crate) event_log: Option<BeforeTheLog>,
    /// Changes what no setting says.
    pub(crate) tune: fn(&mut Config),
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self {
            settings: Vec::new(),
            exchanges: vec![exchange("default", json!({}))],
            campaigns: Vec::new(),
            user_states: None,
            event_log: None,
            tune: |_| {},
        }
    }
}

impl Stage {
    /// One exchange, `default`, and these campaigns.
    pub(crate) async fn with(campaigns: impl IntoIterator<Item = Value>) -> Self {
        Self::set(Setting {
            campaigns: campaigns.into_iter().collect(),
            ..Setting::default()
        })
        .await
    }

    pub(crate) async fn set(setting: Setting<'_>) -> Self {
        let spool_dir = tempfile::tempdir().unwrap();
        let mut pairs = vec![
            ("HTTP_ADDR", "127.0.0.1:0".to_owned()),
            ("METRICS_ADDR", "127.0.0.1:0".to_owned()),
            ("DATABASE_URL", "sqlite::memory:".to_owned()),
            ("SPOOL_DIR", spool_dir.path().display().to_string()),
            ("PUBLIC_BIDDING_URL", "https://bidding.example".to_owned()),
            ("NOTICE_SECRET", format!("k1:{}", "s".repeat(32))),
            // Machines that build are slow at times; tests of the deadline set their own.
            ("BID_TIMEOUT_MS", "5000".to_owned()),
        ];
        pairs.extend(setting.settings);
        let mut settings =
            Settings::from_env_and_file(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let process_settings = ProcessSettings::read(&mut settings);
        let mut config = Config::read(&mut settings);
        settings.finish().unwrap();
        (setting.tune)(&mut config);
        let process = Process::new("bidding-service", process_settings).unwrap();
        let clock = process.clock.clone();
        let store = SqliteStore::open(&config.backends.embedded_url, Arc::new(move || clock.unix_ms()))
            .await
            .unwrap();
        let store = Arc::new(store);
        let mut ports = wiring::embedded(store.clone());
        if let Some(user_states) = setting.user_states {
            ports.user_states = user_states;
        }
        if let Some(event_log) = setting.event_log {
            ports.event_log = event_log(store.clone());
        }
        let server = Server::bind(
            "bidding-service",
            process.settings.http_addr,
            ServerOptions::default(),
        );
        let server = server.await.unwrap();
        let mut stage = Self {
            process,
            store,
            addr: server.local_addr(),
            client: Client::new(),
            _spool_dir: spool_dir,
        };
        for exchange in &setting.exchanges {
            stage
                .publish(Topic::Exchanges, &exchange["exchange"]["id"], exchange)
                .await;
        }
        for campaign in &setting.campaigns {
            stage
                .publish(Topic::Campaigns, &campaign["campaign"]["id"], campaign)
                .await;
        }
        let App { router } = build(&config, ports, &stage.process).unwrap();
        server.serve(router, &stage.process.shutdown);
        // Without an exchange there is nothing to be ready for.
        if !setting.exchanges.is_empty() {
            stage
                .until("ready", |stage| stage.process.readiness.is_ready())
                .await;
        }
        stage.client = Client::builder().build().unwrap();
        stage
    }

    pub(crate) async fn publish(&self, topic: Topic, key: &Value, value: &Value) {
        let record = NewRecord {
            key: key.as_str().unwrap().to_owned(),
            value: (!value.is_null()).then(|| value.to_string().into_bytes()),
        };
        self.store
            .append(topic, vec![record], self.process.clock.unix_ms())
            .await
            .unwrap();
    }

    /// Polls until it holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < give_up, "never came: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let mut request = self.client.post(self.url(path)).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        assert!(response.headers().get(CONTENT_ENCODING).is_none());
        Answer {
            status: response.status(),
            content_type: header(CONTENT_TYPE.as_str()),
            version: header("x-openrtb-version"),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    pub(crate) async fn bid(&self, request: &Value) -> Answer {
        self.post("/openrtb2/bid", &[], request.to_string()).await
    }

    pub(crate) async fn bid_until_won(&self, request: &Value) -> Value {
        self.bid_until(request, StatusCode::OK).await.json()
    }

    pub(crate) async fn bid_until(&self, request: &Value, status: StatusCode) -> Answer {
        self.until_answered("/openrtb2/bid", &[], request.to_string().as_bytes(), status)
            .await
    }

    /// Repeats the request until it is answered so: leases and changes take a moment, pacing spreads bids.
    pub(crate) async fn until_answered(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        status: StatusCode,
    ) -> Answer {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let answer = self.post(path, headers, body).await;
            if answer.status == status {
                return answer;
            }
            assert!(
                Instant::now() < give_up,
                "never {status} from {path}\n{}",
                self.reasons()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The value of one series, 0 when it is not there.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.process.metrics.encode().unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_default()
    }

    /// Why there are no bids, for messages.
    pub(crate) fn reasons(&self) -> String {
        let text = self.process.metrics.encode().unwrap();
        let is_told = |line: &&str| line.starts_with("bid_no_bid_reasons_total") && !line.ends_with(" 0");
        text.lines().filter(is_told).collect::<Vec<_>>().join("\n")
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK);
        assert_eq!(self.content_type.as_deref(), Some("application/json"));
        assert_eq!(self.version.as_deref(), Some("2.6"));
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn is_empty_with(&self, status: StatusCode) -> bool {
        self.status == status && self.body.is_empty()
    }
}

/// Every rule of openrtb.md, "Response", that can be seen from outside.
pub(crate) fn assert_well_formed(request: &Value, response: &[u8]) {
    let (request_text, arena) = (request.to_string(), Bump::new());
    let asked = openrtb::read_request(request_text.as_bytes(), &arena).unwrap();
    let response: BidResponse<'_> = openrtb::read_response(response, &arena).unwrap();
    assert_eq!(response.id, asked.id);
    assert!(asked.cur.contains(&response.cur.unwrap_or("USD")));
    assert!(!response.seatbid.is_empty());
    let mut ids = Vec::new();
    for bid in response.seatbid.iter().flat_map(|seat| seat.bid) {
        let imp = asked
            .imp
            .iter()
            .find(|imp| imp.id == bid.impid)
            .expect("the bid names an imp");
        assert!(bid.price_micros > 0);
        if imp.bidfloorcur == response.cur.unwrap_or("USD") && bid.dealid.is_none() {
            assert!(bid.price_micros >= imp.bidfloor_micros);
        }
        let offered = match bid.mtype {
            Some(1) => imp.banner.is_some(),
            Some(2) => imp.video.is_some(),
            Some(3) => imp.audio.is_some(),
            Some(4) => imp.native.is_some(),
            _ => false,
        };
        assert!(offered, "mtype {:?}", bid.mtype);
        let [adm] = bid.adm else { panic!("no adm") };
        assert!(!adm.contains("{CLICK_URL}") && adm.contains("https://bidding.example/event/impression?t="));
        if bid.mtype == Some(1) {
            assert!(adm.len() < 6 * 1_024);
        }
        let nurl = bid.nurl.concat();
        assert!(
            nurl.starts_with("https://bidding.example/notice/win?t=")
                && nurl.ends_with("&p=${AUCTION_PRICE}")
        );
        assert!(
            bid.burl
                .concat()
                .starts_with("https://bidding.example/notice/billing?t=")
        );
        assert!(bid.lurl.concat().contains("&r=${AUCTION_LOSS}"));
        assert!(!bid.adomain.is_empty() && bid.cid.is_some());
        assert!(bid.crid.is_some_and(|crid| !crid.is_empty() && crid.len() <= 64));
        ids.push(bid.id);
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "bid ids are unique");
}

pub(crate) fn exchange(id: &str, spec: Value) -> Value {
    let mut exchange = json!({"id": id, "name": id, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"});
    for (name, value) in spec.as_object().unwrap() {
        exchange[name] = value.clone();
    }
    json!({"schema": 1, "generation": 1, "revision": 1, "exchange": exchange})
}

/// A rich campaign that anyone may see, in flight now.
pub(crate) fn campaign(id: &str, creatives: impl IntoIterator<Item = Value>) -> Value {
    let flight =
        serde_json::from_value(json!({"start": "2026-01-01T00:00:00Z", "time_zone": "UTC"})).unwrap();
    let creatives: Vec<Value> = creatives
        .into_iter()
        .enumerate()
        .map(|(at, mut creative)| {
            creative["id"] = format!("crv_{id}_{at}").into();
            creative["campaign_id"] = id.into();
            creative
        })
        .collect();
    json!({
        "schema": 1, "generation": 1, "revision": 1,
        "campaign": {
            "id": id, "advertiser_id": format!("adv_{id}"), "name": id, "status": "active", "pacing": "asap",
            "flight": flight_of(&flight), "bid": {"max_cpm_micros": 50_000_000},
            "budget": {"currency": "USD", "daily_micros": 1_000_000_000_000_i64},
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        },
        "advertiser": {"id": format!("adv_{id}"), "status": "active", "legal_name": "Acme Ltd", "conversion_lookback_days": 30},
        "creatives": creatives,
        "limits": {"daily_nanos": 1_000_000_000_000_000_i64, "total_nanos": null},
        "days": days(&flight, Timestamp::now(), 3),
    })
}

fn flight_of(flight: &domain::campaign::Flight) -> Value {
    serde_json::to_value(flight).unwrap()
}

fn creative(spec: Value) -> Value {
    let mut creative = json!({
        "version": 1, "name": "n", "click_url": "https://shop.example/?c={CLICK_ID}", "adomain": ["shop.example"],
        "categories": ["IAB22"], "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    for (name, value) in spec.as_object().unwrap() {
        creative[name] = value.clone();
    }
    creative
}

pub(crate) fn banner(width: u32, height: u32) -> Value {
    creative(json!({
        "format": "banner", "width": width, "height": height,
        "markup": "<a href=\"{CLICK_URL}\"><img src=\"https://cdn.example/x.png?{CACHEBUSTER}\"></a>",
    }))
}

pub(crate) fn video() -> Value {
    creative(json!({
        "format": "video", "width": 640, "height": 480, "duration_ms": 15_000, "mimes": ["video/mp4"], "protocols": [2, 3, 5, 6],
        "markup": "<VAST version=\"3.0\"><Ad><InLine><AdSystem>a</AdSystem><AdTitle>t</AdTitle><Impression/>\
                   <Creatives><Creative><Linear><Duration>00:00:15</Duration><MediaFiles><MediaFile type=\"video/mp4\" width=\"640\" \
                   height=\"480\" delivery=\"progressive\"><![CDATA[https://cdn.example/v.mp4]]></MediaFile></MediaFiles></Linear></Creative>\
                   </Creatives></InLine></Ad></VAST>",
    }))
}

pub(crate) fn audio() -> Value {
    creative(json!({
        "format": "audio", "duration_ms": 15_000, "mimes": ["audio/mpeg", "audio/mp4", "audio/mp3"], "protocols": [2, 3, 5, 6, 9],
        "vast_url": "https://vast.example/audio",
    }))
}

pub(crate) fn native() -> Value {
    creative(json!({
        "format": "native",
        "assets": [
            {"kind": "title", "text": "Buy"},
            {"kind": "image", "image_type": 3, "url": "https://cdn.example/main.png", "width": 1200, "height": 627},
            {"kind": "image", "image_type": 1, "url": "https://cdn.example/icon.png", "width": 80, "height": 80},
            {"kind": "data", "data_type": 1, "value": "Acme"},
            {"kind": "data", "data_type": 2, "value": "All you need"},
        ],
    }))
}

/// One imp on a site.
pub(crate) fn request(imp: Value) -> Value {
    let mut imp = imp;
    imp["id"] = "imp-1".into();
    json!({
        "id": "req-1", "imp": [imp], "site": {"id": "s", "domain": "news.example"},
        "device": {"devicetype": 2, "os": "Linux", "geo": {"country": "DEU"}},
    })
}

pub(crate) fn banner_request() -> Value {
    request(json!({"banner": {"w": 300, "h": 250}}))
}
