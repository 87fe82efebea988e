//! Every URL of the service. Probes and metrics are the platform's.

use crate::api::Api;
use crate::{delivery, report};
use axum::Router;
use axum::routing::get;
use platform::Traces;
use platform::http::{HttpOptions, layered};
use platform::metrics::HttpMetrics;
use std::time::Duration;

/// Reports are read by people and dashboards: few at once, and a long one may take its time.
const OPTIONS: HttpOptions = HttpOptions {
    body_limit_bytes: 4 << 10,
    timeout: Duration::from_secs(30),
    max_in_flight: 64,
};

pub(crate) fn router(api: Api, metrics: &HttpMetrics, traces: &Traces) -> Router {
    let router = Router::new()
        .route("/analytics/report", get(report::show))
        .route("/analytics/campaigns/{id}/delivery", get(delivery::show))
        .with_state(api);
    layered(router, OPTIONS, metrics, traces)
}
