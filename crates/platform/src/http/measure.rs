//! The outermost layer of every route: counts and times requests, and keeps a panic from taking the connection.
//! Its future is not boxed, and a request that succeeds logs nothing.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::problem::log_cause;
use crate::metrics::{HttpMetrics, RouteSeries, Started};

#[derive(Clone)]
pub(super) struct MeasureLayer {
    metrics: HttpMetrics,
}

impl MeasureLayer {
    pub(super) fn new(metrics: HttpMetrics) -> Self {
        Self { metrics }
    }
}

/// axum applies a layer to each route by itself, so each `Measured` keeps the series of one route.
impl<S> Layer<S> for MeasureLayer {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured {
            inner,
            series: self.metrics.route_series(),
        }
    }
}

#[derive(Clone)]
pub(super) struct Measured<S> {
    inner: S,
    series: RouteSeries,
}

impl<S> Service<Request> for Measured<S>
where
    S: Service<Request, Error = Infallible>,
    S::Response: IntoResponse,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Measuring<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let route = request.extensions().get::<MatchedPath>();
        let started = self.series.start(request.method(), route);
        Measuring {
            inner: self.inner.call(request),
            started,
        }
    }
}

pin_project! {
    /// Resolves to the inner response, or to an empty 500 when the handler panicked.
    pub(super) struct Measuring<F> {
        #[pin]
        inner: F,
        started: Option<Started>,
    }
}

impl<F, R> Future for Measuring<F>
where
    F: Future<Output = Result<R, Infallible>>,
    R: IntoResponse,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // Unwind safety: after a panic the inner future is never polled again. The panic hook has logged it.
        let poll = std::panic::catch_unwind(AssertUnwindSafe(|| this.inner.poll(cx)));
        let mut response = match poll {
            Ok(poll) => ready!(poll)?.into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };
        if response.status().is_server_error() {
            log_cause(&mut response);
        }
        if let Some(started) = this.started {
            started.answered(response.status());
        }
        Poll::Ready(Ok(response))
    }
}
