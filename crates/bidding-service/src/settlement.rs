//! Applies verified notices: to the ledger, to the event log, to the lease keeper.
//!
//! Every operation may come at any replica, in any order, any number of times. It returns `Ok` only once what
//! happened cannot be lost, in the first of these places that is up: its topic (and the ledger, where it is money); the
//! ledger's outbox and a replica of it; the local spool, with its time of arrival. After an error nothing is
//! acknowledged, and the exchange's repeat finds the work half done.

mod carry_out;
mod circuit;
mod events;
#[cfg(test)]
mod fallback_tests;
mod outbox;
mod recent;
mod replay;
#[cfg(test)]
mod simulation;
mod work;

use crate::lease_keeper::LeaseKeeper;
use crate::metrics::MoneyMetrics;
use crate::metrics::USER_COUNTERS;
use crate::spool::{Spool, Spooled, Worth};
use crate::token::BidToken;
use bidding_engine::CompiledCampaign;
use circuit::Circuit;
use domain::currency::Currency;
use domain::event::{BidEvent, EventKind};
use domain::exchange;
use domain::id::{BidId, CampaignId};
use platform::Clock;
use recent::Recent;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use storage::event_log::Topic;
use storage::spend_ledger::BidRef;
use storage::{EventLog, SpendLedger, StorageError, UserStates};
use work::Work;

/// What a notice came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// For the first time, as far as this process knows.
    First,
    Repeated,
    /// The stores are away: it waits in the local spool.
    Spooled,
    /// The bid was a test: nothing is counted or spent.
    Test,
}

/// What a click has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversion {
    /// The advertiser's own word: `purchase`.
    pub(crate) kind: String,
    pub(crate) order_id: Option<String>,
    /// Micros of `currency`.
    pub(crate) value_micros: Option<i64>,
    pub(crate) currency: Option<Currency>,
}

/// Owned by the notices' routes and by the sweeper.
pub(crate) struct Settlement {
    ledger: Arc<dyn SpendLedger>,
    log: Arc<dyn EventLog>,
    users: Arc<dyn UserStates>,
    keeper: Arc<LeaseKeeper>,
    clock: Clock,
    metrics: MoneyMetrics,
    ledger_circuit: Circuit,
    log_circuit: Circuit,
    users_circuit: Circuit,
    spool: Option<Arc<Spool>>,
    recent: Mutex<Recent>,
    /// Settled bids whose events are in the topic and whose verdicts may still be in the outbox.
    appended: Mutex<Vec<BidRef>>,
    /// Held by who takes them out.
    removing: tokio::sync::Mutex<()>,
    /// Verdicts in the outbox that make no sense and were told of.
    unreadable: Mutex<HashSet<BidId>>,
}

impl std::fmt::Debug for Settlement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settlement").finish_non_exhaustive()
    }
}

impl Settlement {
    #[must_use]
    pub(crate) fn new(
        ledger: Arc<dyn SpendLedger>,
        log: Arc<dyn EventLog>,
        users: Arc<dyn UserStates>,
        keeper: Arc<LeaseKeeper>,
        clock: Clock,
        metrics: MoneyMetrics,
    ) -> Self {
        Self {
            ledger,
            log,
            users,
            keeper,
            clock,
            metrics,
            ledger_circuit: Circuit::new("spend ledger"),
            log_circuit: Circuit::new("event log"),
            users_circuit: Circuit::new("store of user states"),
            spool: None,
            recent: Mutex::default(),
            appended: Mutex::default(),
            removing: tokio::sync::Mutex::default(),
            unreadable: Mutex::default(),
        }
    }

    /// Without one, what no store takes is refused.
    #[must_use]
    pub(crate) fn with_spool(mut self, spool: Arc<Spool>) -> Self {
        self.spool = Some(spool);
        self
    }

    /// The auction was won: the price moves from the lease to pending. `cleared_cpm_micros`: what the notice said.
    ///
    /// # Errors
    /// No place would keep it: not acknowledged.
    pub(crate) async fn win(
        &self,
        token: &BidToken,
        cleared_cpm_micros: Option<i64>,
    ) -> Result<Applied, StorageError> {
        if token.test {
            return Ok(Applied::Test);
        }
        self.settle(Work::win(token, cleared_cpm_micros, self.clock.unix_ms()))
            .await
    }

    /// The auction was lost: a reservation of this bidder ends at once.
    ///
    /// # Errors
    /// No place would keep it: not acknowledged.
    pub(crate) async fn loss(
        &self,
        token: &BidToken,
        loss_reason: Option<i64>,
    ) -> Result<Applied, StorageError> {
        if token.test {
            return Ok(Applied::Test);
        }
        self.end_reservation(&token.reservation(), token.bid_at_ms, None);
        let event = BidEvent {
            loss_reason,
            ..events::of(token, EventKind::Loss, self.clock.unix_ms())
        };
        self.settle(Work::Record(event)).await
    }

    /// Money is owed: the bid is settled, once, at what it cleared at or, where that is not known, at what was bid.
    ///
    /// # Errors
    /// No place would keep it: not acknowledged.
    pub(crate) async fn bill(
        &self,
        token: &BidToken,
        cleared_cpm_micros: Option<i64>,
    ) -> Result<Applied, StorageError> {
        if token.test {
            return Ok(Applied::Test);
        }
        self.settle(Work::bill(token, cleared_cpm_micros, self.clock.unix_ms()))
            .await
    }

    /// The creative was shown: counts for reports and for the user's frequency caps, and bills where the pixel bills.
    /// The caps never make it fail: a count that no place keeps is dropped, and counted as such.
    ///
    /// # Errors
    /// No place would keep the event or its billing: not acknowledged.
    pub(crate) async fn impression(
        &self,
        token: &BidToken,
        cleared_cpm_micros: Option<i64>,
    ) -> Result<Applied, StorageError> {
        if token.test {
            return Ok(Applied::Test);
        }
        let now_ms = self.clock.unix_ms();
        // A page that lies open in a background tab for hours shows the ad, but the exchange can no longer bill it.
        if token.billing == exchange::Billing::Pixel && now_ms < token.billable_until_ms() {
            self.bill(token, cleared_cpm_micros).await?;
        }
        let event = events::of(token, EventKind::Impression, now_ms);
        let count = Work::count(token, &event);
        let applied = self.settle(Work::Record(event)).await?;
        if let Some(count) = count
            && self.settle(count).await.is_err()
        {
            self.count_dropped(USER_COUNTERS);
        }
        Ok(applied)
    }

    /// # Errors
    /// No place would keep it: the click is lost, and counted as such, since nobody waits to try again.
    pub(crate) async fn click(&self, token: &BidToken) -> Result<Applied, StorageError> {
        let applied = self.creative_event(token, EventKind::Click).await;
        if applied.is_err() {
            self.count_dropped(Topic::Clicks.name());
        }
        applied
    }

    /// # Errors
    /// No place would keep it: not acknowledged.
    pub(crate) async fn video(&self, token: &BidToken, kind: EventKind) -> Result<Applied, StorageError> {
        self.creative_event(token, kind).await
    }

    /// Once for each click, type and order.
    ///
    /// # Errors
    /// No place would keep it: not acknowledged.
    pub(crate) async fn conversion(
        &self,
        click: &BidToken,
        conversion: Conversion,
    ) -> Result<Applied, StorageError> {
        if click.test {
            return Ok(Applied::Test);
        }
        let event = events::converted(click, conversion, self.clock.unix_ms());
        self.settle(Work::Record(event)).await
    }

    /// The record of a campaign that this process serves, or did lately.
    pub(crate) fn campaign(&self, id: &CampaignId) -> Option<Arc<CompiledCampaign>> {
        self.keeper.campaign(id)
    }

    async fn creative_event(&self, token: &BidToken, kind: EventKind) -> Result<Applied, StorageError> {
        if token.test {
            return Ok(Applied::Test);
        }
        let event = events::of(token, kind, self.clock.unix_ms());
        self.settle(Work::Record(event)).await
    }

    /// Does it in the stores, else keeps it in the spool. What this process remembers to have done or kept it leaves alone:
    /// a URL that is called in a loop fills neither topic nor spool.
    async fn settle(&self, work: Work) -> Result<Applied, StorageError> {
        let happened = work.happened();
        if self.recent().contains(happened) {
            return Ok(Applied::Repeated);
        }
        let applied = match self.carry_out(&work).await {
            Ok(applied) => applied,
            Err(obstacle) if obstacle.is_away() && self.keep(&work).await => Applied::Spooled,
            Err(obstacle) => return Err(obstacle.error),
        };
        self.recent().insert(happened);
        Ok(applied)
    }

    /// Whether it is in the spool.
    async fn keep(&self, work: &Work) -> bool {
        let (Some(spool), Ok(payload)) = (&self.spool, serde_json::to_vec(work)) else {
            return false;
        };
        let worth = if work.is_money() {
            Worth::Money
        } else {
            Worth::Report
        };
        let record = Spooled {
            arrived_at_ms: work.at_ms(),
            payload,
        };
        let kept = spool.keep(record, worth).await;
        if let Err(error) = &kept {
            tracing::debug!(%error, "a notice is refused");
        }
        kept.is_ok()
    }

    fn count_dropped(&self, what: &str) {
        self.metrics.events_dropped.with_label_values(&[what]).inc();
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
