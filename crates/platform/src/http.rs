//! The HTTP stack: one for people's APIs, a lean one for hot routes, problems as RFC 9457, JSON bodies.

mod bearer;
mod json;
mod measure;
mod problem;
mod request_id;
mod stack;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Router;

pub use bearer::bearer;
pub use json::Json;
pub(crate) use problem::chain;
pub use problem::{FieldError, Problem};
pub use request_id::RequestId;

use crate::Traces;
use crate::metrics::HttpMetrics;

/// The limits of [`layered`].
#[derive(Clone, Copy, Debug)]
pub struct HttpOptions {
    /// The longest request body, in bytes; beyond it 413.
    pub body_limit_bytes: usize,
    /// From the parsed head to the response's head, reading the body included; beyond it 503.
    pub timeout: Duration,
    /// Requests in flight at once; one more is refused at once with 503, it does not queue.
    pub max_in_flight: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            body_limit_bytes: 1 << 20,
            timeout: Duration::from_secs(10),
            max_in_flight: 1_024,
        }
    }
}

/// The stack of people's APIs around every route and the fallback of `router`: metrics, request id in and out, traces,
/// concurrency limit, timeout, body limit, a panic as an opaque 500, and every error answer as a problem document.
///
/// A service merges the parts that have stacks of their own, and [`crate::health::router`], into one router. The
/// one whose fallback shall answer unknown paths comes last: `metrics_only(bids).merge(layered(api))`.
pub fn layered(router: Router, options: HttpOptions, metrics: &HttpMetrics, traces: &Traces) -> Router {
    metrics_only(
        router.layer(stack::StackLayer::new(options, traces.clone())),
        metrics,
    )
}

/// The lean stack of hot routes: metrics, and a panic as an empty 500. No request id, no problem documents, no
/// limits: its handlers bound their own time, their bodies and their concurrency.
pub fn metrics_only(router: Router, metrics: &HttpMetrics) -> Router {
    // Without its state axum would build the routes, and their layers with an empty memory, for each request anew.
    router
        .with_state(())
        .layer(measure::MeasureLayer::new(metrics.clone()))
}
