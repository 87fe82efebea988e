//! What a draft campaign could have had of the requests that came, over HTTP.

use super::stage::{Answer, Setting, Stage, banner, campaign, exchange};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const KEY: &str = "adm_of_this_test";
const ADMINISTRATOR: (&str, &str) = ("authorization", "Bearer adm_of_this_test");

async fn stage() -> Stage {
    Stage::set(Setting {
        settings: vec![("ADMIN_API_KEY", KEY.to_owned())],
        exchanges: vec![exchange("default", json!({})), exchange("other", json!({}))],
        campaigns: vec![campaign("cmp_1", [banner(300, 250)])],
        ..Setting::default()
    })
    .await
}

/// Second price: nothing is shaded.
fn request() -> Value {
    json!({
        "id": "r", "at": 2, "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 1}],
        "site": {"domain": "news.example"}, "device": {"geo": {"country": "USA"}},
    })
}

fn question() -> Value {
    json!({
        "campaign": {
            "name": "Autumn", "flight": {"start": "2036-01-01T00:00:00Z"}, "bid": {"max_cpm_micros": 2_000_000},
            "budget": {"currency": "USD", "daily_micros": 1_000_000},
        },
        "creatives": [{
            "name": "n", "format": "banner", "width": 300, "height": 250, "click_url": "https://shop.example",
            "adomain": ["shop.example"], "markup": "<a href=\"{CLICK_URL}\">x</a>",
        }],
        "max_cpm_micros": [500_000, 2_000_000],
    })
}

async fn ask(stage: &Stage, question: &Value) -> Answer {
    stage
        .post("/openrtb2/forecast", &[ADMINISTRATOR], question.to_string())
        .await
}

async fn forecast(stage: &Stage, question: &Value) -> Value {
    let answer = ask(stage, question).await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    serde_json::from_slice(&answer.body).unwrap()
}

/// Sends requests until so many have been sampled: the last ones seen wait for the next sample.
async fn until_sampled(stage: &Stage, path: &str, body: &str, requests: u64) -> Value {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        stage.post(path, &[], body.to_owned()).await;
        let told = forecast(stage, &question()).await;
        if told["requests"].as_u64().unwrap() >= requests {
            return told;
        }
        assert!(Instant::now() < give_up, "{told}");
    }
}

#[tokio::test]
async fn a_forecast_shows_the_requests_that_came_and_what_each_price_could_have_of_them() {
    let stage = stage().await;
    // Whether it is bid on or not, a request came.
    stage.bid_until_won(&request()).await;
    let body = request().to_string();
    for _ in 0..30 {
        stage.post("/openrtb2/bid", &[], body.clone()).await;
    }
    let told = until_sampled(&stage, "/openrtb2/other/bid", &body, 30).await;
    assert_eq!(told["currency"], "USD");
    assert_eq!(
        (&told["imps"], &told["opportunities"]),
        (&told["requests"], &told["requests"])
    );
    assert_eq!(told["lost"], json!([]));
    assert!(told["sampled_requests"].as_u64() <= told["requests"].as_u64());
    assert!(
        told["span_ms"].as_u64() > Some(0)
            && told["per_day"]["requests"].as_u64() > told["requests"].as_u64()
    );
    let [low, high] = told["by_max_cpm"].as_array().unwrap().as_slice() else {
        panic!("{told}")
    };
    assert_eq!(
        (&low["max_cpm_micros"], &high["max_cpm_micros"]),
        (&500_000.into(), &2_000_000.into())
    );
    // The floor is 1 USD a thousand.
    assert_eq!((&low["eligible_imps"], &low["wins_high"]), (&0.into(), &0.into()));
    assert_eq!(high["eligible_imps"], told["requests"]);
    // No notice has told of this market yet.
    assert_eq!(
        (&high["unknown_market_imps"], &high["wins_high"]),
        (&told["requests"], &told["requests"])
    );
    assert_eq!(
        (&high["wins_low"], &high["paid_cpm_micros_high"]),
        (&0.into(), &2_000_000.into())
    );
}

#[tokio::test]
async fn a_draft_for_another_country_has_nothing_and_is_told_why() {
    let stage = stage().await;
    until_sampled(&stage, "/openrtb2/bid", &request().to_string(), 3).await;
    let mut abroad = question();
    abroad["campaign"]["targeting"] = json!({"geo": {"allow": [{"country": "DEU"}]}});
    let told = forecast(&stage, &abroad).await;
    assert_eq!(told["opportunities"], 0);
    assert_eq!(
        told["lost"],
        json!([{"reason": "country", "imps": told["imps"], "share_ppm": 1_000_000}])
    );
    assert!(
        told["by_max_cpm"]
            .as_array()
            .unwrap()
            .iter()
            .all(|at| at["wins_high"] == 0)
    );
}

#[tokio::test]
async fn a_forecast_needs_the_administrators_key() {
    let stage = stage().await;
    for headers in [&[][..], &[("authorization", "Bearer adm_of_another_one")]] {
        let answer = stage
            .post("/openrtb2/forecast", headers, question().to_string())
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let without_key = Stage::with([]).await;
    assert_eq!(ask(&without_key, &question()).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn all_mistakes_of_a_draft_are_told_with_their_pointers() {
    let stage = stage().await;
    let mut wrong = question();
    wrong["campaign"]["budget"]["currency"] = "dollars".into();
    wrong["creatives"][0]["markup"] = Value::Null;
    wrong["max_cpm_micros"] = json!([0]);
    let answer = ask(&stage, &wrong).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    let errors = problem["errors"].as_array().unwrap();
    let pointers: Vec<&str> = errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers,
        [
            "/campaign/budget/currency",
            "/creatives/0/markup",
            "/max_cpm_micros/0"
        ]
    );
    let mut more = question();
    more["more"] = 1.into();
    assert_eq!(ask(&stage, &more).await.status, StatusCode::BAD_REQUEST);
}
