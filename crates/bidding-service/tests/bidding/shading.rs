//! Under first price the bids come down to what wins.

use super::stage::{Setting, Stage, banner, campaign, exchange};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

fn request(number: usize, floor: f64) -> Value {
    json!({
        "id": format!("r{number}"), "at": 1,
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": floor}],
        "site": {"domain": "news.example"},
    })
}

/// Without an end to its budget it is never behind a plan.
fn unlimited() -> Value {
    let mut unlimited = campaign("cmp_1", [banner(300, 250)]);
    unlimited["limits"] = json!({"daily_nanos": null, "total_nanos": null});
    unlimited
}

async fn trading() -> Stage {
    Stage::set(Setting {
        exchanges: vec![exchange("default", json!({"auction_type": 1}))],
        campaigns: vec![unlimited()],
        ..Setting::default()
    })
    .await
}

/// Bids and calls the notice of each with the minimum that would have won, until a bid's price is right.
async fn trade_until(
    stage: &Stage,
    floor: f64,
    notice: fn(&Value) -> String,
    is_right: fn(f64) -> bool,
) -> f64 {
    let give_up = Instant::now() + PATIENCE;
    for number in 0.. {
        let answer = stage.bid_until_won(&request(number, floor)).await;
        let bid = &answer["seatbid"][0]["bid"][0];
        let price = bid["price"].as_f64().unwrap();
        assert!((floor..=50.0).contains(&price), "{price}");
        if is_right(price) {
            return price;
        }
        assert!(Instant::now() < give_up, "still {price}");
        let url = notice(bid).replace("${AUCTION_PRICE}", &price.to_string());
        let path = url.strip_prefix("https://bidding.example").unwrap();
        let answered = stage.post(path, &[], "").await;
        assert_eq!(answered.status, 200, "{path}");
    }
    unreachable!("numbers have no end")
}

fn won_with_10_enough(bid: &Value) -> String {
    let nurl = bid["nurl"].as_str().unwrap();
    nurl.replace("${AUCTION_MIN_TO_WIN}", "10.00")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_price_bid_comes_down_to_what_would_have_won_and_keeps_to_the_floor() {
    let stage = trading().await;
    let price = trade_until(&stage, 0.0, won_with_10_enough, |price| price < 12.0).await;
    assert!(price >= 10.0, "{price} would not have won");
    let at_floor = stage.bid_until_won(&request(100_000, 20.0)).await;
    assert_eq!(at_floor["seatbid"][0]["bid"][0]["price"], 20.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_price_bid_rises_when_it_loses() {
    let lost_to_48 = |bid: &Value| {
        let lurl = bid["lurl"].as_str().unwrap();
        lurl.replace("${AUCTION_LOSS}", "102")
            .replace("${AUCTION_MIN_TO_WIN}", "48.00")
    };
    let stage = trading().await;
    trade_until(&stage, 0.0, lost_to_48, |price| price >= 48.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_price_bid_stays_the_value() {
    let stage = trading().await;
    let mut second_price = request(1, 0.0);
    second_price["at"] = 2.into();
    let bid = stage.bid_until_won(&second_price).await;
    assert_eq!(bid["seatbid"][0]["bid"][0]["price"], 50.0);
}
