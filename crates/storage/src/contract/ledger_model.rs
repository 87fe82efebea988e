//! The ledger's rules once more, as plainly as they can be said: what a walk compares an adapter with.

use crate::spend_ledger::AccountBalance;
use domain::period::Limits;
use std::collections::{BTreeMap, HashMap};

/// One campaign with two days.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) now_ms: i64,
    version: (i64, i64),
    limits: Limits,
    /// The limit each day had when it was last renewed.
    day_limits: [Option<i64>; 2],
    spent: [i64; 2],
    pub(super) over_delivered: [i64; 2],
    pub(super) settled: [i64; 2],
    /// By (day, bidder): nanos, end, and number of the last renewal.
    leases: BTreeMap<(usize, u64), (i64, i64, i64)>,
    bids: HashMap<u128, Bid>,
}

#[derive(Clone, Copy, Debug)]
enum Bid {
    /// Day, nanos and end.
    Pending(usize, i64, i64),
    /// Won without backing, or not billed in time.
    Seen,
    Settled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Win {
    Pending,
    Unbacked,
    Repeated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bill {
    Charged { nanos: i64, backed: bool },
    OverDelivery(i64),
    Repeated,
}

/// A bid's terms, as its token has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) bid: u128,
    pub(super) day: usize,
    pub(super) bidder: u64,
    pub(super) reserved: i64,
    pub(super) window_ms: i64,
}

impl Model {
    fn end_what_is_over(&mut self) {
        let now_ms = self.now_ms;
        for (nanos, end_ms, _) in self.leases.values_mut() {
            if *end_ms <= now_ms {
                *nanos = 0;
            }
        }
        for bid in self.bids.values_mut() {
            if matches!(bid, Bid::Pending(_, _, end_ms) if *end_ms <= now_ms) {
                *bid = Bid::Seen;
            }
        }
    }

    /// Of a day, or of the lifetime (`None`).
    pub(super) fn account(&self, day: Option<usize>) -> AccountBalance {
        let counts = |of: usize| day.is_none_or(|day| day == of);
        let spent = self.spent.iter().enumerate().filter(|(of, _)| counts(*of));
        let pending = self.bids.values().filter_map(|bid| match bid {
            Bid::Pending(of, nanos, _) if counts(*of) => Some(*nanos),
            _ => None,
        });
        let leased = self.leases.iter().filter(|((of, _), _)| counts(*of));
        AccountBalance {
            limit_nanos: day.map_or(self.limits.total_nanos, |day| self.day_limits[day]),
            spent_nanos: spent.map(|(_, nanos)| nanos).sum(),
            pending_nanos: pending.sum(),
            leased_nanos: leased.map(|(_, (nanos, ..))| nanos).sum(),
        }
    }

    fn free(&self, day: usize) -> i64 {
        let room = |account: AccountBalance| {
            account.limit_nanos.map_or(i64::MAX / 2, |limit| {
                limit - account.spent_nanos - account.pending_nanos - account.leased_nanos
            })
        };
        room(self.account(Some(day))).min(room(self.account(None)))
    }

    pub(super) fn renew(
        &mut self,
        (day, bidder): (usize, u64),
        (version, limits): ((i64, i64), Limits),
        (wanted, bid, hold_ms): (i64, i64, i64),
        renewal: i64,
    ) -> i64 {
        self.end_what_is_over();
        let lease = self.leases.get(&(day, bidder));
        if let Some((held, _, last)) = lease
            && *held > 0
            && renewal < *last
        {
            return *held;
        }
        if version >= self.version {
            self.version = version;
            self.limits = limits;
        }
        self.day_limits[day] = self.limits.daily_nanos;
        let free = self.free(day);
        let (held, end_ms, last) = self.leases.entry((day, bidder)).or_default();
        *held = if wanted <= *held {
            wanted
        } else {
            *held + (wanted - *held).min(free).max(0) / bid * bid
        };
        *end_ms = self.now_ms + hold_ms;
        *last = renewal;
        *held
    }

    pub(super) fn win(&mut self, terms: Terms) -> Win {
        self.end_what_is_over();
        if self.bids.contains_key(&terms.bid) {
            return Win::Repeated;
        }
        let free = self.free(terms.day);
        match self.leases.get_mut(&(terms.day, terms.bidder)) {
            Some((held, ..)) if *held >= terms.reserved => *held -= terms.reserved,
            _ if free >= terms.reserved => {}
            _ => {
                self.bids.insert(terms.bid, Bid::Seen);
                return Win::Unbacked;
            }
        }
        let end_ms = self.now_ms + terms.window_ms;
        self.bids
            .insert(terms.bid, Bid::Pending(terms.day, terms.reserved, end_ms));
        Win::Pending
    }

    pub(super) fn bill(&mut self, terms: Terms, asked: i64) -> Bill {
        self.end_what_is_over();
        let before = self.bids.insert(terms.bid, Bid::Settled);
        if matches!(before, Some(Bid::Settled)) {
            return Bill::Repeated;
        }
        let nanos = asked.min(terms.reserved);
        self.settled[terms.day] += 1;
        let backed = if matches!(before, Some(Bid::Pending(..))) {
            true
        } else if self.free(terms.day) >= nanos {
            false
        } else {
            match self.leases.get_mut(&(terms.day, terms.bidder)) {
                Some((held, ..)) if *held >= nanos => *held -= nanos,
                _ => {
                    self.over_delivered[terms.day] += nanos;
                    return Bill::OverDelivery(nanos);
                }
            }
            true
        };
        self.spent[terms.day] += nanos;
        Bill::Charged { nanos, backed }
    }
}
