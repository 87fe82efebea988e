//! A receiver of OTLP over HTTP, for what a collector of traces would be sent. A real one is not among Debian's packages.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use prost::Message;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// Keeps every span that it is sent.
pub struct Collector {
    pub endpoint: String,
    spans: Arc<Mutex<Vec<TracedSpan>>>,
}

/// A span as it was received.
#[derive(Clone, Debug)]
pub struct TracedSpan {
    /// `service.name` of the process.
    pub service: String,
    pub name: String,
    /// Ids in hexadecimal; `parent` is empty for the first of a trace.
    pub trace_id: String,
    pub span_id: String,
    pub parent: String,
    pub attributes: BTreeMap<String, String>,
    pub took_nanos: u64,
}

impl Collector {
    pub async fn start() -> Self {
        let spans: Arc<Mutex<Vec<TracedSpan>>> = Arc::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(spans.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { endpoint, spans }
    }

    /// What has come of a trace.
    pub fn trace(&self, trace_id: &str) -> Vec<TracedSpan> {
        self.spans(|span| span.trace_id == trace_id)
    }

    pub fn spans(&self, of: impl Fn(&TracedSpan) -> bool) -> Vec<TracedSpan> {
        let spans = self.spans.lock().unwrap();
        spans.iter().filter(|span| of(span)).cloned().collect()
    }
}

async fn take(State(spans): State<Arc<Mutex<Vec<TracedSpan>>>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    for of_process in request.resource_spans {
        let resource = of_process.resource.unwrap_or_default();
        let service = texts(&resource.attributes)
            .remove("service.name")
            .unwrap_or_default();
        for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.lock().unwrap().push(TracedSpan {
                service: service.clone(),
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                attributes: texts(&span.attributes),
                took_nanos: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
                name: span.name,
            });
        }
    }
    StatusCode::OK
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|any| any.value.clone()) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    };
    attributes
        .iter()
        .map(|one| (one.key.clone(), text(&one.value)))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
