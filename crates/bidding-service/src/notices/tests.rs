//! The routes over real stores: what the outside sees of each notice.

mod conversions;

use super::*;
use crate::lease_keeper::LeaseKeeper;
use crate::metrics::BiddingMetrics;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use domain::currency::Currency;
use domain::event::Dimensions;
use domain::exchange::{Billing, PriceForm};
use domain::id::{AdvertiserId, BidId, BidderId, CampaignId};
use domain::money::Terms;
use domain::period::{Day, Limits};
use platform::{Readiness, Shutdown};
use std::sync::atomic::AtomicI64;
use storage::spend_ledger::{BalancesOf, LeaseRequest};
use storage::user_states::CounterKey;
use storage::{EventLog, SpendLedger, UserStates};
use storage_sqlite::SqliteStore;
use tower::ServiceExt;

const NOW_MS: i64 = 1_790_000_000_000;
const BID_NANOS: i64 = 2_000_000;
/// Of Google's sample code.
const SAMPLE_KEYS: &str =
    "google:skU7Ax_NL5pPAFyKdkfZjZz2-VhIN8bjj1rVFOaJ_5o=:arO23ykdNqUQ5LEoQ0FVmPkBd7xB5CO89PDZlSjpFxo=";

struct Site {
    clock: Clock,
    store: Arc<SqliteStore>,
    sealer: Arc<TokenSealer>,
    keeper: Arc<LeaseKeeper>,
    live: Arc<ArcSwap<Live>>,
    router: Router,
}

fn token() -> BidToken {
    BidToken {
        bid_id: BidId(7),
        bid_at_ms: NOW_MS,
        campaign_id: "cmp_1".into(),
        creative_id: "crv_1".into(),
        creative_version: 1,
        day: Day {
            date: "2026-09-21".to_owned(),
            start_ms: NOW_MS - 1_000,
            end_ms: NOW_MS + 80_000_000,
        },
        bidder_id: "bdr_1".into(),
        price_cpm_micros: BID_NANOS,
        bid_currency: Currency::USD,
        currency: Currency::USD,
        terms: Terms::default(),
        reserved_nanos: BID_NANOS,
        billing_window_ms: 60_000,
        user_key: Some("user".to_owned()),
        dimensions: Dimensions {
            advertiser: "adv_1".to_owned(),
            ..Dimensions::default()
        },
        billing: Billing::Notice,
        price_form: PriceForm::Plain,
        market: None,
        counters: vec![CounterKey {
            scope_id: "cmp_1".to_owned(),
            window_ms: 3_600_000,
        }],
        landing_url: "https://shop.example/?a=1&b=2".to_owned(),
        test: false,
    }
}

impl Site {
    async fn open() -> Self {
        let clock = Clock::manual(NOW_MS);
        let ledger_clock = clock.clone();
        let store = SqliteStore::open("sqlite::memory:", Arc::new(move || ledger_clock.unix_ms())).await;
        let store = Arc::new(store.unwrap());
        let lease = LeaseRequest {
            advertiser_id: "adv_1".into(),
            campaign_id: "cmp_1".into(),
            generation: 1,
            revision: 1,
            day: token().day,
            limits: Limits {
                daily_nanos: Some(100 * BID_NANOS),
                total_nanos: None,
            },
            wanted_nanos: 10 * BID_NANOS,
            bid_nanos: BID_NANOS,
            opportunities: 0,
            bids: 0,
            renewal: 0,
        };
        store.renew(0, &"bdr_1".into(), 8_000, &[lease]).await.unwrap();
        let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap())
            .unwrap()
            .money;
        let keeper = Arc::new(LeaseKeeper::new(
            store.clone(),
            BidderId::from("bdr_2"),
            clock.clone(),
            Arc::new(AtomicI64::new(5_000)),
            metrics.clone(),
            1,
        ));
        let counted = metrics.notices.clone();
        let dropped = metrics.events_dropped.with_label_values(&["prices"]);
        let shutdown = Shutdown::new(Default::default(), Readiness::new());
        let settlement = Settlement::new(
            store.clone(),
            store.clone(),
            store.clone(),
            keeper.clone(),
            clock.clone(),
            metrics,
        );
        let live: Arc<ArcSwap<Live>> = Arc::default();
        let sealer = Arc::new(TokenSealer::new(&[("k", [1_u8; 32])]).unwrap());
        let router = router(Notices {
            traces: platform::Traces::off(),
            sealer: sealer.clone(),
            settlement: Arc::new(settlement),
            shading: Shading::start("bdr_1".into(), dropped, &shutdown),
            clock: clock.clone(),
            live: live.clone(),
            price_keys: PriceKeys::parse(SAMPLE_KEYS).unwrap(),
            counted,
        });
        Self {
            clock,
            store,
            sealer,
            keeper,
            live,
            router,
        }
    }

    fn url(&self, path: &str, kind: TokenKind, token: &BidToken, rest: &str) -> String {
        format!("{path}?t={}{rest}", self.sealer.seal(kind, token))
    }

    async fn call(&self, method: Method, url: &str) -> axum::http::Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .body(Body::empty())
            .unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, url: &str) -> StatusCode {
        self.call(Method::GET, url).await.status()
    }

    /// (spent, pending) of the campaign's lifetime.
    async fn account(&self) -> (i64, i64) {
        let of = [(AdvertiserId::from("adv_1"), CampaignId::from("cmp_1"))];
        let balances = self.store.balances(BalancesOf::Campaigns(&of)).await.unwrap();
        let lifetime = balances
            .iter()
            .find(|balance| balance.day.is_none())
            .unwrap()
            .account;
        (lifetime.spent_nanos, lifetime.pending_nanos)
    }

    async fn records(&self, topic: storage::event_log::Topic) -> i64 {
        let log: &dyn EventLog = &*self.store;
        let mut records = 0;
        for partition in 0..log.partitions(topic).await.unwrap() {
            records += log.end_offset(topic, partition).await.unwrap();
        }
        records
    }
}

use storage::event_log::Topic;

#[tokio::test]
async fn a_win_and_its_billing_charge_what_cleared_once() {
    let site = Site::open().await;
    let win = site.url("/notice/win", TokenKind::Win, &token(), "&p=1.5");
    let billing = site.url("/notice/billing", TokenKind::Billing, &token(), "&p=1.5");
    assert_eq!(site.get(&win).await, StatusCode::OK);
    assert_eq!(site.account().await, (0, BID_NANOS));
    for method in [Method::POST, Method::GET] {
        assert_eq!(site.call(method, &billing).await.status(), StatusCode::OK);
        assert_eq!(site.account().await, (1_500_000, 0));
    }
    assert_eq!(site.get(&win).await, StatusCode::OK);
    assert_eq!(site.account().await, (1_500_000, 0));
    assert_eq!(
        (site.records(Topic::Wins).await, site.records(Topic::Spend).await),
        (1, 1)
    );
}

#[tokio::test]
async fn a_price_above_the_bid_or_none_charges_the_bid() {
    for price in ["&p=99", "&p=", "", "&p=${AUCTION_PRICE}"] {
        let site = Site::open().await;
        let billing = site.url("/notice/billing", TokenKind::Billing, &token(), price);
        assert_eq!(site.get(&billing).await, StatusCode::OK);
        assert_eq!(site.account().await.0, BID_NANOS, "{price}");
    }
}

#[tokio::test]
async fn an_encrypted_price_is_charged_and_one_that_no_key_opens_charges_the_bid() {
    for (price, charged) in [
        // 1,900 micros for one impression: a CPM of 1.90.
        ("YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOgA", 1_900_000),
        ("YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOlA", BID_NANOS),
        ("1.25", BID_NANOS),
        ("", BID_NANOS),
    ] {
        let site = Site::open().await;
        let token = BidToken {
            price_form: PriceForm::Encrypted {
                key_name: "google".to_owned(),
                unit: domain::exchange::PriceUnit::CpiMicros,
                suffix: None,
            },
            ..token()
        };
        let billing = site.url(
            "/notice/billing",
            TokenKind::Billing,
            &token,
            &format!("&p={price}"),
        );
        assert_eq!(site.get(&billing).await, StatusCode::OK);
        assert_eq!(site.account().await.0, charged, "{price}");
    }
}

#[tokio::test]
async fn an_audit_and_a_test_bid_are_acknowledged_and_spend_nothing() {
    let site = Site::open().await;
    let test = BidToken {
        test: true,
        ..token()
    };
    for url in [
        site.url("/notice/billing", TokenKind::Billing, &token(), "&p=AUDIT"),
        site.url("/notice/win", TokenKind::Win, &token(), "&p=AUDIT"),
        site.url("/notice/win", TokenKind::Win, &test, "&p=1"),
        site.url("/notice/billing", TokenKind::Billing, &test, "&p=1"),
        site.url("/event/impression", TokenKind::Impression, &test, ""),
    ] {
        assert_eq!(site.get(&url).await, StatusCode::OK);
    }
    assert_eq!(site.account().await, (0, 0));
    assert_eq!(
        site.records(Topic::Spend).await + site.records(Topic::Impressions).await,
        0
    );
}

#[tokio::test]
async fn forged_expired_and_misused_tokens_are_refused_without_a_body() {
    let site = Site::open().await;
    let misused = site.url("/notice/billing", TokenKind::Impression, &token(), "&p=1");
    let expired = site.url("/notice/win", TokenKind::Win, &token(), "&p=1");
    assert_eq!(site.get("/notice/win").await, StatusCode::FORBIDDEN);
    assert_eq!(site.get("/event/click?t=AAAA").await, StatusCode::FORBIDDEN);
    assert_eq!(site.get(&misused).await, StatusCode::FORBIDDEN);
    site.clock.advance(3_600_000);
    let refused = site.call(Method::GET, &expired).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(
        axum::body::to_bytes(refused.into_body(), 1)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(site.account().await, (0, 0));
}

#[tokio::test]
async fn an_impression_is_a_gif_and_counts_once_for_the_users_caps() {
    let site = Site::open().await;
    let url = site.url("/event/impression", TokenKind::Impression, &token(), "");
    for _ in 0..2 {
        let pixel = site.call(Method::GET, &url).await;
        assert_eq!(pixel.headers()[header::CONTENT_TYPE], "image/gif");
        assert_eq!(pixel.headers()[header::CACHE_CONTROL], "no-store");
    }
    let state = UserStates::read(&*site.store, "user", NOW_MS).await.unwrap();
    assert_eq!(state.counters, [(token().counters[0].clone(), 1)]);
    assert_eq!(
        (site.account().await.0, site.records(Topic::Impressions).await),
        (0, 1)
    );
}

#[tokio::test]
async fn where_the_pixel_bills_the_impression_charges_and_the_billing_notice_does_not() {
    let site = Site::open().await;
    let token = BidToken {
        billing: Billing::Pixel,
        ..token()
    };
    let burl = site.url("/notice/billing", TokenKind::Billing, &token, "&p=1");
    assert_eq!(site.get(&burl).await, StatusCode::OK);
    assert_eq!(site.account().await.0, 0);
    let pixel = site.url("/event/impression", TokenKind::Impression, &token, "&p=1");
    assert_eq!(site.get(&pixel).await, StatusCode::OK);
    assert_eq!(site.account().await.0, 1_000_000);
}

#[tokio::test]
async fn a_click_leads_to_the_sealed_page_and_nowhere_else() {
    let site = Site::open().await;
    let url = site.url(
        "/event/click",
        TokenKind::Click,
        &token(),
        "&url=https://evil.example/",
    );
    let redirect = site.call(Method::GET, &url).await;
    assert_eq!(redirect.status(), StatusCode::FOUND);
    let location = redirect.headers()[header::LOCATION].to_str().unwrap();
    let expected = format!("{}&adp_click=", token().landing_url);
    assert!(
        location.starts_with(&expected) && !location.contains("evil"),
        "{location}"
    );
    assert_eq!(site.records(Topic::Clicks).await, 1);
}

#[tokio::test]
async fn losses_and_video_events_are_recorded() {
    let site = Site::open().await;
    let loss = site.url("/notice/loss", TokenKind::Loss, &token(), "&r=102&m=2.5");
    assert_eq!(site.get(&loss).await, StatusCode::OK);
    assert_eq!(site.records(Topic::Losses).await, 1);
    for event in ["start", "complete", "complete"] {
        let url = site.url(&format!("/event/video/{event}"), TokenKind::Video, &token(), "");
        assert_eq!(site.get(&url).await, StatusCode::OK);
    }
    assert_eq!(site.records(Topic::Impressions).await, 2);
    assert_eq!(site.get("/event/video/rewind").await, StatusCode::NOT_FOUND);
}
