//! When an account needs no look, and for how long.

use super::account::{Account, DAY_TURN_MS};
use super::day_lease::DayLease;
use super::standing::epoch_of;
use super::sums::Sums;
use super::{BID_AFTER_RENEWAL_MS, REST_MS};
use bidding_engine::{LeaseCell, Now};

/// Between looks at whether the last snapshot with the cell of a campaign that is gone is gone too.
const GONE_LOOK_MS: i64 = 10_000;
const NEVER_MS: i64 = i64::MIN;

/// An account that heartbeats leave alone, with what they must know of it. Times are of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sleep {
    /// One opportunity more than these, and it wakes.
    opportunities: i64,
    /// When it wants to be looked at.
    due_ms: i64,
    /// While its group answers, bids may be made until then.
    bids_until_ms: i64,
    /// What its cell was last told of that.
    told_ms: i64,
    /// The memory of the ledger that its lease is of.
    epoch: i64,
    /// As they were when it went to sleep; it is looked at again within `REST_MS`.
    pub(super) sums: Sums,
}

impl Sleep {
    pub(super) fn is_due(&self, now: Now) -> bool {
        self.due_ms <= now.monotonic_ms
    }

    pub(super) fn saw_opportunity(&self, cell: &LeaseCell) -> bool {
        cell.opportunities_total() != self.opportunities
    }

    /// Its cell makes bids while heartbeats are answered.
    pub(super) fn holds_a_lease(&self) -> bool {
        self.bids_until_ms > NEVER_MS
    }

    /// A heartbeat sent at `sent` was answered by the ledger's memory `epoch`: bids may go on, unless the lease is of an
    /// earlier memory.
    pub(super) fn rest_on(&mut self, cell: &LeaseCell, sent: Now, epoch: i64) -> Result<(), Forgotten> {
        if !self.holds_a_lease() {
            return Ok(());
        }
        if self.epoch < epoch {
            return Err(Forgotten);
        }
        let until_ms = self
            .bids_until_ms
            .min(sent.monotonic_ms.saturating_add(BID_AFTER_RENEWAL_MS));
        // Who stopped the cell meanwhile has called the account, too.
        if cell.move_valid_until_monotonic_ms(self.told_ms, until_ms) {
            self.told_ms = until_ms;
        }
        Ok(())
    }
}

/// The ledger has lost the lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forgotten;

impl Account {
    /// Ends its sleep. False where it did not sleep, or somebody was faster.
    pub(super) fn wake(&mut self) -> bool {
        std::mem::take(&mut self.asleep)
    }

    /// The ledger has lost the lease: it must be asked anew.
    pub(super) fn unrest(&mut self) {
        self.rested_until_ms = NEVER_MS;
    }

    /// After the answer to a heartbeat sent at `sent`: whether there is nothing to do until an opportunity, a change or an
    /// instant. From then on it sleeps.
    pub(super) fn sleep(&mut self, cell: &LeaseCell, sent: Now) -> Option<Sleep> {
        let is_open = self.today.as_ref().is_some_and(|lease| !lease.is_over());
        if is_open || self.asked.is_some() || self.yesterday.is_some() || self.saw_opportunities_lately(sent)
        {
            return None;
        }
        let (due_ms, bids_until_ms) = self.left_alone(sent)?;
        self.asleep = true;
        Some(Sleep {
            opportunities: self.observed_opportunities,
            due_ms,
            bids_until_ms,
            told_ms: cell.valid_until_monotonic_ms(),
            epoch: self.today.as_ref().map_or(0, |lease| epoch_of(lease.sequence())),
            sums: self.sums(sent),
        })
    }

    /// Until when it may be left alone, and until when it may bid meanwhile.
    fn left_alone(&self, now: Now) -> Option<(i64, i64)> {
        if self.stopped {
            let due_ms = if self.gone {
                now.monotonic_ms.saturating_add(GONE_LOOK_MS)
            } else {
                i64::MAX
            };
            return self.is_drained().then_some((due_ms, NEVER_MS));
        }
        let turn_ms = self.next_turn_ms(now);
        let Some(lease) = self
            .today
            .as_ref()
            .filter(|_| self.campaign.record().flight.contains(now.unix_ms))
        else {
            let is_empty = self.today.as_ref().is_none_or(DayLease::is_empty);
            return is_empty.then_some((turn_ms, NEVER_MS));
        };
        if self.changed || self.rested_until_ms == NEVER_MS {
            // It waits for its turn to be leased one bid.
            return Some((NEVER_MS, NEVER_MS));
        }
        let day_end_ms = monotonic_ms(lease.day().end_ms, now);
        Some((
            turn_ms.min(self.rested_until_ms.saturating_sub(REST_MS / 5)),
            day_end_ms.min(self.rested_until_ms),
        ))
    }

    /// When a day or the flight begins or ends next.
    fn next_turn_ms(&self, now: Now) -> i64 {
        let flight = self.campaign.record().flight;
        let day_end_ms = self
            .today
            .as_ref()
            .map(|lease| lease.day().end_ms.saturating_add(DAY_TURN_MS));
        let flight_ms = [Some(flight.start_ms), flight.end_ms].into_iter().flatten();
        let turns = flight_ms
            .chain(day_end_ms)
            .chain(self.campaign.record().days.iter().map(|day| day.start_ms));
        let next = turns.filter(|at_ms| *at_ms > now.unix_ms).min();
        next.map_or(i64::MAX, |at_ms| monotonic_ms(at_ms, now))
    }
}

fn monotonic_ms(unix_ms: i64, now: Now) -> i64 {
    now.monotonic_ms
        .saturating_add(unix_ms.saturating_sub(now.unix_ms))
}
