//! The bidding service: answers OpenRTB bid requests inside their deadline, and turns notices into spend.
//!
//! Promises:
//! - every request is answered in time: with bids, with 204 when there are none or it is late, with 400 when it is
//!   malformed; never with a 5xx;
//! - no bid is made that the campaign's lease does not cover, and none that is late keeps its reservation;
//! - the bid path asks at most one other party (the store of user states), for a bounded time;
//! - a money event is acknowledged only once it cannot be lost.
//!
//! Must never: talk to the campaign store, log on the bid path, or shed a notice.
//!
//! Where to look: `bid` (the way of a request), `follower` (topics to snapshot), `answer` and `markup` (decisions
//! to bytes), `exchange_gate` (who may ask), `bid_events` (counts), `token`, `lease_keeper`, `notices` and
//! `settlement` (money).

mod answer;
mod bid;
mod bid_events;
mod config;
mod dimensions;
mod error;
mod exchange_gate;
mod follower;
mod lease_keeper;
mod live;
mod markup;
mod metrics;
mod native;
mod notice_secret;
mod notice_urls;
mod notices;
mod routes;
mod settlement;
#[cfg(test)]
mod testing;
mod token;
mod transport;
mod user_key;
pub mod wiring;

use answer::Answerer;
use arc_swap::ArcSwap;
use axum::Router;
use bid::{Bidder, Timing};
use bid_events::BidEvents;
use domain::id::BidderId;
use follower::Follower;
use lease_keeper::LeaseKeeper;
use live::Live;
use metrics::BiddingMetrics;
use notices::Notices;
use platform::Process;
use settlement::Settlement;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use storage::{EventLog, SpendLedger, UserStates};
use token::TokenSealer;
use tokio::sync::Semaphore;

pub use config::{Config, NoticeKey};

/// The name in metrics and logs.
pub const SERVICE: &str = "bidding-service";

/// What the service asks of the stores.
#[derive(Clone)]
pub struct Ports {
    pub event_log: Arc<dyn EventLog>,
    pub spend_ledger: Arc<dyn SpendLedger>,
    pub user_states: Arc<dyn UserStates>,
}

/// The service, started; its tasks run on the process's shutdown.
#[derive(Debug)]
pub struct App {
    /// Bids, notices and events. Probes are the process's.
    pub router: Router,
}

/// Starts the service's tasks. It is ready once it has caught up with the topics: a latch of `process.readiness`.
///
/// # Errors
/// When the metrics are taken, or the development key can neither be read nor made.
pub fn build(config: &Config, ports: Ports, process: &Process) -> anyhow::Result<App> {
    let metrics = BiddingMetrics::register(&process.metrics)?;
    let sealer = Arc::new(sealer(config)?);
    let run = fastrand::Rng::new().u64(..);
    let bidder_id = BidderId::mint(process.clock.unix_ms(), u128::from(run) << 16);
    let live: Arc<ArcSwap<Live>> = Arc::default();
    // Until the exchanges are known: the longest that their range goes to.
    let win_notice_delay_ms = Arc::new(AtomicI64::new(10_000));
    let keeper = Arc::new(LeaseKeeper::new(
        ports.spend_ledger.clone(),
        bidder_id.clone(),
        process.clock.clone(),
        win_notice_delay_ms.clone(),
        metrics.money.clone(),
        run,
    ));
    let heartbeats = keeper.clone().run(process.shutdown.clone());
    process.shutdown.spawn("lease keeper", heartbeats);
    Follower {
        log: ports.event_log.clone(),
        live: live.clone(),
        cells_for: Box::new({
            let keeper = keeper.clone();
            move |campaigns| keeper.cells_for(campaigns)
        }),
        win_notice_delay_ms,
        needs_proof: !config.environment.is_development(),
        caught_up: process.readiness.latch("campaigns caught up"),
        clock: process.clock.clone(),
        index_metrics: metrics.index.clone(),
        bid_metrics: metrics.bids.clone(),
    }
    .start(&process.shutdown);
    let settlement = Arc::new(Settlement::new(
        ports.spend_ledger.clone(),
        ports.event_log.clone(),
        ports.user_states.clone(),
        keeper,
        process.clock.clone(),
        metrics.money.clone(),
    ));
    let sweeps = settlement.clone().sweep(process.shutdown.clone());
    process.shutdown.spawn("spend outbox sweeper", sweeps);
    let notices = Notices {
        sealer: sealer.clone(),
        settlement,
        clock: process.clock.clone(),
        counted: metrics.money.notices.clone(),
    };
    let events = BidEvents::start(
        ports.event_log.clone(),
        bidder_id.clone(),
        process.clock.clone(),
        metrics.bids.bid_events_dropped.clone(),
        &process.shutdown,
    );
    let bidder = Arc::new(Bidder {
        live,
        user_states: ports.user_states.clone(),
        answerer: Answerer::new(sealer, config.public_bidding_url.clone(), bidder_id, run),
        events,
        clock: process.clock.clone(),
        timing: Timing {
            bid_timeout: config.bid_timeout,
            network_margin: config.network_margin,
            user_state_timeout: config.user_state_timeout,
        },
        in_flight: Semaphore::new(config.max_bids_in_flight),
        metrics: metrics.bids,
    });
    let http = process.metrics.http(SERVICE);
    Ok(App {
        router: routes::router(bidder, notices::router(notices), &http),
    })
}

fn sealer(config: &Config) -> anyhow::Result<TokenSealer> {
    let keys = match &config.notice_keys {
        Some(keys) => keys.clone(),
        None => vec![notice_secret::load_or_create(&config.data_dir)?],
    };
    let keys: Vec<(&str, &[u8])> = keys
        .iter()
        .map(|key| (key.kid.as_str(), key.key.expose().as_bytes()))
        .collect();
    Ok(TokenSealer::new(&keys)?)
}
