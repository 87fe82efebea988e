//! Every URL of the service.

use crate::bid::{self, Bidder};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use platform::http::metrics_only;
use platform::metrics::HttpMetrics;
use std::sync::Arc;

/// `notices` holds `/notice/*`, `/event/*` and `/sync/*`. They are never shed; probes are the process's.
pub(crate) fn router(bidder: Arc<Bidder>, notices: Router, metrics: &HttpMetrics) -> Router {
    let bids = Router::new()
        .route("/openrtb2/bid", post(bid::default_exchange))
        .route("/openrtb2/{exchange}/bid", post(bid::named_exchange))
        .route(
            "/openrtb2/{exchange}/bid/{secret}",
            post(bid::named_exchange_with_secret),
        )
        .with_state(bidder);
    metrics_only(
        bids.merge(notices).fallback(|| async { StatusCode::NOT_FOUND }),
        metrics,
    )
}
