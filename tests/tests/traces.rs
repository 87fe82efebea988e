//! One trace across the services: a change from the API to the bidder's index, a request that is forwarded, and a bid
//! with what its notices come to.

#![expect(clippy::unwrap_used, reason = "test helpers: a failure is a failed test")]

use adplatform_tests::collector::{Collector, TracedSpan};
use adplatform_tests::fixtures::{USD, banner_request, campaign, notice, only_bid};
use adplatform_tests::services::PUBLIC_BIDDING_URL;
use adplatform_tests::{Platform, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

const CHANGE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const UNSAMPLED: &str = "1af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "00f067aa0ba902b7";

/// The span of that name, as soon as the collector has it.
async fn span(collector: &Collector, trace_id: &str, service: &str, name: &str) -> TracedSpan {
    eventually(&format!("{name} of {service} in trace {trace_id}"), || async {
        let spans = collector.trace(trace_id);
        spans
            .into_iter()
            .find(|span| span.name == name && span.service == service)
    })
    .await
}

/// As a caller that is a part of the trace asks; the answer must be a success.
async fn ask(request: reqwest::RequestBuilder, platform: &Platform, trace_id: &str, flags: &str) -> Value {
    let traceparent = format!("00-{trace_id}-{CALLER}-{flags}");
    let request = request
        .bearer_auth(&platform.key)
        .header("traceparent", traceparent);
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{status} {text}");
    serde_json::from_str(&text).unwrap()
}

async fn start(endpoint: &str) -> Platform {
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("BID_TRACE_RATIO", "1"),
    ];
    Platform::start_as_three_processes_with(&settings).await
}

#[tokio::test]
async fn a_change_is_one_trace_from_the_api_through_the_topic_to_the_bidders_index() {
    let collector = Collector::start().await;
    let platform = start(&collector.endpoint).await;
    let advertiser = platform.create("/advertisers", json!({"name": "Brand"})).await;
    let wanted = campaign(advertiser["id"].as_str().unwrap(), 2 * USD, 100 * USD);
    let post = || {
        let url = format!("{}/campaigns", platform.campaigns);
        platform.client.post(url).json(&wanted)
    };
    ask(post(), &platform, UNSAMPLED, "00").await;
    let made = ask(post(), &platform, CHANGE, "01").await;

    let asked = span(&collector, CHANGE, "campaign-service", "POST /campaigns").await;
    let published = span(&collector, CHANGE, "campaign-service", "publish").await;
    let taken = span(&collector, CHANGE, "bidding-service", "take into the index").await;
    assert_eq!(
        [&asked.parent, &published.parent, &taken.parent],
        [CALLER, &asked.span_id, &published.span_id]
    );
    assert_eq!(asked.attributes["http.response.status_code"], "201");
    assert_eq!(
        taken.attributes["messaging.kafka.message.key"],
        made["id"].as_str().unwrap()
    );
    assert!(collector.trace(UNSAMPLED).is_empty());
}

#[tokio::test]
async fn a_question_that_is_forwarded_is_one_trace() {
    let collector = Collector::start().await;
    let platform = start(&collector.endpoint).await;
    let report = "/analytics/report?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
    let url = format!("{}{report}", platform.campaigns);
    ask(platform.client.get(url), &platform, CHANGE, "01").await;

    let asked = span(&collector, CHANGE, "campaign-service", "GET /analytics/{*path}").await;
    let forwarded = span(
        &collector,
        CHANGE,
        "campaign-service",
        "forward to analytics-service",
    )
    .await;
    let answered = span(&collector, CHANGE, "analytics-service", "GET /analytics/report").await;
    assert_eq!(
        [&asked.parent, &forwarded.parent, &answered.parent],
        [CALLER, &asked.span_id, &forwarded.span_id]
    );
}

#[tokio::test]
async fn a_bid_is_one_trace_with_its_notices_up_to_the_reports() {
    let collector = Collector::start().await;
    let platform = start(&collector.endpoint).await;
    platform.live_campaign(2 * USD, 100 * USD).await;
    let response = platform.bid_on(&banner_request("r")).await;
    let bid = only_bid(&response);
    for name in ["nurl", "burl"] {
        let url = notice(bid, name, "1.25");
        let path = url.strip_prefix(PUBLIC_BIDDING_URL).unwrap();
        let url = format!("{}{path}", platform.bidding);
        assert_eq!(platform.hit(&url).await, StatusCode::OK);
    }

    // A request's first bid has the id of its trace.
    let trace_id = bid["id"].as_str().unwrap();
    let first = span(&collector, trace_id, "bidding-service", "bid").await;
    assert_eq!(
        (first.parent.as_str(), first.attributes["outcome"].as_str()),
        ("", "bid")
    );
    for (service, name) in [
        ("bidding-service", "parse"),
        ("bidding-service", "decide"),
        ("bidding-service", "answer"),
        ("bidding-service", "win notice"),
        ("bidding-service", "billing notice"),
        ("analytics-service", "add to the reports"),
    ] {
        let later = span(&collector, trace_id, service, name).await;
        assert_eq!(later.parent, first.span_id, "{name}");
        assert!(name != "parse" || later.took_nanos <= first.took_nanos);
    }
}

#[tokio::test]
async fn a_collector_that_is_away_is_no_trouble_and_what_is_lost_is_counted() {
    let platform = start("http://127.0.0.1:1").await;
    platform.create("/advertisers", json!({"name": "Brand"})).await;
    eventually("the lost spans are counted", || async {
        (platform.metric("trace_spans_dropped_total").await > 0.0).then_some(())
    })
    .await;
}
