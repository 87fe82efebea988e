//! Does what a notice asks for: in the ledger, the event log and the user states. Everything here may be done again.

use super::work::{Bill, Count, Win, Work, topic_of};
use super::{Applied, Settlement, events};
use domain::event::BidEvent;
use domain::id::AdvertiserId;
use std::future::Future;
use storage::StorageError;
use storage::event_log::{NewRecord, Topic};
use storage::spend_ledger::{BidRef, BillVerdict, LeaseNow, Reservation, WinVerdict};

/// The stores are told apart by what else cannot be done while one is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Ledger,
    Log,
    Users,
}

/// Why work is not done, or not yet safe.
#[derive(Debug)]
pub(super) struct Obstacle {
    pub(super) place: Place,
    pub(super) error: StorageError,
}

impl Obstacle {
    /// It may succeed later; everything else never will.
    pub(super) fn is_away(&self) -> bool {
        matches!(self.error, StorageError::Unavailable(_))
    }
}

impl Settlement {
    /// Returns once it cannot be lost any more, in whichever of the stores.
    pub(super) async fn carry_out(&self, work: &Work) -> Result<Applied, Obstacle> {
        match work {
            Work::Win(win) => self.carry_out_win(win).await,
            Work::Bill(bill) => self.carry_out_bill(bill).await,
            Work::Record(event) => self.append_event(event).await.map(|()| Applied::First),
            Work::Count(count) => self.carry_out_count(count).await.map(|()| Applied::First),
        }
    }

    async fn carry_out_win(&self, win: &Win) -> Result<Applied, Obstacle> {
        let reservation = win
            .reservation(self.clock.unix_ms())
            .map_err(|error| at(Place::Ledger, error))?;
        let verdict = self
            .ask_ledger(&reservation.advertiser_id, self.ledger.win(&reservation))
            .await?;
        if let WinVerdict::Pending(lease_now) = verdict {
            self.end_reservation(&reservation, win.event.bid_at_ms, Some(lease_now));
        }
        if verdict != WinVerdict::Repeated {
            self.metrics.wins.inc();
        }
        if verdict == WinVerdict::Unbacked {
            // Nothing is held for it, so nothing may be when the books are rebuilt from the topic.
            let unbacked = BidEvent {
                reservation: None,
                ..win.event.clone()
            };
            self.append_event(&unbacked).await?;
        } else {
            self.append_event(&win.event).await?;
        }
        Ok(match verdict {
            WinVerdict::Repeated => Applied::Repeated,
            WinVerdict::Pending(_) | WinVerdict::Unbacked => Applied::First,
        })
    }

    async fn carry_out_bill(&self, bill: &Bill) -> Result<Applied, Obstacle> {
        let bid = bill.bid_ref();
        let billing = bill.billing().map_err(|error| at(Place::Ledger, error))?;
        let verdict = self
            .ask_ledger(&bid.advertiser_id, self.ledger.bill(&billing))
            .await?;
        self.count_verdict(&verdict, &bill.draft.currency);
        let draft = bill.draft.clone();
        let (applied, published) = match verdict {
            BillVerdict::Charged {
                charge_nanos,
                backed,
                lease,
            } => {
                // Backed by a pending win: that win has already left the lease, and told its owner.
                if lease.is_some() || !backed {
                    self.end_reservation(&billing.reservation, draft.bid_at_ms, lease);
                }
                let event = events::settled_spend(draft, charge_nanos, 0);
                (Applied::First, self.publish(&[event]).await)
            }
            BillVerdict::OverDelivery { owed_nanos } => {
                let event = events::settled_spend(draft, 0, owed_nanos);
                (Applied::First, self.publish(&[event]).await)
            }
            BillVerdict::Repeated => (Applied::Repeated, self.publish_left_over(&bid).await),
        };
        match published {
            Err(obstacle) if !(obstacle.is_away() && self.is_safe(&bid).await) => Err(obstacle),
            _ => Ok(applied),
        }
    }

    async fn carry_out_count(&self, count: &Count) -> Result<(), Obstacle> {
        let counters = count.counters(self.clock.unix_ms());
        if counters.is_empty() {
            return Ok(());
        }
        let counted = self
            .users
            .count(&count.event_id, &count.user_key, &counters, count.at_ms);
        self.users_circuit
            .call(0, &self.clock, counted)
            .await
            .map_err(|error| at(Place::Users, error))
    }

    /// In the ledger's outbox, and on a replica: the sweeper appends it when the log is back.
    async fn is_safe(&self, bid: &BidRef) -> bool {
        let asked = self.ledger.is_safe(bid);
        self.ask_ledger(&bid.advertiser_id, asked).await.unwrap_or(false)
    }

    async fn append_event(&self, event: &BidEvent) -> Result<(), Obstacle> {
        let value = serde_json::to_vec(event).map_err(|error| at(Place::Log, error.into()))?;
        let record = NewRecord {
            key: event.bid_id.to_string(),
            value: Some(value),
        };
        self.append(topic_of(event.kind), vec![record]).await
    }

    pub(super) async fn append(&self, topic: Topic, records: Vec<NewRecord>) -> Result<(), Obstacle> {
        let appended = self.log.append(topic, records, self.clock.unix_ms());
        self.log_circuit
            .call(0, &self.clock, appended)
            .await
            .map_err(|error| at(Place::Log, error))
    }

    pub(super) async fn ask_ledger<T>(
        &self,
        advertiser_id: &AdvertiserId,
        asked: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, Obstacle> {
        let group = self.ledger.group_of(advertiser_id);
        self.ledger_circuit
            .call(group, &self.clock, asked)
            .await
            .map_err(|error| at(Place::Ledger, error))
    }

    pub(super) fn end_reservation(
        &self,
        reservation: &Reservation,
        bid_at_ms: i64,
        lease_now: Option<LeaseNow>,
    ) {
        if reservation.bidder_id == *self.keeper.bidder_id() {
            self.keeper.ended(
                reservation.bid_id,
                bid_at_ms,
                &reservation.campaign_id,
                reservation.reserved_nanos,
                lease_now,
            );
        }
    }

    fn count_verdict(&self, verdict: &BillVerdict, currency: &str) {
        let count = |nanos: i64| u64::try_from(nanos).unwrap_or(0);
        match verdict {
            BillVerdict::Charged { charge_nanos, .. } => {
                let billed = self.metrics.billed_nanos.with_label_values(&[currency]);
                billed.inc_by(count(*charge_nanos));
            }
            BillVerdict::OverDelivery { owed_nanos } => {
                let over = self.metrics.over_delivery_nanos.with_label_values(&[currency]);
                over.inc_by(count(*owed_nanos));
            }
            BillVerdict::Repeated => {}
        }
    }
}

pub(super) fn at(place: Place, error: StorageError) -> Obstacle {
    Obstacle { place, error }
}
