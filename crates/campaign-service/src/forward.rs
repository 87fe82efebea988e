//! `/analytics/*` forwarded to the analytics service, and of administrators `POST /explain` and `POST /forecast` to the
//! bidding service, so that a browser has one origin.
//!
//! To analytics the key travels along and is checked there. Bidders know no key but that of the settings: who the caller is
//! is checked here, and the request goes on with this service's own. Bodies stream both ways; live views last as long as
//! they last.

use crate::auth::Caller;
use crate::error::ApiError;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, uri};
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use platform::http::{Problem, RequestId};
use platform::traces::{self, Span, SpanKind};
use platform::{Secret, Traces};
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

/// Asks one other service.
pub(crate) struct Forwarder {
    base: Uri,
    to: &'static Destination,
    client: Client<HttpConnector, Body>,
    traces: Traces,
}

/// In words.
struct Destination {
    span: &'static str,
    away: &'static str,
}

const ANALYTICS: Destination = Destination {
    span: "forward to analytics-service",
    away: "the analytics service cannot be reached",
};
const BIDDING: Destination = Destination {
    span: "forward to bidding-service",
    away: "the bidding service cannot be reached",
};

impl Forwarder {
    pub(crate) fn to_analytics(base: Uri, traces: Traces) -> Self {
        Self::new(base, &ANALYTICS, traces)
    }

    fn new(base: Uri, to: &'static Destination, traces: Traces) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Self {
            base,
            to,
            client,
            traces,
        }
    }

    fn target(&self, path: &str) -> Result<Uri, ApiError> {
        let mut builder = uri::Builder::new().scheme("http");
        if let Some(authority) = self.base.authority() {
            builder = builder.authority(authority.clone());
        }
        let target = builder.path_and_query(path).build();
        target.map_err(|_| ApiError::Unreadable(Problem::new(StatusCode::BAD_REQUEST)))
    }

    /// The request as it came, but for its URL and what lies between two hops.
    async fn forward(&self, path: &str, id: &RequestId, request: Request) -> Result<Response, ApiError> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.target(path)?;
        drop_hop_by_hop(&mut parts.headers);
        parts.headers.remove(HOST);
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            parts.headers.insert("x-request-id", value);
        }
        let mut span =
            traces::current().and_then(|trace| self.traces.child(trace, SpanKind::Client, self.to.span));
        if let Some(trace) = span.as_ref().map(Span::context).or_else(traces::current)
            && let Ok(value) = HeaderValue::from_str(&trace.traceparent())
        {
            parts.headers.insert("traceparent", value);
        }
        // What axum and the server know of our own connection is not the other's business.
        parts.extensions.clear();
        let asked = self.client.request(Request::from_parts(parts, body));
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
                tracing::warn!(%error, "{}", self.to.away);
                Err(self.away(span))
            }
            Err(_) => Err(self.away(span)),
        }
    }

    fn away(&self, span: Option<Span>) -> ApiError {
        if let Some(mut span) = span {
            span.fail("no answer");
        }
        ApiError::Unreadable(Problem::unavailable(RETRY_AFTER_SECONDS).with_detail(self.to.away))
    }
}

pub(crate) async fn analytics(
    State(forwarder): State<Arc<Forwarder>>,
    id: RequestId,
    request: Request,
) -> Result<Response, ApiError> {
    let path = request.uri().path_and_query().cloned();
    let path = path.as_ref().map_or("/", uri::PathAndQuery::as_str);
    forwarder.forward(path, &id, request).await
}

/// Asks the bidding service with this service's own key.
pub(crate) struct Bidding {
    forwarder: Forwarder,
    /// `Bearer` and the key.
    authorization: HeaderValue,
}

impl Bidding {
    /// # Errors
    /// When the key cannot be put into a header, which the settings refuse.
    pub(crate) fn new(
        base: Uri,
        admin_api_key: &Secret,
        traces: Traces,
    ) -> Result<Self, axum::http::header::InvalidHeaderValue> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", admin_api_key.expose()))?;
        authorization.set_sensitive(true);
        Ok(Self {
            forwarder: Forwarder::new(base, &BIDDING, traces),
            authorization,
        })
    }

    async fn ask(
        &self,
        path: &str,
        caller: &Caller,
        id: &RequestId,
        mut request: Request,
    ) -> Result<Response, ApiError> {
        caller.require_administrator()?;
        let authorization = self.authorization.clone();
        request.headers_mut().insert(AUTHORIZATION, authorization);
        let response = self.forwarder.forward(path, id, request).await?;
        // The caller's key was right; it is ours that the bidder does not take.
        if matches!(
            response.status(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            tracing::warn!(status = %response.status(), "the bidding service has another ADMIN_API_KEY, or none");
            let problem = Problem::new(StatusCode::BAD_GATEWAY);
            return Err(ApiError::Unreadable(
                problem.with_detail("the bidding service has another ADMIN_API_KEY, or none"),
            ));
        }
        Ok(response)
    }
}

/// `POST /explain`, `/openrtb2/explain` of the bidding service.
pub(crate) async fn explain(
    State(bidding): State<Arc<Bidding>>,
    caller: Caller,
    id: RequestId,
    request: Request,
) -> Result<Response, ApiError> {
    bidding.ask("/openrtb2/explain", &caller, &id, request).await
}

/// `POST /forecast`, `/openrtb2/forecast` of the bidding service.
pub(crate) async fn forecast(
    State(bidding): State<Arc<Bidding>>,
    caller: Caller,
    id: RequestId,
    request: Request,
) -> Result<Response, ApiError> {
    bidding.ask("/openrtb2/forecast", &caller, &id, request).await
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
