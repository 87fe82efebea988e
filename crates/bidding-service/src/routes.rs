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
/// Each keeps a thread busy for as long as it takes.
const FORECASTS_AT_ONCE: usize = 1;

/// `notices` holds `/notice/*`, `/event/*` and `/sync/*`. They are never shed; probes are the process's. `explanation` and
/// `forecast` are for people, and so get the stack of their APIs.
pub(crate) fn router(
    bidder: Arc<Bidder>,
    notices: Router,
    explanation: Router,
    forecast: Router,
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
    let at_once = |max_in_flight| HttpOptions {
        max_in_flight,
        ..HttpOptions::default()
    };
    layered(explanation, at_once(EXPLANATIONS_AT_ONCE), metrics, traces)
        .merge(layered(forecast, at_once(FORECASTS_AT_ONCE), metrics, traces))
        .merge(metrics_only(
            bids.merge(notices).fallback(|| async { StatusCode::NOT_FOUND }),
            metrics,
        ))
}
