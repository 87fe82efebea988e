//! Why a campaign bids on a request or does not, over HTTP.

use super::stage::{Answer, Setting, Stage, banner, campaign};
use reqwest::StatusCode;
use serde_json::{Value, json};

const KEY: &str = "adm_of_this_test";
const ADMINISTRATOR: (&str, &str) = ("authorization", "Bearer adm_of_this_test");

async fn stage(campaigns: impl IntoIterator<Item = Value>) -> Stage {
    Stage::set(Setting {
        settings: vec![("ADMIN_API_KEY", KEY.to_owned())],
        campaigns: campaigns.into_iter().collect(),
        ..Setting::default()
    })
    .await
}

fn request() -> Value {
    json!({
        "id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.5}],
        "site": {"domain": "news.example"}, "device": {"geo": {"country": "USA"}},
    })
}

async fn ask(stage: &Stage, question: &Value) -> Answer {
    stage
        .post("/openrtb2/explain", &[ADMINISTRATOR], question.to_string())
        .await
}

async fn explained(stage: &Stage, request: Value, id: &str) -> Value {
    let answer = ask(stage, &json!({"request": request, "campaigns": [id]})).await;
    assert_eq!(answer.status, StatusCode::OK);
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn a_campaign_is_told_the_first_condition_that_fails_and_all_that_fail() {
    let mut abroad = campaign("abroad", [banner(300, 250)]);
    abroad["campaign"]["targeting"] =
        json!({"geo": {"allow": [{"country": "DEU"}]}, "sites": {"allow": ["other.example"]}});
    let stage = stage([abroad, campaign("wide", [banner(728, 90)])]).await;
    stage
        .until("both indexed", |stage| stage.metric("index_campaigns") == 2.0)
        .await;
    let told = explained(&stage, request(), "abroad").await;
    assert_eq!(told["request"]["country"], "USA");
    assert_eq!(told["request"]["imps"][0]["floor_cpm_micros"], 500_000);
    let told = &told["campaigns"][0];
    assert_eq!(told["first"], "country");
    let failures = told["imps"][0]["campaign_failures"].as_array().unwrap();
    assert!(
        failures.contains(&"country".into()) && failures.contains(&"site".into()),
        "{failures:?}"
    );
    let told = explained(&stage, request(), "wide").await;
    assert_eq!(told["campaigns"][0]["first"], "no_fitting_size");
    let failures = &told["campaigns"][0]["imps"][0]["creatives"][0]["failures"];
    assert!(
        failures.as_array().unwrap().contains(&"size".into()),
        "{failures}"
    );
    let told = explained(&stage, request(), "cmp_nobody").await;
    assert_eq!(told["campaigns"][0]["first"], "not_in_index");
}

#[tokio::test]
async fn what_only_the_bidder_knows_is_told_too_lease_and_price() {
    let stage = stage([campaign("cmp_1", [banner(300, 250)])]).await;
    stage.bid_until_won(&request()).await;
    let told = explained(&stage, request(), "cmp_1").await;
    let price = &told["campaigns"][0]["imps"][0]["creatives"][0]["price"];
    assert_eq!(price["value_cpm_micros"], 50_000_000);
    assert_eq!(
        (&price["price_cpm_micros"], &price["floor_cpm_micros"]),
        (&50_000_000.into(), &500_000.into())
    );
    let mut dear = request();
    dear["imp"][0]["bidfloor"] = 60.into();
    let told = explained(&stage, dear, "cmp_1").await;
    assert_eq!(told["campaigns"][0]["first"], "floor");
    let mut dooh = request();
    // A multiplier that no lease can pay.
    dooh["imp"][0]["qty"] = json!({"multiplier": 100_000});
    let told = explained(&stage, dooh, "cmp_1").await;
    let first = told["campaigns"][0]["first"].as_str().unwrap();
    assert!(["no_lease", "paced", "budget"].contains(&first), "{first}");
}

#[tokio::test]
async fn an_explanation_needs_the_administrators_key() {
    let stage = stage([]).await;
    let question = json!({"request": request(), "campaigns": ["c"]}).to_string();
    for headers in [&[][..], &[("authorization", "Bearer adm_of_another_one")]] {
        let answer = stage.post("/openrtb2/explain", headers, question.clone()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let without_key = Stage::with([]).await;
    let answer = ask(&without_key, &serde_json::from_str(&question).unwrap()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn all_mistakes_of_a_question_are_told_with_their_pointers() {
    let stage = stage([]).await;
    let answer = ask(
        &stage,
        &json!({"exchange": "nobody", "request": {"id": "r"}, "campaigns": []}),
    )
    .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/exchange", "/campaigns", "/request"]);
    let unknown = ask(
        &stage,
        &json!({"request": request(), "campaigns": ["c"], "more": 1}),
    )
    .await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}
