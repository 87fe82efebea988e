//! What a bid says.

use crate::stage::{
    Setting, Stage, assert_well_formed, audio, banner, banner_request, campaign, exchange, native, request,
    video,
};
use domain::event::BidCounts;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use storage::event_log::{EventLog, Topic};

fn only_bid(response: &Value) -> &Value {
    let bids = response["seatbid"][0]["bid"].as_array().unwrap();
    assert_eq!(bids.len(), 1);
    &bids[0]
}

async fn answered(creative: Value, request: &Value) -> Value {
    let stage = Stage::with([campaign("c1", [creative])]).await;
    let response = stage.bid_until_won(request).await;
    assert_well_formed(request, response.to_string().as_bytes());
    response
}

#[tokio::test]
async fn a_banner_is_answered_with_markup_pixel_and_notices() {
    let response = answered(banner(300, 250), &banner_request()).await;
    let bid = only_bid(&response);
    assert_eq!(
        (bid["w"].as_i64(), bid["h"].as_i64(), bid["mtype"].as_i64()),
        (Some(300), Some(250), Some(1))
    );
    assert_eq!(bid["price"].as_f64(), Some(50.0));
    assert_eq!(bid["cid"], "c1");
    assert_eq!(bid["crid"], "crv_c1_0.1");
    assert_eq!(
        (bid["cat"][0].as_str(), bid["cattax"].as_i64()),
        (Some("IAB22"), Some(1))
    );
    let adm = bid["adm"].as_str().unwrap();
    assert!(
        adm.starts_with("<a href=\"https://bidding.example/event/click?t="),
        "{adm}"
    );
    assert!(
        adm.contains("<img src=\"https://bidding.example/event/impression?t="),
        "{adm}"
    );
}

#[tokio::test]
async fn a_video_is_answered_with_vast_that_tells_us_what_happens() {
    let offer = json!({"video": {"mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [2, 3, 5, 6], "w": 640, "h": 480}});
    let mut creative = video();
    creative["duration_ms"] = 14_200.into();
    let response = answered(creative, &request(offer)).await;
    let bid = only_bid(&response);
    assert_eq!(
        (
            bid["mtype"].as_i64(),
            bid["dur"].as_i64(),
            bid["protocol"].as_i64()
        ),
        (Some(2), Some(15), Some(2))
    );
    let adm = bid["adm"].as_str().unwrap();
    for event in [
        "start",
        "first_quartile",
        "midpoint",
        "third_quartile",
        "complete",
        "error",
    ] {
        assert!(
            adm.contains(&format!("https://bidding.example/event/video/{event}?t=")),
            "{event} in {adm}"
        );
    }
}

#[tokio::test]
async fn an_audio_is_answered_with_a_wrapper() {
    let offer = json!({"audio": {"mimes": ["audio/mp4"], "minduration": 5, "maxduration": 30, "protocols": [2, 3, 5, 6]}});
    let response = answered(audio(), &request(offer)).await;
    let bid = only_bid(&response);
    assert_eq!(
        (bid["mtype"].as_i64(), bid["protocol"].as_i64()),
        (Some(3), Some(5))
    );
    assert!(
        bid["adm"]
            .as_str()
            .unwrap()
            .contains("<VASTAdTagURI><![CDATA[https://vast.example/audio]]>")
    );
}

#[tokio::test]
async fn a_native_is_answered_under_the_ids_that_were_asked_for() {
    let asked = json!({"ver": "1.2", "assets": [
        {"id": 1, "required": 1, "title": {"len": 90}},
        {"id": 2, "required": 1, "img": {"type": 3, "wmin": 600, "hmin": 300}},
        {"id": 3, "data": {"type": 1, "len": 40}},
    ], "eventtrackers": [{"event": 1, "methods": [1]}]});
    let response = answered(
        native(),
        &request(json!({"native": {"ver": "1.2", "request": asked.to_string()}})),
    )
    .await;
    let adm: Value = serde_json::from_str(only_bid(&response)["adm"].as_str().unwrap()).unwrap();
    let ids: Vec<i64> = adm["assets"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|asset| asset["id"].as_i64())
        .collect();
    assert_eq!(ids, [1, 2, 3]);
    assert!(
        adm["link"]["url"]
            .as_str()
            .unwrap()
            .starts_with("https://bidding.example/event/click?t=")
    );
}

#[tokio::test]
async fn where_the_dsa_is_spoken_of_the_bid_says_who_and_by_what() {
    let mut named = campaign("c1", [banner(300, 250)]);
    named["advertiser"]["paid_by"] = "Acme Holding".into();
    let zip = json!({"allow": [{"country": "DEU"}], "block": [{"zip": "10115"}]});
    named["campaign"]["targeting"] = json!({"geo": zip});
    let stage = Stage::with([named]).await;
    let mut asked = banner_request();
    let silent = stage.bid_until_won(&asked).await;
    assert!(only_bid(&silent).get("ext").is_none());
    asked["regs"] = json!({"ext": {"dsa": {"dsarequired": 3, "pubrender": 2, "datatopub": 2}}});
    let response = stage.bid_until_won(&asked).await;
    let expected = json!({
        "behalf": "Acme Ltd", "paid": "Acme Holding", "adrender": 0,
        "transparency": [{"domain": "bidding.example", "dsaparams": [2, 3]}],
    });
    assert_eq!(only_bid(&response)["ext"]["dsa"], expected);
}

/// What a price macro stands in has to reach the exchange as it is: it replaces plain text.
#[tokio::test]
async fn macros_of_the_exchange_pass_unencoded_wherever_they_stand() {
    let mut creative = banner(300, 250);
    creative["markup"] = "<img src=\"https://t.example/?p=${AUCTION_PRICE}&i=${AUCTION_ID}\">".into();
    creative["click_url"] = "https://play.google.com/store/apps/details?id=com.acme.app".into();
    let response = answered(creative, &banner_request()).await;
    assert_eq!(response["cur"], "USD");
    let bid = only_bid(&response);
    assert_eq!(bid["bundle"], "com.acme.app");
    for (field, macros) in [
        ("nurl", &["&p=${AUCTION_PRICE}"] as &[&str]),
        ("burl", &["&p=${AUCTION_PRICE}"]),
        ("lurl", &["&r=${AUCTION_LOSS}", "&m=${AUCTION_MIN_TO_WIN}"]),
        ("adm", &["?p=${AUCTION_PRICE}&i=${AUCTION_ID}\""]),
    ] {
        let text = bid[field].as_str().unwrap();
        assert!(macros.iter().all(|name| text.contains(name)), "{field}: {text}");
        assert!(!text.contains("%24%7B"), "{field}: {text}");
    }
}

#[tokio::test]
async fn a_banner_with_a_secure_place_is_https_throughout_and_its_response_below_6_kb() {
    let mut asked = banner_request();
    asked["imp"][0]["secure"] = 1.into();
    asked["imp"][0]["exp"] = 7_200.into();
    let stage = Stage::with([campaign("c1", [banner(300, 250)])]).await;
    let answer = stage.bid_until(&asked, StatusCode::OK).await;
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert!(!text.contains("http://"), "{text}");
    assert!(text.len() < 6 * 1_024, "{} bytes", text.len());
    // `imp.exp` lengthens what the exchange is set to.
    assert_eq!(only_bid(&answer.json())["exp"], 7_200);
}

/// The engine reckons with our URLs before there are any.
#[tokio::test]
async fn the_largest_banner_that_is_bid_stays_below_6_kb() {
    let mut creative = banner(300, 250);
    let url = "https://a.example/?x=".to_owned() + &"y".repeat(300);
    creative["click_url"] = url.clone().into();
    creative["impression_trackers"] = json!([url]);
    let link = "<a href=\"{CLICK_URL}\">b</a>";
    let filling = "x".repeat(6 * 1_024 - link.len() - (640 + 428) - (640 + 80) - (url.len() + 80));
    creative["markup"] = (link.to_owned() + &filling).into();
    let mut capped = campaign("c1", [creative]);
    capped["campaign"]["frequency_caps"] = json!([{"impressions": 100, "window": "day"}, {"impressions": 100, "window": "hour", "scope": "creative"}]);
    let mut asked = banner_request();
    asked["device"]["ifa"] = "2f6a1c1e-5d0b-4a53-9e1c-0c7d4c7be3a1".into();
    asked["site"] = json!({"domain": "a-rather-long-name.of-a-publisher.example"});
    let stage = Stage::with([capped]).await;
    let response = stage.bid_until_won(&asked).await;
    assert_well_formed(&asked, response.to_string().as_bytes());
    let adm = only_bid(&response)["adm"].as_str().unwrap();
    assert!(adm.len() < 6 * 1_024, "{} bytes", adm.len());
    let urls_bytes = |path: &str| {
        let of_url = adm.split('"').find(|part| part.contains(path));
        of_url.map(str::len).unwrap_or_default()
    };
    let (click, impression) = (urls_bytes("/event/click"), urls_bytes("/event/impression"));
    assert!(click <= 640 + 428 && impression <= 640, "{click} {impression}");
}

/// One bid for each imp that has one, in the imps' order, under the exact id, never two of one advertiser.
#[tokio::test]
async fn several_imps_get_bids_of_their_own_advertisers() {
    let stage = Stage::with(["a", "b"].map(|id| campaign(id, [banner(300, 250)]))).await;
    let imp = |id: &str, width: u32| json!({"id": id, "banner": {"w": width, "h": 250}});
    let mut asked = banner_request();
    asked["imp"] = json!([
        imp("x 1", 300),
        imp("none", 301),
        imp("\u{e9}\"2", 300),
        imp("late", 300)
    ]);
    let give_up = std::time::Instant::now() + Duration::from_secs(20);
    let response = loop {
        let response = stage.bid_until_won(&asked).await;
        let bids = response["seatbid"][0]["bid"].as_array().unwrap().len();
        // Pacing may hold one of the two back for a while.
        if bids == 2 {
            break response;
        }
        assert!(std::time::Instant::now() < give_up, "{response}");
    };
    assert_well_formed(&asked, response.to_string().as_bytes());
    let bids = response["seatbid"][0]["bid"].as_array().unwrap();
    let imps: Vec<&str> = bids.iter().filter_map(|bid| bid["impid"].as_str()).collect();
    assert_eq!(imps, ["x 1", "\u{e9}\"2"]);
    assert_ne!(bids[0]["cid"], bids[1]["cid"]);
}

#[tokio::test]
async fn an_exchange_that_bills_by_pixel_gets_the_price_in_it_and_no_billing_notice() {
    let stage = Stage::set(Setting {
        exchanges: vec![exchange(
            "default",
            json!({"billing": "pixel", "price_form": {"kind": "base64"}, "seat": "seat-9"}),
        )],
        campaigns: vec![campaign("c1", [banner(300, 250)])],
        ..Setting::default()
    })
    .await;
    let response = stage.bid_until_won(&banner_request()).await;
    assert_eq!(response["seatbid"][0]["seat"], "seat-9");
    let bid = only_bid(&response);
    assert!(bid.get("burl").is_none());
    assert!(bid["nurl"].as_str().unwrap().ends_with("&p=${AUCTION_PRICE:B64}"));
    assert!(bid["adm"].as_str().unwrap().contains("&p=${AUCTION_PRICE:B64}\""));
}

#[tokio::test]
async fn nothing_to_offer_is_an_empty_204_that_says_why_only_when_asked() {
    let stage = Stage::set(Setting {
        exchanges: vec![
            exchange("default", json!({})),
            exchange("curious", json!({"wants_no_bid_reason": true})),
        ],
        ..Setting::default()
    })
    .await;
    let asked = banner_request();
    assert!(stage.bid(&asked).await.is_empty_with(StatusCode::NO_CONTENT));
    let told = stage
        .post("/openrtb2/curious/bid", &[], asked.to_string())
        .await
        .json();
    assert_eq!(told["id"], "req-1");
    assert!(told["nbr"].is_u64() && told.get("seatbid").is_none());
    let mut test = asked.clone();
    test["test"] = 1.into();
    assert!(stage.bid(&test).await.json()["nbr"].is_u64());
}

#[tokio::test]
async fn the_counts_in_the_topic_are_the_bids_that_were_made() {
    let stage = Stage::with([campaign("c1", [banner(300, 250)])]).await;
    stage.bid_until_won(&banner_request()).await;
    for _ in 0..20 {
        stage.bid(&banner_request()).await;
    }
    let made = stage.metric("bids_total");
    assert!(made >= 1.0);
    stage.process.shutdown.request("test");
    stage.process.shutdown.finished().await;
    let (mut counted, mut campaigns) = (0, Vec::new());
    for partition in 0..stage.store.partitions(Topic::Bids).await.unwrap() {
        let batch = stage
            .store
            .read(Topic::Bids, partition, 0, 1_000, Duration::ZERO)
            .await
            .unwrap();
        for record in batch.records {
            let counts: BidCounts = serde_json::from_slice(&record.value.unwrap()).unwrap();
            counted += counts.counts.iter().map(|count| count.bids).sum::<u64>();
            campaigns.extend(counts.counts.into_iter().map(|count| count.dimensions));
        }
    }
    assert_eq!(counted as f64, made);
    let dimensions = &campaigns[0];
    assert_eq!(
        (dimensions.campaign.as_str(), dimensions.country.as_str()),
        ("c1", "DEU")
    );
    assert_eq!(
        (dimensions.size.as_str(), dimensions.site_or_bundle.as_str()),
        ("300x250", "news.example")
    );
}
