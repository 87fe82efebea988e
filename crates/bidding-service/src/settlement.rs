//! Applies verified notices: to the ledger, to the event log, to the lease keeper.
//!
//! Every operation may come at any replica, in any order, any number of times. It returns `Ok` only once what
//! happened cannot be lost: the ledger's verdict is in its outbox *and* in topic `spend`, every other event in
//! its topic. After an error nothing is acknowledged, and the exchange's repeat finds the work half done.

mod events;
mod outbox;
mod recent;
#[cfg(test)]
mod simulation;

use crate::lease_keeper::LeaseKeeper;
use crate::metrics::MoneyMetrics;
use crate::token::BidToken;
use domain::event::{BidEvent, EventKind};
use domain::exchange;
use domain::money::Charge;
use platform::Clock;
use recent::RecentEvents;
use std::sync::{Arc, Mutex, PoisonError};
use storage::event_log::{NewRecord, Topic};
use storage::spend_ledger::{BidRef, BillVerdict, Billing, LeaseNow, WinVerdict};
use storage::{EventLog, SpendLedger, StorageError, UserStates};

/// What a notice came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// For the first time, as far as this process knows.
    First,
    Repeated,
    /// The bid was a test: nothing is counted or spent.
    Test,
}

/// Owned by the notices' routes and by the sweeper.
pub(crate) struct Settlement {
    ledger: Arc<dyn SpendLedger>,
    log: Arc<dyn EventLog>,
    users: Arc<dyn UserStates>,
    keeper: Arc<LeaseKeeper>,
    clock: Clock,
    metrics: MoneyMetrics,
    recent: Mutex<RecentEvents>,
    /// Settled bids whose events are in the topic and whose verdicts may still be in the outbox.
    appended: Mutex<Vec<BidRef>>,
    /// Held by who takes them out.
    removing: tokio::sync::Mutex<()>,
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
            recent: Mutex::default(),
            appended: Mutex::default(),
            removing: tokio::sync::Mutex::default(),
        }
    }

    /// The auction was won: the price moves from the lease to pending. `cleared_cpm_micros`: what the notice said.
    ///
    /// # Errors
    /// Ledger or log unavailable: not acknowledged.
    pub(crate) async fn win(
        &self,
        token: &BidToken,
        cleared_cpm_micros: Option<i64>,
    ) -> Result<Applied, StorageError> {
        if token.test {
            return Ok(Applied::Test);
        }
        let verdict = self.ledger.win(&token.reservation()).await?;
        if let WinVerdict::Pending(lease_now) = verdict {
            self.end_reservation(token, Some(lease_now));
        }
        let event = BidEvent {
            price_cpm_micros: Some(cleared_at_most_bid(token, cleared_cpm_micros)),
            reservation: Some(events::won(token)),
            ..events::of(token, EventKind::Win, self.clock.unix_ms())
        };
        self.append_once(Topic::Wins, &event).await?;
        if verdict == WinVerdict::Repeated {
            return Ok(Applied::Repeated);
        }
        self.metrics.wins.inc();
        Ok(Applied::First)
    }

    /// The auction was lost: a reservation of this bidder ends at once.
    ///
    /// # Errors
    /// Log unavailable: not acknowledged.
    pub(crate) async fn loss(
        &self,
        token: &BidToken,
        loss_reason: Option<i64>,
    ) -> Result<Applied, StorageError> {
        if token.test {
            return Ok(Applied::Test);
        }
        self.end_reservation(token, None);
        let event = BidEvent {
            loss_reason,
            ..events::of(token, EventKind::Loss, self.clock.unix_ms())
        };
        self.append_once(Topic::Losses, &event).await
    }

    /// Money is owed: the bid is settled, once, at what it cleared at or, where that is not known, at what was bid.
    ///
    /// # Errors
    /// Ledger or log unavailable: not acknowledged.
    pub(crate) async fn bill(
        &self,
        token: &BidToken,
        cleared_cpm_micros: Option<i64>,
    ) -> Result<Applied, StorageError> {
        if token.test {
            return Ok(Applied::Test);
        }
        let price_cpm_micros = cleared_at_most_bid(token, cleared_cpm_micros);
        // What does not fit in 64 bits is cut to the reservation, as everything above it is.
        let charge = token
            .terms
            .charge(price_cpm_micros, token.reserved_nanos)
            .unwrap_or(Charge {
                media_cost_nanos: token.reserved_nanos,
                fee_nanos: 0,
                charge_nanos: token.reserved_nanos,
            });
        let draft = events::draft_of_spend(token, price_cpm_micros, charge, self.clock.unix_ms());
        let billing = Billing {
            reservation: token.reservation(),
            charge_nanos: charge.charge_nanos,
            context: serde_json::to_string(&draft)?,
        };
        let verdict = self.ledger.bill(&billing).await?;
        self.count_verdict(&verdict);
        let event = match verdict {
            BillVerdict::Charged {
                charge_nanos,
                backed,
                lease,
            } => {
                // Backed by a pending win: that win has already left the lease, and told its owner.
                if lease.is_some() || !backed {
                    self.end_reservation(token, lease);
                }
                events::settled_spend(draft, charge_nanos, 0)
            }
            BillVerdict::OverDelivery { owed_nanos } => events::settled_spend(draft, 0, owed_nanos),
            BillVerdict::Repeated => {
                self.publish_left_over(&token.bid_ref()).await?;
                return Ok(Applied::Repeated);
            }
        };
        self.publish(&[event]).await?;
        Ok(Applied::First)
    }

    /// The creative was shown: counts for reports and for the user's frequency caps, and bills where the pixel bills.
    ///
    /// # Errors
    /// Ledger or log unavailable: not acknowledged.
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
        let applied = self.append_once(Topic::Impressions, &event).await?;
        if let Some(user_key) = token.user_key.as_ref().filter(|_| !token.counters.is_empty()) {
            self.users
                .count(&event.event_id, user_key, &token.counters, now_ms)
                .await?;
        }
        Ok(applied)
    }

    /// # Errors
    /// Log unavailable: the click is lost, and counted as such, since nobody waits to try again.
    pub(crate) async fn click(&self, token: &BidToken) -> Result<Applied, StorageError> {
        let applied = self.creative_event(token, Topic::Clicks, EventKind::Click).await;
        if applied.is_err() {
            let topic = Topic::Clicks.name();
            self.metrics.events_dropped.with_label_values(&[topic]).inc();
        }
        applied
    }

    /// # Errors
    /// Log unavailable: not acknowledged.
    pub(crate) async fn video(&self, token: &BidToken, kind: EventKind) -> Result<Applied, StorageError> {
        self.creative_event(token, Topic::Impressions, kind).await
    }

    async fn creative_event(
        &self,
        token: &BidToken,
        topic: Topic,
        kind: EventKind,
    ) -> Result<Applied, StorageError> {
        if token.test {
            return Ok(Applied::Test);
        }
        let event = events::of(token, kind, self.clock.unix_ms());
        self.append_once(topic, &event).await
    }

    /// Appends unless this process remembers having done so. Readers know repeats by their `event_id` all the same:
    /// this only keeps a URL that is called in a loop from filling the topic.
    async fn append_once(&self, topic: Topic, event: &BidEvent) -> Result<Applied, StorageError> {
        let key = (event.kind, event.bid_id);
        if self.recent().contains(key) {
            return Ok(Applied::Repeated);
        }
        let record = NewRecord {
            key: event.bid_id.to_string(),
            value: Some(serde_json::to_vec(event)?),
        };
        self.log.append(topic, vec![record], self.clock.unix_ms()).await?;
        self.recent().insert(key);
        Ok(Applied::First)
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, RecentEvents> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_reservation(&self, token: &BidToken, lease_now: Option<LeaseNow>) {
        if token.bidder_id == *self.keeper.bidder_id() {
            self.keeper.ended(
                token.bid_id,
                token.bid_at_ms,
                &token.campaign_id,
                token.reserved_nanos,
                lease_now,
            );
        }
    }

    fn count_verdict(&self, verdict: &BillVerdict) {
        let count = |nanos: i64| u64::try_from(nanos).unwrap_or(0);
        match verdict {
            BillVerdict::Charged { charge_nanos, .. } => {
                self.metrics.billed_nanos.inc_by(count(*charge_nanos))
            }
            BillVerdict::OverDelivery { owed_nanos } => {
                self.metrics.over_delivery_nanos.inc_by(count(*owed_nanos));
            }
            BillVerdict::Repeated => {}
        }
    }
}

/// An exchange never gets more than was bid, and a price that cannot be read is the bid's.
fn cleared_at_most_bid(token: &BidToken, cleared_cpm_micros: Option<i64>) -> i64 {
    cleared_cpm_micros.map_or(token.price_cpm_micros, |cleared| {
        cleared.clamp(0, token.price_cpm_micros.max(0))
    })
}
