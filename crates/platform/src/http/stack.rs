//! The stack of people's APIs, as one layer, so that a request passes one boxed future and not seven.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::Limited;
use tokio::sync::Semaphore;
use tower::{Layer, Service};
use tracing::Instrument;
use tracing::field::Empty;

use super::problem::log_cause;
use super::request_id::X_REQUEST_ID;
use super::{HttpOptions, Problem, RequestId};
use crate::Traces;
use crate::traces::{Span, SpanKind, TraceContext, within};

/// A refusal that says when to come back, in seconds.
const RETRY_AFTER_SECONDS: u64 = 1;
/// The longest plain-text error that is taken over as a problem's detail.
const MAX_DETAIL_BYTES: usize = 2_048;

#[derive(Clone)]
pub(super) struct StackLayer(Arc<Limits>);

struct Limits {
    options: HttpOptions,
    in_flight: Semaphore,
    traces: Traces,
}

impl StackLayer {
    pub(super) fn new(options: HttpOptions, traces: Traces) -> Self {
        let permits = options.max_in_flight.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Limits {
            options,
            in_flight: Semaphore::new(permits),
            traces,
        }))
    }
}

impl<S> Layer<S> for StackLayer {
    type Service = Stack<S>;

    fn layer(&self, inner: S) -> Stack<S> {
        Stack {
            inner,
            limits: self.0.clone(),
        }
    }
}

#[derive(Clone)]
pub(super) struct Stack<S> {
    inner: S,
    limits: Arc<Limits>,
}

impl<S> Service<Request> for Stack<S>
where
    S: Service<Request, Error = Infallible> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = RequestId::from_headers(request.headers());
        let route = request
            .extensions()
            .get()
            .map_or("unmatched", MatchedPath::as_str);
        let method = request.method();
        let caller = TraceContext::of_headers(request.headers());
        let name = || format!("{method} {route}");
        let (trace, spanned) = self.limits.traces.enter(caller, SpanKind::Server, name);
        let spanned = spanned.map(|mut spanned| {
            spanned.set("http.request.method", method.to_string());
            spanned.set("http.route", route.to_owned());
            spanned.set("request_id", id.as_str().to_owned());
            spanned
        });
        let span = tracing::info_span!("http", request_id = id.as_str(), %method, route, trace_id = Empty);
        if let Some(trace) = trace {
            span.record("trace_id", trace.trace_id_text());
        }
        request.extensions_mut().insert(id.clone());
        // What was polled ready is called; the fresh clone takes its place.
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        let limits = self.limits.clone();
        let answer = async move {
            let response = limits.answer(inner, request).await;
            let response = finish(response, &id).await;
            tracing::debug!(status = response.status().as_u16(), "answered");
            answered(spanned, response.status());
            Ok(response)
        };
        Box::pin(within(trace, answer).instrument(span))
    }
}

impl Limits {
    async fn answer<S>(&self, mut inner: S, request: Request) -> Response
    where
        S: Service<Request, Error = Infallible>,
        S::Response: IntoResponse,
    {
        let Ok(_permit) = self.in_flight.try_acquire() else {
            return Problem::unavailable(RETRY_AFTER_SECONDS)
                .with_detail("too many requests in flight")
                .into_response();
        };
        if request.body().size_hint().lower() > self.options.body_limit_bytes as u64 {
            return Problem::payload_too_large(self.options.body_limit_bytes).into_response();
        }
        let answer = AssertUnwindSafe(inner.call(self.limited(request))).catch_unwind();
        match tokio::time::timeout(self.options.timeout, answer).await {
            Ok(Ok(Ok(response))) => response.into_response(),
            // The panic hook has logged it, inside the request's span.
            Ok(Err(_panic)) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR).into_response(),
            Err(_elapsed) => {
                tracing::warn!(timeout_ms = self.options.timeout.as_millis(), "request timed out");
                Problem::unavailable(RETRY_AFTER_SECONDS)
                    .with_detail("the request took too long")
                    .into_response()
            }
        }
    }

    /// Replaces axum's own limit of 2 MB, which only its extractors know, by one on the body itself.
    fn limited(&self, request: Request) -> Request {
        let limit_bytes = self.options.body_limit_bytes;
        let mut request = request.map(|body| Body::new(Limited::new(body, limit_bytes)));
        DefaultBodyLimit::disable().apply(&mut request);
        request
    }
}

/// Ends the request's span.
fn answered(span: Option<Span>, status: StatusCode) {
    let Some(mut span) = span else { return };
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.as_str().to_owned());
    }
}

/// Gives the response its request id, and an error answer its problem document.
async fn finish(response: Response, id: &RequestId) -> Response {
    let mut response = into_problem(response, id).await;
    if let Some(value) = id.header_value() {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

async fn into_problem(mut response: Response, id: &RequestId) -> Response {
    log_cause(&mut response);
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return with_document(response, problem, id);
    }
    let status = response.status();
    let plain = response
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    // axum's own refusals (no route, wrong method, a bad query) are plain text.
    let body = std::mem::take(response.body_mut());
    let text = axum::body::to_bytes(body, MAX_DETAIL_BYTES)
        .await
        .unwrap_or_default();
    let problem = match std::str::from_utf8(&text) {
        Ok(text) if status.is_client_error() && !text.is_empty() => Problem::new(status).with_detail(text),
        _ => match status {
            StatusCode::NOT_FOUND => Problem::new(status).with_detail("there is nothing at this path"),
            StatusCode::METHOD_NOT_ALLOWED => {
                Problem::new(status).with_detail("the methods of this path are in the Allow header")
            }
            _ => Problem::new(status),
        },
    };
    with_document(response, problem, id)
}

/// Keeps the response's status and headers (`allow`, `retry-after`) and replaces its body.
fn with_document(response: Response, problem: Problem, id: &RequestId) -> Response {
    let (mut parts, _body) = response.into_parts();
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    parts
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static(super::problem::MEDIA_TYPE));
    Response::from_parts(parts, Body::from(problem.with_request_id(id.as_str()).document()))
}
