//! The three services as the processes that the images hold, on one store: from a campaign to its report.

use adplatform_tests::fixtures::{
    USD, banner_300x250, banner_request, campaign as campaign_of, notice, only_bid,
};
use adplatform_tests::services::PUBLIC_BIDDING_URL;
use adplatform_tests::{Platform, eventually};
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_campaign_bids_is_billed_and_reported_across_three_processes() {
    let platform = Platform::start_as_three_processes().await;
    let campaign = platform.live_campaign(2 * USD, 100 * USD).await;

    let response = platform.bid_on(&banner_request("r")).await;
    let bid = only_bid(&response);
    assert_eq!(bid["cid"], campaign.id.as_str());
    for name in ["nurl", "burl"] {
        let url = notice(bid, name, "1.25");
        let path = url
            .strip_prefix(PUBLIC_BIDDING_URL)
            .expect("notices go to the public URL");
        let url = format!("{}{path}", platform.bidding);
        assert_eq!(platform.hit(&url).await, StatusCode::OK);
    }

    // Asked of campaign-service, which forwards it.
    let totals = eventually("the report has it all", || async {
        let totals = platform.report_totals("bids,wins,spend_nanos").await;
        (totals["spend_nanos"] == 1_250_000 && totals["bids"].as_i64() >= Some(1)).then_some(totals)
    })
    .await;
    assert_eq!(totals["wins"], 1);
    // The status comes from the ledger, which another process writes.
    let path = format!("/campaigns/{}", campaign.id);
    assert_eq!(platform.get(&path).await["serving_status"], "serving");
}

#[tokio::test]
async fn an_administrator_asks_the_bidder_by_way_of_the_campaign_api() {
    let platform = Platform::start_as_three_processes().await;
    let campaign = platform.live_campaign(2 * USD, 100 * USD).await;
    platform.bid_on(&banner_request("r")).await;
    let question = json!({"request": banner_request("r"), "campaigns": [campaign.id]});
    let told = platform.create("/explain", question).await;
    assert_eq!(told["campaigns"][0]["imps"][0]["campaign_failures"], json!([]));

    let creative = banner_300x250();
    let draft = json!({
        "campaign": campaign_of(&campaign.advertiser_id, 2 * USD, 100 * USD), "creatives": [creative],
        "max_cpm_micros": [50_000, 2 * USD],
    });
    let told = eventually("a sample", || async {
        let told = platform.create("/forecast", draft.clone()).await;
        (told["requests"].as_u64() > Some(0)).then_some(told)
    })
    .await;
    assert_eq!(told["opportunities"], told["imps"]);
    let at_maxima = &told["by_max_cpm"];
    // The floor is a tenth of a dollar.
    assert_eq!(
        (&at_maxima[0]["eligible_imps"], &at_maxima[1]["eligible_imps"]),
        (&0.into(), &told["imps"])
    );
}
