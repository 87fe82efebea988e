//! A bidder's lease of one campaign's day, as far as the bidder knows it.

use super::open_bids::{Counters, OpenBids};
use bidding_engine::{LeaseCell, Now};
use domain::period::Day;
use storage::spend_ledger::{Grant, LeaseNow};

/// `leased_nanos` is the ledger's word with the highest sequence. `usable_nanos` is what may be counted on: less,
/// while a smaller amount has been asked for and the answer is not known.
#[derive(Debug)]
pub(super) struct DayLease {
    day: Day,
    leased_nanos: i64,
    usable_nanos: i64,
    sequence: i64,
    open: OpenBids,
    /// Of bids that reached their T1 at a renewal that was not answered. A win taken in elsewhere may have drawn on the
    /// lease without our knowing: until an answer says what is leased, these count as open.
    unconfirmed_nanos: i64,
    /// The cell's running total; once the day is over, as it was then.
    reserved_nanos: i64,
    closed: Option<Counters>,
}

impl DayLease {
    pub(super) fn new(day: Day, now: Now, counters: &Counters) -> Self {
        Self {
            day,
            leased_nanos: 0,
            usable_nanos: 0,
            sequence: 0,
            open: OpenBids::none(now, counters),
            unconfirmed_nanos: 0,
            reserved_nanos: counters.reserved_nanos,
            closed: None,
        }
    }

    pub(super) fn day(&self) -> &Day {
        &self.day
    }

    pub(super) fn leased_nanos(&self) -> i64 {
        self.leased_nanos
    }

    /// Of the ledger's last word.
    pub(super) fn sequence(&self) -> i64 {
        self.sequence
    }

    /// No bid of it is open.
    pub(super) fn is_over(&self) -> bool {
        self.open_nanos(self.reserved_nanos) == 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.leased_nanos == 0 && self.is_over()
    }

    pub(super) fn open_nanos(&self, reserved_total_nanos: i64) -> i64 {
        self.open.open_nanos(reserved_total_nanos)
    }

    /// The day is over: what the cell reserves from now on belongs to another.
    pub(super) fn close(&mut self, counters: &Counters) {
        self.reserved_nanos = counters.reserved_nanos;
        self.closed = Some(*counters);
    }

    /// A renewal is being sent.
    pub(super) fn renew(&mut self, now: Now, counters: &Counters, win_notice_delay_ms: i64) {
        let counters = self.closed.as_ref().unwrap_or(counters);
        self.reserved_nanos = counters.reserved_nanos;
        let over_before_nanos = self.open.over_nanos();
        self.open.renew(now, counters, win_notice_delay_ms);
        let came_back_nanos = self.open.over_nanos().saturating_sub(over_before_nanos);
        self.unconfirmed_nanos = self.unconfirmed_nanos.saturating_add(came_back_nanos.max(0));
    }

    /// What to ask for: what is open and something between `least` and `most`, as near to what is held as that allows.
    pub(super) fn commit(&mut self, least_nanos: i64, most_nanos: i64) -> i64 {
        let open_nanos = self.open_nanos(self.reserved_nanos);
        let least = open_nanos.saturating_add(least_nanos);
        let most = open_nanos.saturating_add(most_nanos).max(least);
        let wanted_nanos = if self.leased_nanos < least {
            most
        } else {
            self.leased_nanos.min(most)
        };
        self.usable_nanos = self.usable_nanos.min(wanted_nanos);
        wanted_nanos
    }

    /// Binds the cell to what is being asked for. True when that took something from it.
    pub(super) fn lower_ceiling(&self, cell: &LeaseCell, wanted_nanos: i64) -> bool {
        let ceiling_nanos = self.open.over_nanos().saturating_add(wanted_nanos);
        let lowers = ceiling_nanos < cell.reserve_ceiling_nanos();
        if lowers {
            cell.set_reserve_ceiling_nanos(ceiling_nanos);
        }
        lowers
    }

    pub(super) fn set_ceiling(&self, cell: &LeaseCell) {
        let over_nanos = self.open.over_nanos().saturating_sub(self.unconfirmed_nanos);
        cell.set_reserve_ceiling_nanos(over_nanos.saturating_add(self.usable_nanos));
    }

    pub(super) fn granted(&mut self, grant: &Grant) {
        self.learn(LeaseNow {
            leased_nanos: grant.leased_nanos,
            sequence: grant.sequence,
        });
        self.usable_nanos = self.leased_nanos;
        self.unconfirmed_nanos = 0;
    }

    pub(super) fn ended(&mut self, bid_at_ms: i64, nanos: i64, lease_now: Option<LeaseNow>) {
        if let Some(lease_now) = lease_now {
            self.learn(lease_now);
            self.usable_nanos = self.usable_nanos.min(self.leased_nanos);
        }
        if nanos > 0 {
            self.open.end(bid_at_ms, nanos);
        }
    }

    fn learn(&mut self, lease_now: LeaseNow) {
        if lease_now.sequence > self.sequence {
            self.leased_nanos = lease_now.leased_nanos;
            self.sequence = lease_now.sequence;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::spend_ledger::AccountBalance;

    const T1_MS: i64 = 5_000;

    fn at(seconds: i64) -> Now {
        Now {
            unix_ms: seconds * 1_000,
            monotonic_ms: seconds * 1_000,
        }
    }

    fn grant(leased_nanos: i64, sequence: i64) -> Grant {
        Grant {
            campaign_id: "cmp_1".into(),
            date: "1970-01-01".to_owned(),
            leased_nanos,
            sequence,
            free_nanos: 0,
            day: AccountBalance::default(),
            lifetime: AccountBalance::default(),
            bidders: 1,
            opportunities: 0,
            bids: 0,
        }
    }

    #[test]
    fn a_bid_that_reaches_t1_comes_back_only_when_that_renewal_is_answered() {
        let day = Day {
            date: "1970-01-01".to_owned(),
            start_ms: 0,
            end_ms: 86_400_000,
        };
        let cell = LeaseCell::default();
        cell.set_bids_ceiling(i64::MAX);
        cell.set_valid_until_monotonic_ms(i64::MAX);
        let mut lease = DayLease::new(day, at(0), &Counters::of(&cell));
        lease.granted(&grant(10, 1));
        lease.set_ceiling(&cell);
        assert!(cell.reserve(10, at(0)).is_ok());
        for second in 1..=7 {
            lease.renew(at(second), &Counters::of(&cell), T1_MS);
            lease.commit(10, 10);
            lease.set_ceiling(&cell);
        }
        // Another replica may have taken in the bid's win meanwhile, and nothing be leased any more.
        assert!(cell.reserve(1, at(7)).is_err(), "no renewal was answered");
        lease.granted(&grant(4, 3));
        lease.set_ceiling(&cell);
        assert!(cell.reserve(4, at(7)).is_ok());
        assert!(cell.reserve(1, at(7)).is_err());
    }
}
