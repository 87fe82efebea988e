//! The campaign API: advertisers, campaigns, creatives, audiences, exchanges and keys over HTTP, and the relay that publishes
//! what changed to the topics `campaigns` and `exchanges`.
//!
//! Promises:
//! - every mistake of a body is told at once, with its JSON pointer;
//! - a change, its history, the answer to its `Idempotency-Key` and its outbox record commit together;
//! - one tenant cannot tell whether another's object exists;
//! - what is published is what was stored, in an order that readers can check by (generation, revision).
//!
//! Must never: bid, settle money, show a secret twice, or show a client the cause of an internal error.

mod advertisers;
mod answer;
mod api;
mod audiences;
mod auth;
mod batch;
mod campaigns;
pub mod config;
mod creatives;
mod deals;
mod entropy;
mod error;
mod exchanges;
mod forward;
mod history;
mod idempotency;
mod keys;
mod listing;
mod members;
mod merge_patch;
mod metrics;
mod named;
mod precondition;
mod publication;
mod rate_limit;
mod relay;
mod resource;
mod routes;
mod serving_status;
mod users;
pub mod wiring;

use axum::Router;
use platform::Process;
use std::sync::Arc;
use storage::{CampaignStore, EventLog, SpendLedger, UserStates};

pub use config::Config;

/// The name in metrics and logs.
pub const SERVICE: &str = "campaign-service";

/// What the service needs of the outside.
#[derive(Clone)]
pub struct Ports {
    pub campaigns: Arc<dyn CampaignStore>,
    /// Read only: balances for `serving_status`.
    pub ledger: Arc<dyn SpendLedger>,
    pub log: Arc<dyn EventLog>,
    /// Members of audiences.
    pub users: Arc<dyn UserStates>,
}

/// A service that is ready to be served.
pub struct App {
    /// Every route but the probes.
    pub router: Router,
}

/// Builds the service and starts its relay on the process's shutdown; the latch `store reached` joins its readiness.
///
/// # Errors
/// When a metric cannot be registered: a second campaign-service on one registry.
pub fn build(config: &Config, ports: Ports, process: &Process) -> anyhow::Result<App> {
    let api = Arc::new(api::Api::new(config, &ports, process.clock.clone()));
    let traces = process.traces.of(SERVICE);
    let relay = relay::Relay::new(
        ports,
        process.clock.clone(),
        api.nudge(),
        metrics::OutboxMetrics::register(&process.metrics)?,
        traces.clone(),
        process.readiness.latch("store reached"),
    );
    let background = process.shutdown.background().clone();
    process.shutdown.spawn("outbox relay", relay.run(background));
    let analytics = forward::Forwarder::to_analytics(config.analytics_url.clone(), traces.clone());
    let bidding = forward::Bidding::new(config.bidding_url.clone(), &config.admin_api_key, traces.clone())?;
    Ok(App {
        router: routes::router(
            api,
            Arc::new(analytics),
            Arc::new(bidding),
            &process.metrics.http(SERVICE),
            &traces,
        ),
    })
}
