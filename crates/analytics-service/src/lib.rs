//! The analytics service: folds what happened into quarter-hour rollups and answers reports from them.
//!
//! Promises: every event of the topics counts once, in any order, whatever is repeated, restarted or lost in
//! between; a record that cannot be understood is counted, logged and passed over, and never holds up the others;
//! a tenant sees its own figures and nobody else's.
//!
//! Must never: charge or settle anything (the ledger does), write a campaign, hold money in a float.
//!
//! | where | what |
//! |---|---|
//! | [`fold`] | one record as what it adds; pure |
//! | `consumer` | reads the topics, applies batches with their offsets |
//! | `report` | `GET /analytics/report` |
//! | `delivery` | `GET /analytics/campaigns/{id}/delivery` |

mod api;
mod caller;
pub mod config;
mod consumer;
mod delivery;
mod error;
pub mod fold;
mod metrics;
pub mod ports;
mod report;
mod routes;
pub mod wiring;

pub use config::Config;
pub use ports::Ports;

use axum::Router;
use platform::Process;
use std::sync::Arc;

/// The name in logs, metrics and manifests.
pub const SERVICE: &str = "analytics-service";

/// The service, its background tasks running. Probes and `/metrics` are beside the router, not in it.
pub struct App {
    pub router: Router,
}

/// Starts the readers of the event topics on the process's shutdown, adds the latches `report store reached` and `offsets
/// loaded` to its readiness, and answers with the routes. Needs a Tokio runtime; waits for nothing.
///
/// # Errors
/// When the metrics are registered already.
pub fn build(config: &Config, ports: Ports, process: &Process) -> anyhow::Result<App> {
    let metrics = metrics::Metrics::register(&process.metrics)?;
    consumer::start(&ports, &metrics, process);
    let api = api::Api {
        ports,
        clock: process.clock.clone(),
        admin_api_key: config.admin_api_key.clone().map(Arc::new),
    };
    Ok(App {
        router: routes::router(api, &process.metrics.http(SERVICE), &process.traces.of(SERVICE)),
    })
}
