//! Requests that others wrote, through the real endpoint: 200 well-formed, 204 empty, or 400 by a written rule.
//!
//! The files lie beside the repository, not in it; a run without them says so.

use crate::stage::{Stage, assert_well_formed, audio, banner, campaign, native, video};
use bumpalo::Bump;
use openrtb::Malformed;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn shared(file: &str) -> Option<Vec<Value>> {
    let folder = std::env::var_os("SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = folder.join("openrtb").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!(
            "SKIPPED: {} is not there; set SHARED_DATA to the folder that holds openrtb/",
            path.display()
        );
        return None;
    };
    let request = |line: &str| serde_json::from_str::<Value>(line).unwrap()["request"].take();
    Some(text.lines().map(request).collect())
}

/// Something for everyone: the usual sizes, a video, an audio, a native.
async fn broad() -> Stage {
    let sizes = [
        (300, 250),
        (728, 90),
        (320, 50),
        (300, 600),
        (160, 600),
        (970, 250),
        (320, 480),
        (468, 60),
        (250, 250),
    ];
    let banners = sizes.map(|(width, height)| banner(width, height));
    let stage = Stage::with([
        campaign("banners", banners),
        campaign("video", [video()]),
        campaign("audio", [audio()]),
        campaign("native", [native()]),
    ])
    .await;
    stage.bid_until_won(&crate::stage::banner_request()).await;
    stage
}

/// The rule by which a request is refused, by its variant's name.
fn rule(request: &Value) -> Option<String> {
    let (text, arena) = (request.to_string(), Bump::new());
    let malformed = openrtb::read_request(text.as_bytes(), &arena).err()?;
    Some(match malformed {
        Malformed::NegativeSize(field) => format!("negative {field}"),
        other => other.to_string(),
    })
}

/// What became of one request, after every rule for it was checked.
async fn answered(stage: &Stage, request: &Value) -> String {
    let answer = stage.bid(request).await;
    match answer.status {
        StatusCode::OK => {
            if answer.json().get("seatbid").is_some() {
                assert_well_formed(request, &answer.body);
                return BID.to_owned();
            }
            assert_ne!(request["test"], json!(0), "only a test is told why: {request}");
            "told no bid".to_owned()
        }
        StatusCode::NO_CONTENT => {
            assert!(answer.body.is_empty());
            NO_BID.to_owned()
        }
        StatusCode::BAD_REQUEST => {
            assert!(answer.body.is_empty());
            rule(request).unwrap_or_else(|| panic!("400 without a rule: {request}"))
        }
        other => panic!("{other} to {request}"),
    }
}

const BID: &str = "bid";
const NO_BID: &str = "no bid";

/// Asks again where there was no bid until `bids` of them have one: pacing spreads them over seconds.
async fn answers(stage: &Stage, requests: &[Value], bids: usize) -> BTreeMap<String, usize> {
    const ROUNDS: usize = 20;
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut open: Vec<&Value> = requests.iter().collect();
    for _ in 0..ROUNDS {
        let mut unanswered = Vec::new();
        for request in open {
            match answered(stage, request).await {
                no_bid if no_bid == NO_BID => unanswered.push(request),
                what => *found.entry(what).or_default() += 1,
            }
        }
        open = unanswered;
        if found.get(BID).is_some_and(|made| *made >= bids) {
            break;
        }
    }
    found.insert(NO_BID.to_owned(), open.len());
    assert_eq!(stage.metric("bid_panics_total"), 0.0);
    found
}

#[tokio::test]
async fn every_request_of_the_collection_is_answered_by_the_rules() {
    let Some(requests) = shared("requests.ndjson") else {
        return;
    };
    let stage = broad().await;
    let found = answers(&stage, &requests, requests.len() / 4).await;
    println!("{found:#?}\n{}", stage.reasons());
    assert_eq!(found.values().sum::<usize>(), requests.len());
    let refused: Vec<(&str, usize)> = found
        .iter()
        .filter(|(what, _)| !["bid", "no bid", "told no bid"].contains(&what.as_str()))
        .map(|(what, times)| (what.as_str(), *times))
        .collect();
    let expected = [
        ("imp is missing or empty", 10),
        ("imp.id is missing", 9),
        ("imp.id is not unique", 8),
        ("more than one of site, app and dooh", 40),
    ];
    assert_eq!(refused, expected);
    assert!(
        found.get("bid").is_some_and(|bids| *bids >= requests.len() / 4),
        "{found:?}"
    );
}

#[tokio::test]
async fn requests_that_prebid_refuses_are_refused_only_where_openrtb_says_so() {
    let Some(requests) = shared("invalid.ndjson") else {
        return;
    };
    let stage = broad().await;
    let found = answers(&stage, &requests, 1).await;
    println!("{found:#?}");
    assert_eq!(found.values().sum::<usize>(), requests.len());
}
