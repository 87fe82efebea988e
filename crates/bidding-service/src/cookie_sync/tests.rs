use super::*;
use crate::metrics::BiddingMetrics;
use axum::body::Body;
use axum::http::Request;
use domain::serving::ServingExchange;
use serde_json::{Value, json};
use storage_sqlite::SqliteStore;
use tower::ServiceExt;

const NOW_MS: i64 = 1_790_000_000_000;
const OURS: &str = "0123456789abcdef0123456789abcdef";
const REDIRECT: &str = "https://ex.example/match?u={UID}&g={GDPR}&c={GDPR_CONSENT}&s={GPP_SID}";

struct Site {
    store: Arc<SqliteStore>,
    router: Router,
}

impl Site {
    async fn with(user_sync: Value) -> Self {
        let clock = Clock::manual(NOW_MS);
        let ledger_clock = clock.clone();
        let store = SqliteStore::open("sqlite::memory:", Arc::new(move || ledger_clock.unix_ms())).await;
        let store = Arc::new(store.unwrap());
        let exchange: ServingExchange = serde_json::from_value(json!({
            "schema": 1, "generation": 1, "revision": 1,
            "exchange": {
                "id": "ex", "name": "ex", "user_sync": user_sync,
                "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            },
        }))
        .unwrap();
        let live = Live {
            snapshot: bidding_engine::Snapshot::build([], &[exchange]),
            ..Live::default()
        };
        let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
        let live = Arc::new(ArcSwap::from_pointee(live));
        let sync = CookieSync::new(live, store.clone(), clock, metrics.money.notices);
        Self {
            store,
            router: router(sync),
        }
    }

    async fn get(&self, url: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn linked_to(&self, user_key: &str) -> Option<String> {
        UserStates::read(&*self.store, user_key, NOW_MS)
            .await
            .unwrap()
            .linked_to
    }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    Some(response.headers().get(name)?.to_str().unwrap())
}

fn cookie_of(response: &Response) -> &str {
    let cookie = header(response, "set-cookie").unwrap();
    let (id, attributes) = cookie.strip_prefix("adp_uid=").unwrap().split_once("; ").unwrap();
    assert_eq!(
        attributes,
        "Path=/sync; Max-Age=33696000; Secure; HttpOnly; SameSite=None"
    );
    id
}

#[tokio::test]
async fn a_browser_is_sent_to_the_exchanges_url_with_our_id() {
    let site = Site::with(json!({"redirect_url": REDIRECT})).await;
    let response = site.get("/sync/ex?gdpr=0&gpp_sid=0", &[]).await;
    assert_eq!(response.status(), StatusCode::FOUND);
    let id = cookie_of(&response);
    assert_eq!(id.len(), 32);
    let expected = format!("https://ex.example/match?u={id}&g=0&c=&s=0");
    assert_eq!(header(&response, "location"), Some(expected.as_str()));
}

#[tokio::test]
async fn a_known_browser_keeps_its_id_and_callers_choose_no_place() {
    let site = Site::with(json!({"redirect_url": REDIRECT})).await;
    let cookie = format!("a=b; adp_uid={OURS}");
    let url =
        "/sync/ex?gdpr=0&gdpr_consent=a%26b%0d%0aX:&redirect=https://evil.example&url=https://evil.example";
    let response = site.get(url, &[("cookie", &cookie)]).await;
    assert_eq!(cookie_of(&response), OURS);
    let expected = format!("https://ex.example/match?u={OURS}&g=0&c=a%26b%0D%0AX%3A&s=");
    assert_eq!(header(&response, "location"), Some(expected.as_str()));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    let forged = site.get("/sync/ex", &[("cookie", "adp_uid=<script>")]).await;
    assert_eq!(cookie_of(&forged).len(), 32);
}

#[tokio::test]
async fn an_exchanges_id_stands_for_ours_where_it_may_say_it() {
    let site = Site::with(json!({"accepts_ids": true})).await;
    let cookie = format!("adp_uid={OURS}");
    let response = site.get("/sync/ex?uid=Their%2FId", &[("cookie", &cookie)]).await;
    assert_eq!(
        (response.status(), header(&response, "content-type")),
        (StatusCode::OK, Some("image/gif"))
    );
    let ours = format!("buyeruid:{OURS}");
    assert_eq!(site.linked_to("id:ex:Their/Id").await, Some(ours));
    let endless = format!("/sync/ex?uid={}", "x".repeat(300));
    assert_eq!(
        site.get(&endless, &[("cookie", &cookie)]).await.status(),
        StatusCode::OK
    );
    let closed = Site::with(json!({"redirect_url": REDIRECT})).await;
    closed.get("/sync/ex?uid=u", &[("cookie", &cookie)]).await;
    assert_eq!(closed.linked_to("id:ex:u").await, None);
}

#[tokio::test]
async fn without_a_lawful_signal_there_is_no_cookie_no_redirect_and_no_link() {
    let site = Site::with(json!({"redirect_url": REDIRECT, "accepts_ids": true})).await;
    let none: [(&str, &str); 0] = [];
    for (query, headers) in [
        ("gdpr=1", &none[..]),
        (
            "gdpr=1&gdpr_consent=CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA",
            &none,
        ),
        ("us_privacy=1YYN", &none),
        ("gpp_sid=7", &none),
        ("gpp_sid=x", &none),
        ("", &[("sec-gpc", "1")]),
        ("", &[("dnt", "1")]),
    ] {
        for uid in ["", "&uid=u"] {
            let response = site.get(&format!("/sync/ex?{query}{uid}"), headers).await;
            assert_eq!(response.status(), StatusCode::OK, "{query}");
            assert_eq!(header(&response, "set-cookie"), None, "{query}");
        }
    }
    assert_eq!(site.linked_to("id:ex:u").await, None);
}

#[tokio::test]
async fn an_exchange_that_matches_nobody_is_not_there() {
    let site = Site::with(Value::Null).await;
    for url in ["/sync/ex", "/sync/other"] {
        assert_eq!(site.get(url, &[]).await.status(), StatusCode::NOT_FOUND);
    }
}
