//! What a log says: known fields, the id of the request, and nothing about secrets and people.

#![expect(clippy::unwrap_used, reason = "test helpers: a failure is a failed test")]

use adplatform_tests::fixtures::{USD, banner_request, notice, only_bid};
use adplatform_tests::{Platform, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Everything of our own, and what libraries find worth an information.
const DIRECTIVES: &str = "info,platform=debug,campaign_service=debug,bidding_service=debug,analytics_service=debug,adplatform=debug";
const EVERY_LINE_HAS: [&str; 6] = ["timestamp", "level", "target", "service", "version", "message"];
/// Of a caller that takes traces.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// Who a user is, in the places where a bid request says it.
const PERSON: [&str; 5] = [
    "user-4711",
    "buyer-4712",
    "8f14e45f-ceea-467f-9c1d-3f1f6c2b8a11",
    "203.0.113.77",
    "Mozilla/5.0",
];

/// The names in the first column of the table.
fn documented() -> BTreeSet<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../k8s/monitoring/logs.md");
    std::fs::read_to_string(file)
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect()
}

fn request_of_a_person() -> Value {
    let mut request = banner_request("req-1");
    request["user"] = json!({"id": PERSON[0], "buyeruid": PERSON[1]});
    request["device"]["ifa"] = json!(PERSON[2]);
    request["device"]["ip"] = json!(PERSON[3]);
    request
}

/// The token of a notice's URL, the key of a secret.
fn longest_word(text: &str) -> String {
    let words = text.trim().split(['/', '?', '&', '=', ':', ',']);
    let longest = words.max_by_key(|word| word.len()).unwrap().to_owned();
    assert!(longest.len() > 30, "neither token nor key: {text}");
    longest
}

#[tokio::test]
async fn a_journey_is_logged_in_known_fields_without_secrets_and_people() {
    let (platform, log) = Platform::start_with_log(DIRECTIVES).await;
    platform.live_campaign(2 * USD, 100 * USD).await;
    let response = platform.bid_on(&request_of_a_person()).await;
    let bid = only_bid(&response);
    for name in ["nurl", "burl"] {
        assert_eq!(platform.hit(&notice(bid, name, "1.25")).await, StatusCode::OK);
    }
    let sealed = ["nurl", "burl"].map(|name| longest_word(&notice(bid, name, "1.25")));
    let notice_key = longest_word(&std::fs::read_to_string(platform.data_dir.join("notice_secret")).unwrap());
    let forged = format!("{}x", notice(bid, "burl", "1.25"));
    platform.hit(&forged).await;
    platform.offer("{\"user\": {\"id\": \"user-4711\"").await;

    let asked = platform
        .client
        .get(format!(
            "{}/campaigns/nowhere?api_key={}",
            platform.campaigns, platform.key
        ))
        .header("x-request-id", "journey-1")
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .bearer_auth(&platform.key)
        .send()
        .await
        .unwrap();
    assert_eq!(asked.headers()["x-request-id"], "journey-1");
    let lines = eventually("a line about the last request", || async {
        let lines = log.lock().unwrap().clone();
        lines
            .iter()
            .any(|line| line.contains("\"request_id\":\"journey-1\""))
            .then_some(lines)
    })
    .await;

    let last = lines
        .iter()
        .find(|line| line.contains("\"request_id\":\"journey-1\""));
    assert!(last.unwrap().contains(&format!("\"trace_id\":\"{TRACE}\"")));

    let documented = documented();
    for line in &lines {
        let fields: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let fields = fields.as_object().unwrap();
        for name in EVERY_LINE_HAS {
            assert!(fields.contains_key(name), "no {name}: {line}");
        }
        for (name, value) in fields {
            assert!(
                documented.contains(name),
                "{name} is not in k8s/monitoring/logs.md: {line}"
            );
            assert!(
                !value.is_object() && !value.is_array(),
                "{name} is nested: {line}"
            );
        }
        assert!(!line.contains(&platform.key), "a key is logged: {line}");
        assert!(!line.contains(&notice_key), "the notice secret is logged: {line}");
        for sealed in &sealed {
            assert!(!line.contains(sealed), "a token is logged: {line}");
        }
        for known in PERSON {
            assert!(!line.contains(known), "a person is logged: {line}");
        }
    }
    let services: BTreeSet<&str> = ["platform", "campaign_service", "bidding_service"]
        .into_iter()
        .filter(|module| {
            lines
                .iter()
                .any(|line| line.contains(&format!("\"target\":\"{module}")))
        })
        .collect();
    assert!(services.len() > 1, "hardly anybody wrote: {lines:#?}");
}
