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
//! to bytes), `exchange_gate` (who may ask), `overload` (how many), `explanation` (why or why not), `forecast` over `samples` (what a draft could have), `user_key` and `cookie_sync` (who the user is), `lists` and
//! `geo_ip` (files of what is not worth a bid, and of places), `bid_events` (counts), `bid_traces`, `token`, `lease_keeper`,
//! `notices`, `settlement`, `rebuild` and `spool` (money), `shading` (prices under first price).

mod administrator;
mod answer;
mod bid;
mod bid_events;
mod bid_traces;
mod config;
mod cookie_sync;
mod dimensions;
mod error;
mod exchange_gate;
mod explanation;
mod follower;
mod forecast;
mod geo_ip;
mod known_user;
mod lease_keeper;
mod lists;
mod live;
mod markup;
mod metrics;
mod native;
mod notice_secret;
mod notice_urls;
mod notices;
mod overload;
mod price_keys;
mod rebuild;
mod routes;
mod samples;
mod settlement;
mod shading;
mod spool;
#[cfg(test)]
mod testing;
mod token;
mod transport;
mod user_key;
pub mod wiring;

use administrator::Administrator;
use answer::Answerer;
use anyhow::Context;
use arc_swap::ArcSwap;
use axum::Router;
use bid::{Bidder, Timing};
use bid_events::BidEvents;
use bid_traces::BidTraces;
use bidding_engine::LearnedPrices;
use cookie_sync::CookieSync;
use domain::id::BidderId;
use explanation::Explainer;
use follower::Follower;
use forecast::Forecaster;
use lease_keeper::LeaseKeeper;
use live::Live;
use metrics::BiddingMetrics;
use notices::Notices;
use overload::Queue;
use platform::Process;
use rebuild::Rebuilder;
use samples::{Sampler, Samples};
use settlement::Settlement;
use shading::Shading;
use spool::Spool;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;
use storage::{EventLog, SpendLedger, UserStates};
use token::TokenSealer;
use tokio::sync::Semaphore;

pub use config::{Config, NoticeKey};
pub use price_keys::PriceKeys;

/// The name in metrics and logs.
pub const SERVICE: &str = "bidding-service";

/// About a million notices; reports take half of it at most, the rest is left to money.
const SPOOL_MAX_BYTES: u64 = 512 << 20;
/// Of the longest time for an answer, how much of it a request may wait for its turn: some of them leave less time.
const WAITING_SHARE: (u32, u32) = (2, 5);
/// Of the grace, for what comes after the spool is drained: leases are given back.
const AFTER_THE_SPOOL: Duration = Duration::from_secs(5);

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

/// Starts the service's tasks. It is ready once it has caught up with the topics and knows an exchange: a latch of
/// `process.readiness`.
///
/// # Errors
/// When the metrics are taken, the development key can neither be read nor made, or there is no folder for the spool.
pub fn build(config: &Config, ports: Ports, process: &Process) -> anyhow::Result<App> {
    if let Some(doubt) = config.doubt() {
        tracing::warn!("{doubt}");
    }
    let run = fastrand::Rng::new().u64(..);
    let start = Start {
        config,
        ports,
        process,
        metrics: BiddingMetrics::register(&process.metrics)?,
        sealer: Arc::new(sealer(config)?),
        bidder_id: BidderId::mint(process.clock.unix_ms(), u128::from(run) << 16),
        run,
    };
    // Until the exchanges are known: the longest that T1 goes to.
    let win_notice_delay_ms = Arc::new(AtomicI64::new(10_000));
    let keeper = start.keeper(win_notice_delay_ms.clone());
    let shading = start.shading();
    let live = start.follower(keeper.clone(), win_notice_delay_ms, shading.prices());
    let notices = start.notices(keeper, live.clone(), shading.clone())?;
    let sync = start.cookie_sync(live.clone());
    let explanation = explanation::router(Arc::new(start.explainer(live.clone())));
    let (sampler, samples) = start.samples(live.clone());
    let forecaster = start.forecaster(live.clone(), samples, shading.prices());
    let bidder = Arc::new(start.bidder(live, shading, sampler));
    let http = process.metrics.http(SERVICE);
    Ok(App {
        router: routes::router(
            bidder,
            notices::router(notices).merge(cookie_sync::router(sync)),
            explanation,
            forecast::router(Arc::new(forecaster)),
            &http,
            &process.traces,
        ),
    })
}

/// What the parts of the service are made of.
struct Start<'a> {
    config: &'a Config,
    ports: Ports,
    process: &'a Process,
    metrics: BiddingMetrics,
    sealer: Arc<TokenSealer>,
    /// New at each start: nothing of an earlier run is taken over.
    bidder_id: BidderId,
    /// Random at each start; half of every bid id.
    run: u64,
}

impl Start<'_> {
    fn keeper(&self, win_notice_delay_ms: Arc<AtomicI64>) -> Arc<LeaseKeeper> {
        let keeper = Arc::new(LeaseKeeper::new(
            self.ports.spend_ledger.clone(),
            self.bidder_id.clone(),
            self.process.clock.clone(),
            win_notice_delay_ms,
            self.metrics.money.clone(),
            self.run,
        ));
        let heartbeats = keeper.clone().run(self.process.shutdown.clone());
        self.process.shutdown.spawn("lease keeper", heartbeats);
        keeper
    }

    fn shading(&self) -> Shading {
        let dropped = self
            .metrics
            .money
            .events_dropped
            .with_label_values(&[metrics::PRICES]);
        Shading::start(self.bidder_id.clone(), dropped, &self.process.shutdown)
    }

    fn follower(
        &self,
        keeper: Arc<LeaseKeeper>,
        win_notice_delay_ms: Arc<AtomicI64>,
        prices: LearnedPrices,
    ) -> Arc<ArcSwap<Live>> {
        let live: Arc<ArcSwap<Live>> = Arc::default();
        let follower = Follower {
            log: self.ports.event_log.clone(),
            live: live.clone(),
            keeper,
            win_notice_delay_ms,
            prices,
            needs_proof: !self.config.environment.is_development(),
            caught_up: self
                .process
                .readiness
                .latch("campaigns caught up and an exchange known"),
            clock: self.process.clock.clone(),
            index_metrics: self.metrics.index.clone(),
            traces: self.process.traces.of(SERVICE),
            bid_metrics: self.metrics.bids.clone(),
            lists: self
                .config
                .lists
                .watch(self.metrics.lists.clone(), &self.process.shutdown),
        };
        follower.start(&self.process.shutdown);
        live
    }

    fn notices(
        &self,
        keeper: Arc<LeaseKeeper>,
        live: Arc<ArcSwap<Live>>,
        shading: Shading,
    ) -> anyhow::Result<Notices> {
        let spool_dir = &self.config.spool_dir;
        let spool = Spool::open(spool_dir, SPOOL_MAX_BYTES, self.metrics.money.spool.clone())
            .with_context(|| format!("cannot open the spool in {}", spool_dir.display()))?;
        let settlement = Settlement::new(
            self.ports.spend_ledger.clone(),
            self.ports.event_log.clone(),
            self.ports.user_states.clone(),
            keeper.clone(),
            self.process.clock.clone(),
            self.metrics.money.clone(),
        );
        let settlement = Arc::new(settlement.with_spool(Arc::new(spool)));
        let shutdown = &self.process.shutdown;
        let sweeps = settlement.clone().sweep(shutdown.clone());
        shutdown.spawn("spend outbox sweeper", sweeps);
        let rebuilder = Rebuilder {
            ledger: self.ports.spend_ledger.clone(),
            log: self.ports.event_log.clone(),
            settlement: settlement.clone(),
            keeper,
            clock: self.process.clock.clone(),
            metrics: self.metrics.money.clone(),
        };
        shutdown.spawn("ledger rebuilder", rebuilder.run(shutdown.clone()));
        let timing = self.process.settings.shutdown;
        let patience = timing
            .grace
            .saturating_sub(timing.drain)
            .saturating_sub(AFTER_THE_SPOOL);
        let replays = settlement.clone().replay(shutdown.clone(), patience);
        shutdown.spawn("spool", replays);
        Ok(Notices {
            sealer: self.sealer.clone(),
            settlement,
            shading,
            clock: self.process.clock.clone(),
            live,
            price_keys: self.config.price_keys.clone(),
            counted: self.metrics.money.notices.clone(),
            traces: self.process.traces.of(SERVICE),
        })
    }

    fn cookie_sync(&self, live: Arc<ArcSwap<Live>>) -> CookieSync {
        CookieSync::new(
            live,
            self.ports.user_states.clone(),
            self.process.clock.clone(),
            self.metrics.money.notices.clone(),
        )
    }

    fn explainer(&self, live: Arc<ArcSwap<Live>>) -> Explainer {
        Explainer {
            live,
            user_states: self.ports.user_states.clone(),
            clock: self.process.clock.clone(),
            administrator: self.administrator(),
        }
    }

    fn administrator(&self) -> Administrator {
        Administrator(self.config.admin_api_key.clone())
    }

    /// Where nobody may ask for a forecast nothing is sampled.
    fn samples(&self, live: Arc<ArcSwap<Live>>) -> (Option<Sampler>, Samples) {
        if !self.administrator().exists() {
            return (None, Samples::default());
        }
        let (user_states, clock) = (self.ports.user_states.clone(), self.process.clock.clone());
        let (sampler, samples) = Sampler::start(live, user_states, clock, &self.process.shutdown);
        (Some(sampler), samples)
    }

    fn forecaster(&self, live: Arc<ArcSwap<Live>>, samples: Samples, prices: LearnedPrices) -> Forecaster {
        Forecaster {
            live,
            samples,
            prices,
            clock: self.process.clock.clone(),
            administrator: self.administrator(),
        }
    }

    fn bidder(&self, live: Arc<ArcSwap<Live>>, shading: Shading, sampler: Option<Sampler>) -> Bidder {
        let Self {
            config,
            process,
            metrics,
            ..
        } = self;
        Bidder {
            live,
            user_states: self.ports.user_states.clone(),
            answerer: Answerer::new(
                self.sealer.clone(),
                config.public_bidding_url.clone(),
                self.bidder_id.clone(),
                self.run,
            ),
            events: BidEvents::start(
                self.ports.event_log.clone(),
                self.bidder_id.clone(),
                process.clock.clone(),
                metrics.bids.bid_events_dropped.clone(),
                &process.shutdown,
            ),
            shading,
            sampler,
            clock: process.clock.clone(),
            timing: Timing {
                bid_timeout: config.bid_timeout,
                network_margin: config.network_margin,
                user_state_timeout: config.user_state_timeout,
                slower_decision: config.slower_decision,
            },
            queue: Queue::new(config.bid_timeout * WAITING_SHARE.0 / WAITING_SHARE.1),
            in_flight: Semaphore::new(config.max_bids_in_flight),
            metrics: metrics.bids.clone(),
            traces: BidTraces::new(process.traces.of(SERVICE), config.bid_trace_share, self.run),
        }
    }
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
