//! How much of what a cell has reserved could still be won.

use bidding_engine::{LeaseCell, Now};
use std::collections::VecDeque;

/// Wall and monotonic clock drift apart by less than this between renewals, unless someone sets the wall clock.
const STEADY_CLOCK_MS: i64 = 100;

/// A cell's counters, read at one instant.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) cancelled_nanos: i64,
    pub(super) reserved_nanos: i64,
    pub(super) bids: i64,
    pub(super) opportunities: i64,
}

impl Counters {
    pub(super) fn of(cell: &LeaseCell) -> Self {
        // In this order: see `LeaseCell::cancelled_total_nanos`.
        Self {
            cancelled_nanos: cell.cancelled_total_nanos(),
            reserved_nanos: cell.reserved_total_nanos(),
            bids: cell.bids_total(),
            opportunities: cell.opportunities_total(),
        }
    }
}

/// The bids of one campaign's day that are open: made less than T1 before a renewal was sent, and not known to
/// have ended.
///
/// A reservation is not given back by a timer of its own: its win may have been taken in by another replica. It
/// comes back with the first renewal that is *sent* T1 or more after it, because that renewal is the first to
/// leave it out of what it asks for. Everything here errs on the side of "still open".
#[derive(Debug)]
pub(super) struct OpenBids {
    /// Oldest first, never empty. All bids before the first one's instant are over.
    marks: VecDeque<Mark>,
}

/// The counters when a renewal was sent.
#[derive(Debug)]
struct Mark {
    sent: Now,
    reserved_nanos: i64,
    cancelled_nanos: i64,
    /// Ended before T1: of the bids made between this mark and the next.
    ended_nanos: i64,
}

impl Mark {
    fn new(sent: Now, counters: &Counters) -> Self {
        Self {
            sent,
            reserved_nanos: counters.reserved_nanos,
            cancelled_nanos: counters.cancelled_nanos,
            ended_nanos: 0,
        }
    }
}

impl OpenBids {
    /// None is open yet: what was reserved before belongs to another day.
    pub(super) fn none(now: Now, counters: &Counters) -> Self {
        Self {
            marks: VecDeque::from([Mark::new(now, counters)]),
        }
    }

    /// A renewal is being sent: bids of `win_notice_delay_ms` (T1) ago and older are over.
    pub(super) fn renew(&mut self, now: Now, counters: &Counters, win_notice_delay_ms: i64) {
        self.marks.push_back(Mark::new(now, counters));
        let over_ms = now.monotonic_ms.saturating_sub(win_notice_delay_ms);
        while self
            .marks
            .get(1)
            .is_some_and(|mark| mark.sent.monotonic_ms <= over_ms)
        {
            self.marks.pop_front();
        }
    }

    /// How much of the running total of reservations is over: `reserved total - this` is open.
    pub(super) fn over_nanos(&self) -> i64 {
        let Some(first) = self.marks.front() else { return 0 };
        // A bid made before the mark and cancelled after it has left the running total, and must leave here too. The
        // cancellations of the following second hold all of those.
        let cancelled_nanos = self.marks.get(1).map_or(0, |next| {
            next.cancelled_nanos.saturating_sub(first.cancelled_nanos)
        });
        let ended_nanos: i64 = self.marks.iter().map(|mark| mark.ended_nanos).sum();
        first
            .reserved_nanos
            .saturating_sub(cancelled_nanos)
            .saturating_add(ended_nanos)
    }

    pub(super) fn open_nanos(&self, reserved_total_nanos: i64) -> i64 {
        reserved_total_nanos.saturating_sub(self.over_nanos()).max(0)
    }

    /// A bid of `nanos` whose request arrived at `bid_at_ms` (Unix) has ended. False when that changes nothing.
    ///
    /// It was reserved a little after it arrived; so it is written to the same second or an earlier one than its
    /// reservation, and at worst stops to count as ended a second too soon.
    pub(super) fn end(&mut self, bid_at_ms: i64, nanos: i64) -> bool {
        if self.wall_clock_was_set()
            || self
                .marks
                .front()
                .is_none_or(|first| bid_at_ms < first.sent.unix_ms)
        {
            return false;
        }
        let later = self.marks.iter().skip(1);
        let at = later.take_while(|next| next.sent.unix_ms <= bid_at_ms).count();
        if let Some(mark) = self.marks.get_mut(at) {
            mark.ended_nanos = mark.ended_nanos.saturating_add(nanos);
        }
        true
    }

    fn wall_clock_was_set(&self) -> bool {
        let offsets = || {
            self.marks
                .iter()
                .map(|mark| mark.sent.unix_ms - mark.sent.monotonic_ms)
        };
        match (offsets().min(), offsets().max()) {
            (Some(least), Some(most)) => most - least > STEADY_CLOCK_MS,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T1_MS: i64 = 5_000;

    fn at(seconds: i64) -> Now {
        Now {
            unix_ms: 1_700_000_000_000 + seconds * 1_000,
            monotonic_ms: seconds * 1_000,
        }
    }

    fn reserved(nanos: i64) -> Counters {
        Counters {
            reserved_nanos: nanos,
            ..Counters::default()
        }
    }

    #[test]
    fn a_bid_is_over_with_the_first_renewal_sent_t1_after_it() {
        let mut open = OpenBids::none(at(0), &reserved(0));
        for second in 1..=5 {
            open.renew(at(second), &reserved(10), T1_MS);
            assert_eq!(open.open_nanos(10), 10, "second {second}");
        }
        open.renew(at(6), &reserved(10), T1_MS);
        assert_eq!(open.open_nanos(10), 0);
    }

    #[test]
    fn without_renewals_nothing_comes_back() {
        let mut open = OpenBids::none(at(0), &reserved(0));
        open.renew(at(600), &reserved(10), T1_MS);
        assert_eq!(open.open_nanos(10), 10);
    }

    #[test]
    fn a_bid_that_ended_sooner_is_not_given_back_twice() {
        let mut open = OpenBids::none(at(0), &reserved(0));
        open.renew(at(1), &reserved(10), T1_MS);
        assert!(open.end(at(0).unix_ms + 500, 10));
        assert_eq!(open.open_nanos(10), 0);
        for second in 2..=7 {
            open.renew(at(second), &reserved(30), T1_MS);
        }
        assert_eq!(open.open_nanos(30), 0, "20 were reserved in second 2");
        assert_eq!(open.open_nanos(37), 7);
    }

    #[test]
    fn a_bid_cancelled_after_a_renewal_is_not_given_back_again_at_t1() {
        let mut open = OpenBids::none(at(0), &reserved(0));
        open.renew(at(1), &reserved(5), T1_MS);
        let cancelled_and_bid_again = Counters {
            cancelled_nanos: 5,
            ..reserved(5)
        };
        for second in 2..=6 {
            open.renew(at(second), &cancelled_and_bid_again, T1_MS);
        }
        assert_eq!(open.open_nanos(5), 5);
    }

    #[test]
    fn a_wall_clock_that_was_set_ends_nothing_sooner() {
        let mut open = OpenBids::none(at(0), &reserved(0));
        let set_back = Now {
            unix_ms: at(0).unix_ms - 60_000,
            ..at(1)
        };
        open.renew(set_back, &reserved(10), T1_MS);
        assert!(!open.end(at(0).unix_ms + 500, 10));
        assert_eq!(open.open_nanos(10), 10);
    }
}
