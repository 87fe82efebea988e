//! From a click to what it has led to.

use super::*;
use crate::live::Live;
use crate::testing::compiled;
use domain::event::BidEvent;
use domain::serving::{ServingCampaign, ServingExchange};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;

const DAY_MS: i64 = 24 * 3_600_000;

impl Site {
    /// Serves the clicked campaign, with this look-back and currency.
    fn serve(&self, lookback_days: i64, currency: &str) {
        let mut campaign: ServingCampaign = crate::testing::campaign("cmp_1");
        campaign.advertiser.conversion_lookback_days = lookback_days;
        campaign.campaign.spec.budget.currency = currency.parse().unwrap();
        self.keeper.serves(&compiled(&campaign));
    }

    /// The exchange of the bids, at which a euro is 1.1 dollars.
    fn know_rates(&self) {
        let exchange: ServingExchange = serde_json::from_value(json!({
            "schema": 1, "generation": 1, "revision": 1,
            "exchange": {
                "id": "ex", "name": "ex", "usd_rates_e9": {"EUR": 1_100_000_000},
                "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            },
        }))
        .unwrap();
        self.live.store(Arc::new(Live {
            snapshot: bidding_engine::Snapshot::build([], &[exchange]),
            ..Live::default()
        }));
    }

    /// Clicks, and gives what the landing page is called with.
    async fn click(&self, bid: u128) -> String {
        let mut token = token();
        token.bid_id = BidId(bid);
        token.bid_at_ms = self.clock.unix_ms();
        token.dimensions.exchange = "ex".to_owned();
        let url = self.url("/event/click", TokenKind::Click, &token, "");
        let redirect = self.call(Method::GET, &url).await;
        let location = redirect.headers()[header::LOCATION].to_str().unwrap();
        let click = location.strip_prefix("https://shop.example/?a=1&b=2&adp_click=");
        click.unwrap().to_owned()
    }

    async fn post(&self, body: &str) -> (StatusCode, Value) {
        let request = Request::post("/event/conversion")
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn conversions(&self) -> Vec<BidEvent> {
        let log: &dyn EventLog = &*self.store;
        let mut events: Vec<BidEvent> = Vec::new();
        for partition in 0..log.partitions(Topic::Conversions).await.unwrap() {
            let batch = log
                .read(Topic::Conversions, partition, 0, 100, Duration::ZERO)
                .await
                .unwrap();
            let values = batch.records.iter().filter_map(|record| record.value.as_deref());
            events.extend(values.map(|value| serde_json::from_slice::<BidEvent>(value).unwrap()));
        }
        events
    }
}

#[tokio::test]
async fn a_conversion_counts_once_for_each_click_type_and_order() {
    let site = Site::open().await;
    let (one, other) = (site.click(1).await, site.click(2).await);
    for (click, rest) in [
        (&one, "&type=purchase&order_id=A-1&value=12.345678&currency=usd"),
        (&one, "&type=purchase&order_id=A-1&value=99"),
        (&one, "&type=purchase&order_id=A-2"),
        (&one, "&type=lead&order_id=A-1"),
        (&one, ""),
        (&one, ""),
        (&other, "&type=purchase&order_id=A-1"),
    ] {
        let url = format!("/event/conversion?adp_click={click}{rest}");
        let pixel = site.call(Method::GET, &url).await;
        assert_eq!(pixel.status(), StatusCode::OK);
        assert_eq!(pixel.headers()[header::CONTENT_TYPE], "image/gif");
    }
    let events = site.conversions().await;
    let mut ids: Vec<&str> = events.iter().map(|event| event.event_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((events.len(), ids.len()), (5, 5));
    assert!(
        ids.iter()
            .all(|id| id.starts_with(storage::report_store::CONVERSION_IDS))
    );
    let first = &events[0];
    assert_eq!(
        (first.value_micros, first.currency.as_deref()),
        (Some(12_345_678), Some("USD"))
    );
    assert_eq!(first.conversion_type.as_deref(), Some("purchase"));
    assert_eq!(
        (first.order_id.as_deref(), first.dimensions.exchange.as_str()),
        (Some("A-1"), "ex")
    );
}

/// Another process does not remember: then the equal ids tell reports.
#[tokio::test]
async fn two_bidders_give_a_repeated_conversion_one_id() {
    let (site, other) = (Site::open().await, Site::open().await);
    let click = site.click(1).await;
    for site in [&site, &other] {
        let body = json!({"adp_click": click, "order_id": "A-1"}).to_string();
        assert_eq!(site.post(&body).await.0, StatusCode::OK);
    }
    assert_eq!(
        site.conversions().await[0].event_id,
        other.conversions().await[0].event_id
    );
}

#[tokio::test]
async fn a_server_says_it_in_json_and_hears_every_mistake() {
    let site = Site::open().await;
    let click = site.click(1).await;
    let body = format!(
        r#"{{"adp_click": "{click}", "type": "sale", "order_id": "7", "value": 0.30, "currency": "EUR"}}"#
    );
    assert_eq!(site.post(&body).await.0, StatusCode::OK);
    let events = site.conversions().await;
    assert_eq!(
        (events[0].value_micros, events[0].currency.as_deref()),
        (Some(300_000), Some("EUR"))
    );
    let wrong = json!({"type": "a b", "value": "-1", "currency": "euro"}).to_string();
    let (status, problem) = site.post(&wrong).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/adp_click", "/type", "/value", "/currency"]);
    assert_eq!(site.post("[").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(
        site.post(&"x".repeat(20_000)).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(site.conversions().await.len(), 1);
}

#[tokio::test]
async fn a_forged_click_and_one_before_the_look_back_count_nothing() {
    let site = Site::open().await;
    let thirty = site.click(1).await;
    site.serve(2, "USD");
    let two = site.click(2).await;
    let conversion = async |click: &str| site.get(&format!("/event/conversion?adp_click={click}")).await;
    assert_eq!(conversion("forged").await, StatusCode::FORBIDDEN);
    let click_token = site.sealer.seal(TokenKind::Click, &token());
    assert_eq!(conversion(&click_token).await, StatusCode::FORBIDDEN);
    site.clock.advance(2 * DAY_MS - 1);
    assert_eq!(conversion(&two).await, StatusCode::OK);
    site.clock.advance(1);
    assert_eq!(conversion(&two).await, StatusCode::FORBIDDEN);
    site.clock.advance(28 * DAY_MS - 1);
    assert_eq!(conversion(&thirty).await, StatusCode::OK);
    site.clock.advance(1);
    assert_eq!(conversion(&thirty).await, StatusCode::FORBIDDEN);
    assert_eq!(site.conversions().await.len(), 2);
}

#[tokio::test]
async fn a_value_is_kept_in_the_campaigns_currency_or_not_at_all() {
    let site = Site::open().await;
    site.serve(30, "EUR");
    let click = site.click(1).await;
    let convert = async |order: &str, money: &str| {
        let url = format!("/event/conversion?adp_click={click}&order_id={order}&{money}");
        assert_eq!(site.get(&url).await, StatusCode::OK);
        let events = site.conversions().await;
        let event = events
            .iter()
            .find(|event| event.order_id.as_deref() == Some(order))
            .unwrap()
            .clone();
        (event.value_micros, event.currency)
    };
    let eur = || Some("EUR".to_owned());
    assert_eq!(convert("1", "value=1&currency=USD").await, (None, eur()));
    site.know_rates();
    assert_eq!(
        convert("2", "value=11&currency=USD").await,
        (Some(9_999_999), eur())
    );
    assert_eq!(convert("3", "value=11").await, (Some(11_000_000), eur()));
    assert_eq!(convert("4", "value=11&currency=JPY").await, (None, eur()));
    assert_eq!(convert("5", "currency=JPY").await, (None, None));
}

#[tokio::test]
async fn a_click_on_a_test_bid_leads_to_nothing_that_counts() {
    let site = Site::open().await;
    let test = BidToken {
        test: true,
        ..token()
    };
    let url = site.url("/event/click", TokenKind::Click, &test, "");
    let redirect = site.call(Method::GET, &url).await;
    let location = redirect.headers()[header::LOCATION].to_str().unwrap();
    let click = location.split("adp_click=").nth(1).unwrap();
    assert_eq!(
        site.get(&format!("/event/conversion?adp_click={click}")).await,
        StatusCode::OK
    );
    assert!(site.conversions().await.is_empty());
}
