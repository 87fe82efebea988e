//! From a campaign to the report of what it spent, across five processes on three backends.

use adplatform_tests::collector::{Collector, TracedSpan};
use adplatform_tests::deployment::Deployment;
use adplatform_tests::eventually;
use adplatform_tests::fixtures::{USD, banner_request, notice, only_bid};
use reqwest::StatusCode;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_bids_is_billed_and_reported_on_real_backends() {
    let _with_others = crate::ALONE.read().await;
    let collector = Collector::start().await;
    let Some(deployment) = Deployment::start_traced(&collector.endpoint).await else {
        return;
    };
    let platform = &deployment.platform;
    let campaign = platform.live_campaign(2 * USD, 100 * USD).await;

    let response = platform.bid_on(&banner_request("r")).await;
    let bid = only_bid(&response);
    assert_eq!(bid["cid"], campaign.id.as_str());
    // The win to one bidder, the billing to the other, and everything twice.
    for round in 0..2 {
        for (number, name) in ["nurl", "burl"].into_iter().enumerate() {
            let url = notice(bid, name, "1.25");
            let path = url.split_once("/notice/").unwrap().1;
            let bidder = deployment.bidders[(number + round) % 2].url();
            let status = platform.hit(&format!("{bidder}/notice/{path}")).await;
            assert_eq!(status, StatusCode::OK, "{name}");
        }
    }

    let totals = eventually("the report has it all", || async {
        let totals = platform.report_totals("bids,wins,spend_nanos").await;
        (totals["spend_nanos"] == 1_250_000 && totals["bids"].as_i64() >= Some(1)).then_some(totals)
    })
    .await;
    assert_eq!(totals["wins"], 1);
    let path = format!("/campaigns/{}", campaign.id);
    assert_eq!(platform.get(&path).await["serving_status"], "serving");
    let (agrees, said) = deployment.adplatform(&["reconcile"]);
    assert!(agrees, "{said}");

    // Both traces went through Kafka: of the change that made the campaign, and of the bid.
    eventually("the change is one trace into the bidders' indexes", || async {
        let taken = collector.spans(|span| {
            span.name == "take into the index"
                && span.attributes["messaging.kafka.message.key"] == campaign.id
        });
        let is_published = |parent: &str, trace_id: &str| {
            let published = |span: &TracedSpan| span.name == "publish" && span.span_id == parent;
            let asked = |span: &TracedSpan| span.name.starts_with("POST /campaigns");
            let trace = collector.trace(trace_id);
            trace.iter().any(published) && trace.iter().any(asked)
        };
        taken
            .iter()
            .any(|span| is_published(&span.parent, &span.trace_id))
            .then_some(())
    })
    .await;
    eventually("the bid is one trace up to the reports", || async {
        let trace = collector.trace(bid["id"].as_str().unwrap());
        let services = |name: &str| trace.iter().any(|span| span.name == name);
        ["bid", "win notice", "billing notice", "add to the reports"]
            .into_iter()
            .all(services)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_start_before_every_backend_are_not_ready_and_then_trade() {
    let _with_others = crate::ALONE.read().await;
    let Some(deployment) = Deployment::start_before_its_backends().await else {
        return;
    };
    let platform = &deployment.platform;
    let campaign = platform.live_campaign(2 * USD, 100 * USD).await;
    let response = platform.bid_on(&banner_request("r")).await;
    assert_eq!(only_bid(&response)["cid"], campaign.id.as_str());
}
