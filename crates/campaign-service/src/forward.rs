//! `/analytics/*` forwarded to the analytics service, so that a browser has one origin.
//!
//! The key travels along and is checked there. Bodies stream both ways; live views last as long as they last.

use crate::error::ApiError;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CONNECTION, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, uri};
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use platform::Traces;
use platform::http::{Problem, RequestId};
use platform::traces::{self, Span, SpanKind};
use std::sync::Arc;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// To the head of the answer; its body may take any time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(9);
const RETRY_AFTER_SECONDS: u64 = 1;
/// Between two hops, not between two ends (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

pub(crate) struct Forwarder {
    base: Uri,
    client: Client<HttpConnector, Body>,
    traces: Traces,
}

impl Forwarder {
    pub(crate) fn new(base: Uri, traces: Traces) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Self { base, client, traces }
    }

    fn target(&self, from: &Uri) -> Result<Uri, axum::http::Error> {
        let mut builder = uri::Builder::new().scheme("http");
        if let Some(authority) = self.base.authority() {
            builder = builder.authority(authority.clone());
        }
        let path = from.path_and_query().map_or("/", uri::PathAndQuery::as_str);
        builder.path_and_query(path).build()
    }
}

pub(crate) async fn analytics(
    State(forwarder): State<Arc<Forwarder>>,
    id: RequestId,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    parts.uri = forwarder
        .target(&parts.uri)
        .map_err(|_| ApiError::Unreadable(Problem::new(StatusCode::BAD_REQUEST)))?;
    drop_hop_by_hop(&mut parts.headers);
    parts.headers.remove(HOST);
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        parts.headers.insert("x-request-id", value);
    }
    let mut span = traces::current().and_then(|trace| {
        forwarder
            .traces
            .child(trace, SpanKind::Client, "forward to analytics-service")
    });
    if let Some(trace) = span.as_ref().map(Span::context).or_else(traces::current)
        && let Ok(value) = HeaderValue::from_str(&trace.traceparent())
    {
        parts.headers.insert("traceparent", value);
    }
    // What axum and the server know of our own connection is not the other's business.
    parts.extensions.clear();
    let asked = forwarder.client.request(Request::from_parts(parts, body));
    match tokio::time::timeout(HEAD_TIMEOUT, asked).await {
        Ok(Ok(response)) => {
            let (mut parts, body) = response.into_parts();
            if let Some(span) = &mut span {
                span.set("http.response.status_code", i64::from(parts.status.as_u16()));
            }
            drop_hop_by_hop(&mut parts.headers);
            Ok(Response::from_parts(parts, Body::new(body)).into_response())
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the analytics service did not answer");
            Err(away(span))
        }
        Err(_) => Err(away(span)),
    }
}

fn away(span: Option<Span>) -> ApiError {
    if let Some(mut span) = span {
        span.fail("no answer");
    }
    ApiError::Unreadable(
        Problem::unavailable(RETRY_AFTER_SECONDS).with_detail("the analytics service cannot be reached"),
    )
}

/// Removes the standard ones and those that `Connection` names.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}
