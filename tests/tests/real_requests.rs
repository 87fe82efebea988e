//! Requests that others wrote, through the real HTTP endpoint, against campaigns broad enough that many bid.

#![expect(clippy::unwrap_used, reason = "test helpers: a failure is a failed test")]

use adplatform_tests::Platform;
use adplatform_tests::fixtures::{USD, banner_request, campaign};
use bumpalo::Bump;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The folder of shared samples; they are not part of this repository.
fn samples(file: &str) -> Option<Vec<Value>> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("SHARED_DATA_DIR").map_or(default, PathBuf::from);
    match std::fs::read_to_string(folder.join("openrtb").join(file)) {
        Ok(text) => Some(
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
        ),
        Err(_) => {
            println!("SKIPPED: openrtb/{file} is not there; set SHARED_DATA_DIR to the folder that has it");
            None
        }
    }
}

const SIZES: &[(i64, i64)] = &[
    (300, 250),
    (320, 50),
    (728, 90),
    (300, 600),
    (160, 600),
    (970, 250),
    (320, 480),
    (300, 50),
    (250, 250),
];

/// One advertiser for each format, without any targeting.
async fn broad_campaigns(platform: &Platform) {
    let media = "https://media.example";
    let vast = json!({"duration_ms": 15_000, "protocols": [1, 2, 3, 4, 5, 6, 7, 8], "vast_url": format!("{media}/v.xml")});
    let with = |name: &str, parts: Value| {
        let mut all = json!({
            "name": name, "click_url": "https://brand.example/", "adomain": ["brand.example"], "categories": ["IAB17"],
        });
        for object in [&parts] {
            for (key, value) in object.as_object().unwrap() {
                all[key] = value.clone();
            }
        }
        all
    };
    let mut banners = Vec::new();
    for (width, height) in SIZES {
        banners.push(with(
            "b",
            json!({
                "format": "banner", "width": width, "height": height,
                "markup": format!("<a href=\"{{CLICK_URL}}\"><img src=\"{media}/a.png\"></a>"),
            }),
        ));
    }
    let mut video = with("v", vast.clone());
    video["format"] = json!("video");
    video["mimes"] = json!(["video/mp4"]);
    (video["width"], video["height"]) = (json!(640), json!(480));
    let mut audio = with("a", vast);
    audio["format"] = json!("audio");
    audio["mimes"] = json!(["audio/mp4"]);
    let native = with(
        "n",
        json!({"format": "native", "assets": [
            {"kind": "title", "text": "A title"},
            {"kind": "image", "image_type": 3, "url": format!("{media}/main.jpg"), "width": 1200, "height": 627},
            {"kind": "image", "image_type": 1, "url": format!("{media}/icon.png"), "width": 80, "height": 80},
            {"kind": "data", "data_type": 1, "value": "Brand"},
            {"kind": "data", "data_type": 2, "value": "Words"},
            {"kind": "data", "data_type": 12, "value": "Go"},
        ]}),
    );
    for creatives in [banners, vec![video], vec![audio], vec![native]] {
        let advertiser = platform.create("/advertisers", json!({"name": "Broad"})).await;
        let body = campaign(advertiser["id"].as_str().unwrap(), 40 * USD, 1_000_000 * USD);
        let campaign = platform.create("/campaigns", body).await;
        for creative in creatives {
            let path = format!("/campaigns/{}/creatives", campaign["id"].as_str().unwrap());
            platform.create(&path, creative).await;
        }
    }
}

/// A response that an exchange would take: for this request, its imps, above its floors.
fn check_response(request: &Value, body: &[u8]) {
    let arena = Bump::new();
    let response = openrtb::read_response(body, &arena).unwrap_or_else(|error| panic!("{error}: {request}"));
    assert_eq!(response.id, text(&request["id"]), "{request}");
    let mut bids = 0;
    for bid in response.seatbid.iter().flat_map(|seat| seat.bid) {
        bids += 1;
        let imps = request["imp"].as_array().unwrap();
        let imp = imps.iter().find(|imp| text(&imp["id"]) == bid.impid);
        let imp = imp.unwrap_or_else(|| panic!("no imp {:?} in {request}", bid.impid));
        assert!(!bid.id.is_empty() && bid.price_micros > 0, "{request}");
        let floor_currency = imp["bidfloorcur"].as_str().unwrap_or("USD");
        if floor_currency == response.cur.unwrap_or("USD") && bid.dealid.is_none() {
            let floor = imp["bidfloor"].as_f64().unwrap_or(0.0);
            assert!(
                bid.price_micros as f64 >= floor * 1e6 - 1.0,
                "below the floor {floor}: {request}"
            );
        }
        assert!(
            !bid.adm.concat().is_empty() && bid.crid.is_some_and(|crid| crid.len() <= 64),
            "{request}"
        );
        assert!(!bid.adomain.is_empty() && bid.mtype.is_some(), "{request}");
    }
    // In test mode a no-bid says why.
    let says_why = response.nbr.is_some() && request["test"] == 1;
    assert!(bids > 0 || says_why, "a 200 without a bid: {request}");
}

/// Ids may come as numbers.
fn text(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_that_others_wrote_is_answered_by_the_rules() {
    let Some(samples) = samples("requests.ndjson") else {
        return;
    };
    let platform = Platform::start().await;
    broad_campaigns(&platform).await;
    platform.bid_on(&banner_request("warm-up")).await;

    // A campaign bids on the first so many opportunities a second, as many as it has come to expect: what came too
    // early is offered again.
    let mut statuses: BTreeMap<usize, StatusCode> = BTreeMap::new();
    for _round in 0..20 {
        for (index, sample) in samples.iter().enumerate() {
            if statuses
                .get(&index)
                .is_none_or(|status| *status == StatusCode::NO_CONTENT)
            {
                statuses.insert(index, offer(&platform, &sample["request"]).await);
            }
        }
        let count = |wanted| statuses.values().filter(|status| **status == wanted).count();
        let (bids, refused) = (count(StatusCode::OK), count(StatusCode::BAD_REQUEST));
        println!(
            "of {} requests {bids} were bid on, {refused} refused",
            samples.len()
        );
        if bids * 2 > samples.len() {
            return;
        }
    }
    panic!("few were bid on");
}

/// Offers one request and checks the answer against it.
async fn offer(platform: &Platform, request: &Value) -> StatusCode {
    let sent = request.to_string();
    let (status, body) = platform.offer(sent.clone()).await;
    match status {
        StatusCode::OK => check_response(request, &body),
        StatusCode::NO_CONTENT => assert!(body.is_empty(), "{request}"),
        StatusCode::BAD_REQUEST => {
            assert!(body.is_empty(), "{request}");
            // The rules are those of `openrtb::Malformed`, each with its section.
            let refused = openrtb::read_request(sent.as_bytes(), &Bump::new()).is_err();
            assert!(refused, "refused by no rule: {request}");
        }
        other => panic!("{other}: {request}"),
    }
    status
}

#[tokio::test]
async fn every_request_that_others_refuse_gets_an_answer() {
    let Some(samples) = samples("invalid.ndjson") else {
        return;
    };
    let platform = Platform::start().await;
    broad_campaigns(&platform).await;
    platform.bid_on(&banner_request("warm-up")).await;
    for sample in &samples {
        let (status, body) = platform.offer(sample["request"].to_string()).await;
        match status.as_u16() {
            200 => check_response(&sample["request"], &body),
            204 | 400 => assert!(body.is_empty(), "{sample}"),
            _ => panic!("{status}: {sample}"),
        }
    }
}
