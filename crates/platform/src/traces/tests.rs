use std::time::Duration;

use axum::Router;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::Readiness;
use crate::config::Settings;
use crate::shutdown::ShutdownTiming;

struct Tracing {
    traces: Traces,
    metrics: Metrics,
    shutdown: Shutdown,
}

fn tracing_to(endpoint: &str, share: &str) -> Tracing {
    let metrics = Metrics::new("test").unwrap();
    let mut settings = Settings::from_pairs([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_TRACES_SAMPLER_ARG", share),
    ]);
    let settings_read = TraceSettings::read(&mut settings);
    settings.finish().unwrap();
    Tracing {
        traces: Traces::new("test", &settings_read, &metrics).unwrap(),
        shutdown: Shutdown::new(ShutdownTiming::default(), Readiness::new()),
        metrics,
    }
}

impl Tracing {
    fn request(&self, caller: Option<TraceContext>) -> (Option<TraceContext>, Option<Span>) {
        self.traces.enter(caller, SpanKind::Server, || "GET /".to_owned())
    }

    fn counted(&self, line: &str) -> bool {
        self.metrics.encode().unwrap().lines().any(|one| one == line)
    }
}

/// Its address, and the lengths of the bodies that were posted to /v1/traces.
async fn collector() -> (String, UnboundedReceiver<usize>) {
    let (tell, told) = unbounded_channel();
    let take = async move |body: bytes::Bytes| {
        tell.send(body.len()).unwrap();
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, told)
}

#[test]
fn a_traceparent_reads_back_and_what_is_none_is_no_context() {
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let context = TraceContext::parse(text).unwrap();
    assert_eq!(context.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
    assert!(context.is_sampled);
    assert_eq!(context.traceparent(), text);
    for wrong in [
        "",
        "01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
    ] {
        assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn an_endpoint_that_cannot_be_spoken_to_is_a_mistake() {
    for wrong in [
        "collector:4318",
        "https://collector:4318",
        "http://",
        "http://a/?b",
    ] {
        let mut settings = Settings::from_pairs([("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)]);
        TraceSettings::read(&mut settings);
        assert!(settings.finish().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn without_an_endpoint_the_callers_trace_is_passed_on_and_no_span_taken() {
    let tracing = tracing_to("", "1");
    let caller = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let (context, span) = tracing.request(caller);
    assert_eq!(context, caller);
    assert!(span.is_none());
}

#[tokio::test]
async fn the_caller_decides_and_else_the_coin() {
    let caller = |flag| TraceContext::parse(&format!("00-{:032x}-{:016x}-{flag}", 1, 2)).unwrap();
    let never = tracing_to("http://127.0.0.1:1", "0");
    let (context, span) = never.request(None);
    assert!(span.is_none() && !context.unwrap().is_sampled);
    let (context, span) = never.request(Some(caller("01")));
    let context = context.unwrap();
    assert!(span.is_some() && context.trace_id == 1 && context.span_id != 2);
    let always = tracing_to("http://127.0.0.1:1", "1");
    assert!(always.request(None).1.is_some());
    assert!(always.request(Some(caller("00"))).1.is_none());
}

#[tokio::test]
async fn spans_reach_the_collector_the_last_ones_when_the_process_stops() {
    let (endpoint, mut bodies) = collector().await;
    let tracing = tracing_to(&endpoint, "1");
    tracing.traces.export(&tracing.shutdown);
    drop(tracing.request(None));
    assert!(bodies.recv().await.unwrap() > 0);
    drop(tracing.request(None));
    tracing.shutdown.request("test");
    tracing.shutdown.finished().await;
    assert!(bodies.recv().await.unwrap() > 0);
    assert!(tracing.counted("trace_spans_exported_total 2"));
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up_and_what_is_lost_is_counted() {
    let refused = tracing_to("http://127.0.0.1:1", "1");
    for _ in 0..QUEUE + 7 {
        drop(refused.request(None));
    }
    assert!(refused.counted("trace_spans_dropped_total{reason=\"queue_full\"} 7"));
    refused.traces.export(&refused.shutdown);
    let lost = async {
        while refused.counted("trace_spans_dropped_total{reason=\"not_taken\"} 0") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), lost).await.unwrap();
}
