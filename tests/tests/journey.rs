//! From a campaign to the report of what it spent, over HTTP, on the real program.

use adplatform_tests::fixtures::{USD, banner_request, notice, only_bid};
use adplatform_tests::{Platform, eventually, markup};
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_campaign_bids_wins_is_billed_and_reported() {
    let platform = Platform::start().await;
    let campaign = platform.live_campaign(2 * USD, 100 * USD).await;

    let response = platform.bid_on(&banner_request("req-1")).await;
    assert_eq!(response["id"], "req-1");
    let bid = only_bid(&response);
    assert_eq!(
        (&bid["impid"], &bid["w"], &bid["h"], &bid["mtype"]),
        (&json!("1"), &json!(300), &json!(250), &json!(1))
    );
    assert_eq!(bid["price"].as_f64(), Some(2.0));
    assert_eq!(bid["cid"], campaign.id.as_str());
    assert_eq!(bid["adomain"], json!(["brand.example"]));

    assert_eq!(platform.hit(&notice(bid, "nurl", "1.25")).await, StatusCode::OK);
    assert_eq!(platform.hit(&notice(bid, "burl", "1.25")).await, StatusCode::OK);
    let adm = bid["adm"].as_str().unwrap();
    assert_eq!(
        platform.hit(&markup::url(adm, "/event/impression")).await,
        StatusCode::OK
    );
    let click = platform
        .client
        .get(markup::url(adm, "/event/click"))
        .send()
        .await
        .unwrap();
    assert_eq!(click.status(), StatusCode::FOUND);
    let landing = click.headers()["location"].to_str().unwrap();
    assert!(landing.starts_with("https://brand.example/landing"), "{landing}");
    let (_, sealed) = landing.split_once("adp_click=").unwrap();
    let said = "type=sale&order_id=1&value=9.99&currency=USD";
    let conversion = format!("{}/event/conversion?adp_click={sealed}&{said}", platform.bidding);
    assert_eq!(platform.hit(&conversion).await, StatusCode::OK);

    // Every notice again: nothing may change.
    for name in ["nurl", "burl"] {
        assert_eq!(platform.hit(&notice(bid, name, "1.25")).await, StatusCode::OK);
    }
    assert_eq!(platform.hit(&conversion).await, StatusCode::OK);

    let totals = eventually("the report has it all", || async {
        let totals = platform
            .report_totals("bids,wins,impressions,clicks,conversions,conversion_value_micros,spend_nanos")
            .await;
        let all_counted = ["clicks", "impressions", "conversions"]
            .iter()
            .all(|name| totals[*name] == 1);
        (totals["spend_nanos"] == 1_250_000 && all_counted).then_some(totals)
    })
    .await;
    assert_eq!(totals["wins"], 1);
    assert_eq!(totals["conversion_value_micros"], 9_990_000);
    let path = format!("/campaigns/{}", campaign.id);
    assert_eq!(platform.get(&path).await["serving_status"], "serving");
}

#[tokio::test]
async fn a_paused_campaign_stops_bidding() {
    let platform = Platform::start().await;
    let campaign = platform.live_campaign(2 * USD, 100 * USD).await;
    platform.bid_on(&banner_request("before")).await;

    platform
        .patch(
            &format!("/campaigns/{}", campaign.id),
            json!({"status": "paused"}),
        )
        .await;

    eventually("no more bids", || async {
        let (status, body) = platform.offer(banner_request("after").to_string()).await;
        assert!(status == StatusCode::OK || body.is_empty());
        (status == StatusCode::NO_CONTENT).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_budget_is_never_exceeded_however_many_ask() {
    let platform = Platform::start().await;
    // Five impressions at a CPM of 10 dollars cost 5 cents.
    platform.live_campaign(10 * USD, 50_000).await;

    let mut charged_nanos = 0;
    let mut quiet = 0;
    while quiet < 50 {
        let (status, body) = platform.offer(banner_request("r").to_string()).await;
        if status == StatusCode::OK {
            quiet = 0;
            let response = serde_json::from_slice(&body).unwrap();
            let bid = only_bid(&response);
            assert_eq!(platform.hit(&notice(bid, "nurl", "10")).await, StatusCode::OK);
            assert_eq!(platform.hit(&notice(bid, "burl", "10")).await, StatusCode::OK);
            charged_nanos += 10_000_000;
        } else {
            quiet += i32::from(charged_nanos > 0);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    assert_eq!(
        charged_nanos, 50_000_000,
        "the whole budget, and not one impression more"
    );
    let totals = eventually("the report has it all", || async {
        let totals = platform.report_totals("spend_nanos").await;
        (totals["spend_nanos"] == 50_000_000).then_some(totals)
    })
    .await;
    assert_eq!(totals["spend_nanos"], 50_000_000);
}

#[tokio::test]
async fn a_forged_notice_is_refused_and_counted() {
    let platform = Platform::start().await;
    platform.live_campaign(2 * USD, 100 * USD).await;
    let response = platform.bid_on(&banner_request("r")).await;
    let burl = notice(only_bid(&response), "burl", "1.25");
    let token = burl.split("t=").nth(1).unwrap().split('&').next().unwrap();
    // One character in the middle of the token is another one.
    let middle = token.len() / 2;
    let other = if token.as_bytes()[middle] == b'A' {
        "B"
    } else {
        "A"
    };
    let forged = format!("{}{other}{}", &token[..middle], &token[middle + 1..]);

    assert_eq!(
        platform.hit(&burl.replace(token, &forged)).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        platform
            .hit(&burl.replace("/notice/billing", "/notice/win"))
            .await,
        StatusCode::FORBIDDEN
    );
    assert!(platform.metric("notices_total").await >= 2.0);
    assert_eq!(platform.report_totals("spend_nanos").await["spend_nanos"], 0);
}

#[tokio::test]
async fn a_key_made_for_an_advertiser_opens_its_reports_and_no_others() {
    let platform = Platform::start().await;
    let campaign = platform.live_campaign(2 * USD, 100 * USD).await;
    let other = platform.create("/advertisers", json!({"name": "Other"})).await;
    let response = platform.bid_on(&banner_request("r")).await;
    assert_eq!(
        platform.hit(&notice(only_bid(&response), "burl", "1.25")).await,
        StatusCode::OK
    );
    eventually("the report has it", || async {
        let totals = platform.report_totals("spend_nanos").await;
        (totals["spend_nanos"] == 1_250_000).then_some(())
    })
    .await;

    for (advertiser, spend_nanos) in [
        (campaign.advertiser_id.as_str(), 1_250_000),
        (other["id"].as_str().unwrap(), 0),
    ] {
        let key = platform
            .create(
                "/keys",
                json!({"name": "k", "role": "viewer", "advertiser_id": advertiser}),
            )
            .await;
        let tenant = platform.with_key(key["key"].as_str().unwrap());
        let totals = tenant.report_totals("spend_nanos").await;
        assert_eq!(totals["spend_nanos"], spend_nanos, "{advertiser}");
    }
}
