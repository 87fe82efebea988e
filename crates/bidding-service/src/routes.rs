//! Every URL of the service.

use crate::bid::{self, Bidder};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use platform::Traces;
use platform::http::{HttpOptions, layered, metrics_only};
use platform::metrics::HttpMetrics;
use std::sync::Arc;

/// Explanations at once: each looks at every condition of up to a hundred campaigns.
const EXPLANATIONS_AT_ONCE: usize = 4;

/// `notices` holds `/notice/*`, `/event/*` and `/sync/*`. They are never shed; probes are the process's. `explanation` is
/// for people, and so gets the stack of their APIs.
pub(crate) fn router(
    bidder: Arc<Bidder>,
    notices: Router,
    explanation: Router,
    metrics: &HttpMetrics,
    traces: &Traces,
) -> Router {
    let bids = Router::new()
        .route("/openrtb2/bid", post(bid::default_exchange))
        .route("/openrtb2/{exchange}/bid", post(bid::named_exchange))
        .route(
            "/openrtb2/{exchange}/bid/{secret}",
            post(bid::named_exchange_with_secret),
        )
        .with_state(bidder);
    let few_at_once = HttpOptions {
        max_in_flight: EXPLANATIONS_AT_ONCE,
        ..HttpOptions::default()
    };
    layered(explanation, few_at_once, metrics, traces).merge(metrics_only(
        bids.merge(notices).fallback(|| async { StatusCode::NOT_FOUND }),
        metrics,
    ))
}
