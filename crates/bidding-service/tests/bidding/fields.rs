//! Single fields and rules of bids, as the exchange sees them on the wire.

use crate::stage::{
    Setting, Stage, assert_well_formed, banner, banner_request, campaign, exchange, request, video,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use storage::event_log::Topic;

fn bids(response: &Value) -> Vec<&Value> {
    let seats = response["seatbid"].as_array().unwrap();
    seats
        .iter()
        .flat_map(|seat| seat["bid"].as_array().unwrap())
        .collect()
}

/// Repeats the request until its bids are as they should be: leases and changes take a moment.
async fn bids_until(stage: &Stage, asked: &Value, holds: impl Fn(&[&Value]) -> bool) -> Value {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let response = stage.bid_until_won(asked).await;
        if holds(&bids(&response)) {
            assert_well_formed(asked, response.to_string().as_bytes());
            return response;
        }
        assert!(Instant::now() < give_up, "{response}");
    }
}

/// Calls one of a bid's notices, the price filled in as an exchange does: plain text for plain text.
async fn notify(stage: &Stage, url: &Value, price: &str) -> StatusCode {
    let url = url.as_str().unwrap().replace("${AUCTION_PRICE}", price);
    let path = url.strip_prefix("https://bidding.example").unwrap();
    stage.post(path, &[], "").await.status
}

#[tokio::test]
async fn a_screen_pays_for_as_many_impressions_as_its_play_counts_for() {
    let stage = Stage::with([campaign("c1", [banner(300, 250)])]).await;
    let mut asked =
        request(json!({"banner": {"w": 300, "h": 250}, "qty": {"multiplier": 14.2, "sourcetype": 1}}));
    asked.as_object_mut().unwrap().remove("site");
    asked["dooh"] = json!({"id": "screen", "venuetype": ["airport"]});
    let response = stage.bid_until_won(&asked).await;
    let bid = bids(&response)[0];
    assert_eq!(
        bid["price"].as_f64(),
        Some(50.0),
        "a CPM, not times the multiplier"
    );
    assert_eq!(notify(&stage, &bid["nurl"], "10").await, StatusCode::OK);
    assert_eq!(notify(&stage, &bid["burl"], "10").await, StatusCode::OK);
    // 10 a thousand: a hundredth an impression, and 14.2 of them.
    assert_eq!(
        stage.metric("billed_nanos_total{currency=\"USD\"}"),
        142_000_000.0
    );
}

#[tokio::test]
async fn a_test_is_bid_on_and_never_spends() {
    let stage = Stage::with([campaign("c1", [banner(300, 250)])]).await;
    let mut asked = banner_request();
    asked["test"] = 1.into();
    let response = stage.bid_until_won(&asked).await;
    let response = match response.get("nbr") {
        None => response,
        Some(_) => panic!("a test needs no lease: {response}"),
    };
    let bid = bids(&response)[0];
    for url in ["nurl", "burl"] {
        assert_eq!(notify(&stage, &bid[url], "50").await, StatusCode::OK, "{url}");
    }
    for series in [
        "billed_nanos_total{currency=\"USD\"}",
        "wins_total",
        "over_delivery_nanos_total{currency=\"USD\"}",
        "pending_nanos",
    ] {
        assert_eq!(stage.metric(series), 0.0, "{series}");
    }
}

#[tokio::test]
async fn new_content_has_a_new_creative_id() {
    let mut record = campaign("c1", [banner(300, 250)]);
    let stage = Stage::with([record.clone()]).await;
    let crid = |bids: &[&Value]| bids[0]["crid"].as_str().unwrap().to_owned();
    bids_until(&stage, &banner_request(), |bids| crid(bids) == "crv_c1_0.1").await;
    record["revision"] = 2.into();
    record["creatives"][0]["version"] = 2.into();
    stage.publish(Topic::Campaigns, &json!("c1"), &record).await;
    bids_until(&stage, &banner_request(), |bids| crid(bids) == "crv_c1_0.2").await;
}

#[tokio::test]
async fn a_creative_is_shown_where_it_is_not_rejected_and_as_often_as_its_weight_says() {
    let (mut one, mut other, mut never) = (banner(300, 250), banner(300, 250), banner(300, 250));
    one["reviews"] = json!([{"exchange": "strict", "status": "rejected", "reason": "too loud"}]);
    other["reviews"] =
        json!([{"exchange": "strict", "status": "approved"}, {"exchange": "slow", "status": "pending"}]);
    (one["weight"], other["weight"], never["weight"]) = (1.into(), 3.into(), 0.into());
    let stage = Stage::set(Setting {
        exchanges: ["default", "strict", "slow"]
            .map(|id| exchange(id, json!({})))
            .into(),
        campaigns: vec![campaign("c1", [one, other, never])],
        ..Setting::default()
    })
    .await;
    for (exchange, expected) in [
        ("default", &["crv_c1_0", "crv_c1_1"][..]),
        ("strict", &["crv_c1_1"]),
        ("slow", &["crv_c1_0"]),
    ] {
        let path = format!("/openrtb2/{exchange}/bid");
        let (mut shown, mut of_the_second) = (BTreeSet::new(), 0);
        for number in 0..80 {
            let mut asked = banner_request();
            asked["id"] = format!("{exchange}-{number}").into();
            let body = asked.to_string();
            let answer = stage
                .until_answered(&path, &[], body.as_bytes(), StatusCode::OK)
                .await
                .json();
            let adid = bids(&answer)[0]["adid"].as_str().unwrap().to_owned();
            of_the_second += usize::from(adid == "crv_c1_1");
            shown.insert(adid);
        }
        assert_eq!(
            shown.iter().map(String::as_str).collect::<Vec<_>>(),
            expected,
            "{exchange}"
        );
        if expected.len() == 2 {
            // 60 of 80 are expected, a standard deviation is 4.
            assert!((45..=75).contains(&of_the_second), "{of_the_second}");
        }
    }
}

/// The rate changes the price in the exchange's currency, without a restart.
#[tokio::test]
async fn a_new_rate_is_in_effect_as_soon_as_the_exchange_is_published() {
    let mut record = campaign("c1", [banner(300, 250)]);
    record["campaign"]["budget"]["currency"] = "EUR".into();
    let at = |revision: i64, rate_e9: i64| {
        let mut exchange = exchange("default", json!({"usd_rates_e9": {"EUR": rate_e9}}));
        exchange["revision"] = revision.into();
        exchange
    };
    let stage = Stage::set(Setting {
        exchanges: vec![at(1, 1_100_000_000)],
        campaigns: vec![record],
        ..Setting::default()
    })
    .await;
    let costs = |price: f64| move |bids: &[&Value]| bids[0]["price"].as_f64() == Some(price);
    let response = bids_until(&stage, &banner_request(), costs(55.0)).await;
    assert_eq!(response["cur"], "USD");
    let began = Instant::now();
    stage
        .publish(Topic::Exchanges, &json!("default"), &at(2, 1_200_000_000))
        .await;
    bids_until(&stage, &banner_request(), costs(60.0)).await;
    assert!(began.elapsed() < Duration::from_secs(5));
    // A currency that the request wants, by the rates as they are now.
    let mut in_euro = banner_request();
    in_euro["cur"] = json!(["EUR"]);
    let response = bids_until(&stage, &in_euro, costs(50.0)).await;
    assert_eq!(response["cur"], "EUR");
}

#[tokio::test]
async fn the_dsa_is_answered_as_it_is_required() {
    let mut named = campaign("named", [banner(300, 250)]);
    named["advertiser"]["paid_by"] = "Acme Holding".into();
    let mut unnamed = campaign("unnamed", [banner(300, 250)]);
    unnamed["advertiser"]
        .as_object_mut()
        .unwrap()
        .remove("legal_name");
    unnamed["campaign"]["bid"]["max_cpm_micros"] = 60_000_000.into();
    let stage = Stage::with([named, unnamed]).await;
    let asked = |regs: Value| {
        let mut asked = banner_request();
        asked["regs"] = regs;
        asked
    };
    let by = |id: &'static str| move |bids: &[&Value]| bids[0]["cid"] == id;
    for not_required in [0, 1] {
        let regs = json!({"dsa": {"dsarequired": not_required, "pubrender": 1, "datatopub": 0}});
        let response = bids_until(&stage, &asked(regs), by("unnamed")).await;
        assert!(
            bids(&response)[0].get("ext").is_none(),
            "nothing is known to be said"
        );
    }
    for (required, in_ext) in [(2, false), (3, true)] {
        let dsa = json!({"dsarequired": required, "pubrender": 2, "datatopub": 1});
        let regs = if in_ext {
            json!({"ext": {"dsa": dsa}})
        } else {
            json!({"dsa": dsa})
        };
        let response = bids_until(&stage, &asked(regs), by("named")).await;
        let dsa = &bids(&response)[0]["ext"]["dsa"];
        assert_eq!(
            (&dsa["behalf"], &dsa["paid"]),
            (&json!("Acme Ltd"), &json!("Acme Holding"))
        );
        assert_eq!(
            dsa["transparency"],
            json!([{"domain": "bidding.example", "dsaparams": [2]}])
        );
        // The publisher will render it; where it cannot, nobody would.
        assert_eq!(dsa["adrender"], 0);
    }
    let unrendered = asked(json!({"dsa": {"dsarequired": 3, "pubrender": 0}}));
    assert!(stage.bid(&unrendered).await.is_empty_with(StatusCode::NO_CONTENT));
}

#[tokio::test]
async fn a_dynamic_pod_gets_several_bids_that_fit_into_it() {
    let spots = ["a", "b", "c", "d"].map(|id| {
        let mut creative = video();
        // 15 s each; a category of its own each.
        creative["categories"] = json!([format!("IAB{}", u32::from(id.as_bytes()[0]) - 90)]);
        campaign(id, [creative])
    });
    let stage = Stage::with(spots).await;
    let asked = request(json!({"video": {
        "mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [2, 3, 5, 6], "w": 640, "h": 480,
        "podid": "break-1", "poddur": 50, "maxseq": 3,
    }}));
    let response = bids_until(&stage, &asked, |bids| bids.len() == 3).await;
    let bids = bids(&response);
    assert!(
        bids.iter()
            .all(|bid| bid["impid"] == "imp-1" && bid["dur"] == 15 && bid["mtype"] == 2)
    );
    let campaigns: BTreeSet<_> = bids.iter().map(|bid| bid["cid"].as_str().unwrap()).collect();
    assert_eq!(campaigns.len(), 3);
    let too_long = stage.metric("bid_requests_total{exchange=\"default\",outcome=\"malformed\"}");
    assert_eq!(too_long, 0.0);
}

#[tokio::test]
async fn a_bid_on_a_deal_names_it_and_a_fixed_price_is_the_price() {
    let mut record = campaign("c1", [banner(300, 250)]);
    record["campaign"]["targeting"] = json!({"deals": ["deal-7"], "open_auction": false});
    let stage = Stage::with([record]).await;
    let mut asked = banner_request();
    let of = |more: Value| {
        let mut deal = json!({"id": "deal-7", "at": 3, "bidfloor": 12.5});
        deal.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"private_auction": 1, "deals": [deal]})
    };
    // The deal's currency is its own: the imp's floor currency says nothing of it.
    asked["imp"][0]["bidfloor"] = 40.into();
    asked["imp"][0]["bidfloorcur"] = "EUR".into();
    asked["imp"][0]["pmp"] = of(json!({"wadomain": ["shop.example"]}));
    let response = bids_until(&stage, &asked, |bids| bids.len() == 1).await;
    let bid = bids(&response)[0];
    assert_eq!(
        (&bid["dealid"], bid["price"].as_f64()),
        (&json!("deal-7"), Some(12.5))
    );
    asked["imp"][0]["pmp"] = of(json!({"wadomain": ["other.example"]}));
    assert!(stage.bid(&asked).await.is_empty_with(StatusCode::NO_CONTENT));
}

#[tokio::test]
async fn what_a_creative_is_is_said_of_it() {
    let mut creative = banner(300, 250);
    creative["attributes"] = json!([6]);
    creative["apis"] = json!([5]);
    creative["language"] = "de".into();
    creative["categories"] = json!(["42", "1"]);
    creative["cattax"] = 6.into();
    creative["impression_trackers"] = json!(["https://t.example/i?c={CACHEBUSTER}&p=${AUCTION_PRICE}"]);
    let mut asked = banner_request();
    asked["imp"][0]["banner"]["api"] = json!([5, 7]);
    asked["imp"][0]["exp"] = 90.into();
    let stage = Stage::with([campaign("c1", [creative])]).await;
    let response = bids_until(&stage, &asked, |bids| bids.len() == 1).await;
    let bid = bids(&response)[0];
    for (field, expected) in [
        ("attr", json!([6])),
        ("apis", json!([5])),
        ("language", json!("de")),
        ("cat", json!(["42", "1"])),
        ("cattax", json!(6)),
        ("exp", json!(90)),
        ("mtype", json!(1)),
        ("adomain", json!(["shop.example"])),
    ] {
        assert_eq!(bid[field], expected, "{field}");
    }
    let adm = bid["adm"].as_str().unwrap();
    assert!(
        adm.contains("https://t.example/i?c=") && adm.contains("&p=${AUCTION_PRICE}\""),
        "{adm}"
    );
    assert!(!adm.contains("{CACHEBUSTER}"), "{adm}");
}
