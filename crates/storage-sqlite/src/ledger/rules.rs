//! What the ledger decides. Plain arithmetic on loaded rows: no I/O, no clock.
//!
//! Each move keeps, for the day and the lifetime: spent + pending + leased <= max(limit, what was already
//! there when the limit was cut). Money goes in from *free* only as far as free reaches; every other move is
//! from one of the three to another, or back.

use super::books::{Account, Lease, Page};
use domain::id::CampaignId;
use storage::StorageError;
use storage::spend_ledger::{BillVerdict, Billing, Grant, LeaseNow, LeaseRequest};

/// Which of an account's amounts a move takes from or adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    Spent,
    Pending,
    Leased,
}

impl Account {
    fn amount_mut(&mut self, amount: Amount) -> &mut i64 {
        match amount {
            Amount::Spent => &mut self.spent_nanos,
            Amount::Pending => &mut self.pending_nanos,
            Amount::Leased => &mut self.leased_nanos,
        }
    }

    /// Left to give out. Without a limit, what 64 bits can still count.
    fn room_nanos(&self) -> i64 {
        self.limit_nanos
            .unwrap_or(i64::MAX)
            .saturating_sub(self.spent_nanos)
            .saturating_sub(self.pending_nanos)
            .saturating_sub(self.leased_nanos)
    }
}

impl Page<'_> {
    pub(super) fn room_nanos(&self) -> i64 {
        self.day.room_nanos().min(self.lifetime.room_nanos())
    }

    /// Precondition: `nanos` is at most the room. Less than nothing, or more than 64 bits, is an error.
    pub(super) fn add(&mut self, amount: Amount, nanos: i64) -> Result<(), StorageError> {
        for account in [&mut *self.day, &mut *self.lifetime] {
            change(account.amount_mut(amount), nanos)?;
            account.changed = true;
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, amount: Amount, nanos: i64) -> Result<(), StorageError> {
        self.add(amount, nanos.checked_neg().ok_or_else(out_of_range)?)
    }

    /// Takes from this bidder's lease, in the lease and in both accounts.
    pub(super) fn draw_on_lease(&mut self, nanos: i64) -> Result<(), StorageError> {
        self.remove(Amount::Leased, nanos)?;
        self.lease.change(nanos.checked_neg().ok_or_else(out_of_range)?)
    }

    pub(super) fn settle(&mut self) {
        for account in [&mut *self.day, &mut *self.lifetime] {
            account.settled_bids = account.settled_bids.saturating_add(1);
        }
    }

    pub(super) fn over_deliver(&mut self, nanos: i64) -> Result<(), StorageError> {
        for account in [&mut *self.day, &mut *self.lifetime] {
            change(&mut account.over_delivery_nanos, nanos)?;
            account.changed = true;
        }
        Ok(())
    }

    /// Keeps the limits of the highest (generation, revision), for the campaign and for this day.
    pub(super) fn keep_limits(&mut self, request: &LeaseRequest) {
        let asked = (request.generation, request.revision);
        if asked >= (self.lifetime.generation, self.lifetime.revision) {
            (self.lifetime.generation, self.lifetime.revision) = asked;
            self.lifetime.limit_nanos = request.limits.total_nanos;
            self.lifetime.daily_limit_nanos = request.limits.daily_nanos;
        }
        self.day.generation = self.lifetime.generation;
        self.day.revision = self.lifetime.revision;
        self.day.limit_nanos = self.lifetime.daily_limit_nanos;
    }

    /// Grows the lease by whole bids as far as free reaches, or shrinks it to what is wanted; nothing when the request was
    /// overtaken.
    pub(super) fn renew(&mut self, request: &LeaseRequest, expires_ms: i64) -> Result<(), StorageError> {
        if self.lease.leased_nanos > 0 && request.renewal < self.lease.renewal {
            return Ok(());
        }
        self.keep_limits(request);
        self.day.opportunities = self
            .day
            .opportunities
            .saturating_add(request.opportunities.max(0));
        self.day.bids = self.day.bids.saturating_add(request.bids.max(0));
        let wanted_nanos = request.wanted_nanos.max(0);
        let held_nanos = self.lease.leased_nanos;
        let change_nanos = if wanted_nanos <= held_nanos {
            wanted_nanos.saturating_sub(held_nanos)
        } else {
            let bid_nanos = request.bid_nanos.max(1);
            let growth_nanos = wanted_nanos
                .saturating_sub(held_nanos)
                .min(self.room_nanos())
                .max(0);
            growth_nanos.saturating_sub(growth_nanos % bid_nanos)
        };
        self.add(Amount::Leased, change_nanos)?;
        self.lease.change(change_nanos)?;
        self.lease.expires_ms = expires_ms;
        self.lease.renewal = request.renewal;
        Ok(())
    }

    /// `other_bidders`: how many besides this one hold a lease on the day.
    pub(super) fn grant(&self, other_bidders: u32) -> Grant {
        let (day, lifetime) = (self.day.balance(), self.lifetime.balance());
        Grant {
            campaign_id: CampaignId(self.day.campaign_id.clone()),
            date: self.day.date.clone(),
            leased_nanos: self.lease.leased_nanos,
            sequence: self.lease.sequence,
            free_nanos: day.free_nanos().min(lifetime.free_nanos()),
            day,
            lifetime,
            bidders: other_bidders.saturating_add(1),
            opportunities: self.day.opportunities,
            bids: self.day.bids,
        }
    }
}

/// From the bid's pending win, else from free, else from its bidder's lease; else all of it is over-delivery.
pub(super) fn charge(
    page: &mut Page<'_>,
    billing: &Billing,
    pending_nanos: Option<i64>,
) -> Result<BillVerdict, StorageError> {
    let charge_nanos = billing
        .charge_nanos
        .clamp(0, billing.reservation.reserved_nanos.max(0));
    page.settle();
    if let Some(pending_nanos) = pending_nanos {
        page.remove(Amount::Pending, pending_nanos)?;
    }
    let mut lease = None;
    let backed = if pending_nanos.is_some_and(|pending_nanos| charge_nanos <= pending_nanos) {
        true
    } else if charge_nanos <= page.room_nanos() {
        false
    } else if charge_nanos <= page.lease.leased_nanos {
        page.draw_on_lease(charge_nanos)?;
        lease = Some(page.lease.now());
        true
    } else {
        page.over_deliver(charge_nanos)?;
        return Ok(BillVerdict::OverDelivery {
            owed_nanos: charge_nanos,
        });
    };
    page.add(Amount::Spent, charge_nanos)?;
    Ok(BillVerdict::Charged {
        charge_nanos,
        backed,
        lease,
    })
}

impl Lease {
    /// Raises the sequence with every change, a renewal's new end included.
    fn change(&mut self, nanos: i64) -> Result<(), StorageError> {
        change(&mut self.leased_nanos, nanos)?;
        self.sequence = self.sequence.checked_add(1).ok_or_else(out_of_range)?;
        self.changed = true;
        Ok(())
    }

    pub(super) fn now(&self) -> LeaseNow {
        LeaseNow {
            leased_nanos: self.leased_nanos,
            sequence: self.sequence,
        }
    }
}

fn change(amount: &mut i64, nanos: i64) -> Result<(), StorageError> {
    *amount = amount
        .checked_add(nanos)
        .filter(|sum| *sum >= 0)
        .ok_or_else(out_of_range)?;
    Ok(())
}

fn out_of_range() -> StorageError {
    StorageError::Corrupt("an amount of the ledger left its range".to_owned())
}
