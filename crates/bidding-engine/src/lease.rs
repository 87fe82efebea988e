//! What one bidder may still commit for one campaign, without asking anyone.

use crate::Now;
use crate::pages::Pages;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The lease cells of a snapshot's campaigns.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    /// Parallel to the snapshot's campaign numbers.
    pub cells: Pages<Arc<LeaseCell>>,
}

/// Cumulative counters against ceilings: the bid path alone adds to the counters, the lease keeper
/// alone moves the ceilings. No lock; a bid costs a few atomic operations.
///
/// A new cell has never been leased: it withholds everything.
///
/// In the order of the fields: what every candidate's turn reads comes first.
#[derive(Debug)]
#[repr(C)]
pub struct LeaseCell {
    bids_total: AtomicI64,
    bids_ceiling: AtomicI64,
    valid_until_monotonic_ms: AtomicI64,
    opportunities_total: AtomicI64,
    reserved_total_nanos: AtomicI64,
    reserve_ceiling_nanos: AtomicI64,
    cancelled_total_nanos: AtomicI64,
    largest_asked_nanos: AtomicI64,
    price_lift_ppm: AtomicI64,
}

/// Why a cell gave nothing, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// Never leased, or the lease is over.
    NoLease,
    /// The quota of bids since the last renewal is used up.
    Paced,
    /// What is left of the lease is less than the price.
    Budget,
}

impl Default for LeaseCell {
    fn default() -> Self {
        Self {
            reserved_total_nanos: AtomicI64::new(0),
            reserve_ceiling_nanos: AtomicI64::new(0),
            bids_total: AtomicI64::new(0),
            bids_ceiling: AtomicI64::new(0),
            opportunities_total: AtomicI64::new(0),
            valid_until_monotonic_ms: AtomicI64::new(i64::MIN),
            cancelled_total_nanos: AtomicI64::new(0),
            largest_asked_nanos: AtomicI64::new(0),
            price_lift_ppm: AtomicI64::new(0),
        }
    }
}

impl LeaseCell {
    /// Takes `nanos` from the lease and one bid from the quota, or neither.
    ///
    /// # Errors
    /// The first of [`Withheld`] that applies.
    pub fn reserve(&self, nanos: i64, now: Now) -> Result<(), Withheld> {
        self.take(nanos, now, || add_within(&self.bids_total, 1, &self.bids_ceiling))
    }

    /// The same for a deal of guaranteed delivery: whatever the quota says, never beyond the lease. The bid counts
    /// against the quota of those that are paced.
    ///
    /// # Errors
    /// [`Withheld::NoLease`] or [`Withheld::Budget`].
    pub fn reserve_guaranteed(&self, nanos: i64, now: Now) -> Result<(), Withheld> {
        self.take(nanos, now, || {
            self.bids_total.fetch_add(1, Ordering::AcqRel);
            true
        })
    }

    fn take(&self, nanos: i64, now: Now, take_bid: impl FnOnce() -> bool) -> Result<(), Withheld> {
        if now.monotonic_ms >= self.valid_until_monotonic_ms.load(Ordering::Acquire) {
            return Err(Withheld::NoLease);
        }
        if nanos > self.largest_asked_nanos.load(Ordering::Relaxed) {
            self.largest_asked_nanos.fetch_max(nanos, Ordering::Relaxed);
        }
        if !take_bid() {
            return Err(Withheld::Paced);
        }
        if !add_within(&self.reserved_total_nanos, nanos, &self.reserve_ceiling_nanos) {
            self.bids_total.fetch_sub(1, Ordering::AcqRel);
            return Err(Withheld::Budget);
        }
        // The ceiling may have fallen between its reading and the addition. Sequentially consistent on both sides:
        // either this sees the new ceiling, or the keeper, which reads the total after lowering it, sees this bid.
        if self.reserved_total_nanos.load(Ordering::SeqCst)
            > self.reserve_ceiling_nanos.load(Ordering::SeqCst)
        {
            self.cancel(nanos);
            return Err(Withheld::Budget);
        }
        Ok(())
    }

    /// Whether [`LeaseCell::reserve`] would take a bid of whatever price, as far as the lease's end and the quota say;
    /// changes nothing.
    ///
    /// # Errors
    /// [`Withheld::NoLease`] or [`Withheld::Paced`].
    pub fn may_bid(&self, now: Now) -> Result<(), Withheld> {
        if now.monotonic_ms >= self.valid_until_monotonic_ms() {
            Err(Withheld::NoLease)
        } else if !fits(self.bids_total(), 1, self.bids_ceiling()) {
            Err(Withheld::Paced)
        } else {
            Ok(())
        }
    }

    /// What [`LeaseCell::reserve`] would say now; changes nothing.
    ///
    /// # Errors
    /// As [`LeaseCell::reserve`].
    pub fn would_reserve(&self, nanos: i64, now: Now) -> Result<(), Withheld> {
        self.may_bid(now)?;
        self.would_reserve_guaranteed(nanos, now)
    }

    /// What [`LeaseCell::reserve_guaranteed`] would say now; changes nothing.
    ///
    /// # Errors
    /// As [`LeaseCell::reserve_guaranteed`].
    pub fn would_reserve_guaranteed(&self, nanos: i64, now: Now) -> Result<(), Withheld> {
        if now.monotonic_ms >= self.valid_until_monotonic_ms() {
            Err(Withheld::NoLease)
        } else if !fits(self.reserved_total_nanos(), nanos, self.reserve_ceiling_nanos()) {
            Err(Withheld::Budget)
        } else {
            Ok(())
        }
    }

    /// Undoes a reservation whose bid never left (a late answer).
    pub fn cancel(&self, nanos: i64) {
        self.reserved_total_nanos.fetch_sub(nanos, Ordering::AcqRel);
        self.bids_total.fetch_sub(1, Ordering::AcqRel);
        // Last: who reads this total first never finds a cancelled bid in `reserved_total_nanos` unseen.
        self.cancelled_total_nanos.fetch_add(nanos, Ordering::AcqRel);
    }

    /// Counts one eligible opportunity: see [`LeaseCell::opportunities_total`].
    pub fn count_opportunity(&self) {
        self.opportunities_total.fetch_add(1, Ordering::Relaxed);
    }

    /// Nanos of the campaign's currency, reserved since the cell was made, less what was cancelled.
    pub fn reserved_total_nanos(&self) -> i64 {
        self.reserved_total_nanos.load(Ordering::SeqCst)
    }

    /// What was cancelled since the cell was made. Read it before [`LeaseCell::reserved_total_nanos`].
    pub fn cancelled_total_nanos(&self) -> i64 {
        self.cancelled_total_nanos.load(Ordering::Acquire)
    }

    /// The dearest reservation asked for since the last call, granted or not: a quantity multiplier can make
    /// one bid cost many times the campaign's price.
    pub fn take_largest_asked_nanos(&self) -> i64 {
        self.largest_asked_nanos.swap(0, Ordering::Relaxed)
    }

    /// Reservations since the cell was made, less the cancelled ones.
    pub fn bids_total(&self) -> i64 {
        self.bids_total.load(Ordering::Acquire)
    }

    /// Requests since the cell was made in which the campaign's turn came: everything matched, the user's
    /// caps included, no better bid took every slot it fits, and the cell was asked. Once per request,
    /// whether or not the cell gave. What the search never reached is not counted: it could not be won.
    pub fn opportunities_total(&self) -> i64 {
        self.opportunities_total.load(Ordering::Relaxed)
    }

    /// The keeper's: reservations are granted while `reserved_total_nanos` stays at or below it. Of those granted while
    /// it falls, all that stand are in the `reserved_total_nanos` read after this.
    pub fn set_reserve_ceiling_nanos(&self, ceiling_nanos: i64) {
        self.reserve_ceiling_nanos.store(ceiling_nanos, Ordering::SeqCst);
    }

    pub fn reserve_ceiling_nanos(&self) -> i64 {
        self.reserve_ceiling_nanos.load(Ordering::Acquire)
    }

    /// The keeper's: bids are granted while `bids_total` stays at or below it.
    pub fn set_bids_ceiling(&self, ceiling: i64) {
        self.bids_ceiling.store(ceiling, Ordering::Release);
    }

    pub fn bids_ceiling(&self) -> i64 {
        self.bids_ceiling.load(Ordering::Acquire)
    }

    /// The keeper's: no bid is made at or after it ([`Now::monotonic_ms`]).
    pub fn set_valid_until_monotonic_ms(&self, until_ms: i64) {
        self.valid_until_monotonic_ms.store(until_ms, Ordering::Release);
    }

    /// The same, unless somebody has moved it away from `known_ms`. Returns whether it was moved.
    pub fn move_valid_until_monotonic_ms(&self, known_ms: i64, until_ms: i64) -> bool {
        self.valid_until_monotonic_ms
            .compare_exchange(known_ms, until_ms, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// The keeper's: how far a first-price bid goes from the learned price to the campaign's maximum, millionths.
    pub fn set_price_lift_ppm(&self, lift_ppm: i64) {
        self.price_lift_ppm.store(lift_ppm, Ordering::Relaxed);
    }

    pub fn price_lift_ppm(&self) -> i64 {
        self.price_lift_ppm.load(Ordering::Relaxed)
    }

    pub fn valid_until_monotonic_ms(&self) -> i64 {
        self.valid_until_monotonic_ms.load(Ordering::Acquire)
    }
}

fn fits(total: i64, amount: i64, ceiling: i64) -> bool {
    total.checked_add(amount).is_some_and(|sum| sum <= ceiling)
}

/// Adds when the sum stays at or below the ceiling.
fn add_within(total: &AtomicI64, amount: i64, ceiling: &AtomicI64) -> bool {
    total
        .try_update(Ordering::SeqCst, Ordering::Acquire, |current| {
            current
                .checked_add(amount)
                .filter(|sum| *sum <= ceiling.load(Ordering::Acquire))
        })
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now {
        unix_ms: 0,
        monotonic_ms: 1_000,
    };

    fn cell(nanos: i64, bids: i64, until_ms: i64) -> LeaseCell {
        let cell = LeaseCell::default();
        cell.set_reserve_ceiling_nanos(nanos);
        cell.set_bids_ceiling(bids);
        cell.set_valid_until_monotonic_ms(until_ms);
        cell
    }

    #[test]
    fn a_cell_that_was_never_leased_gives_nothing() {
        assert_eq!(LeaseCell::default().reserve(0, NOW), Err(Withheld::NoLease));
    }

    #[test]
    fn no_bid_is_made_at_the_end_of_the_lease() {
        assert_eq!(cell(10, 10, 1_000).reserve(1, NOW), Err(Withheld::NoLease));
        assert_eq!(cell(10, 10, 1_001).reserve(1, NOW), Ok(()));
    }

    #[test]
    fn a_lease_can_be_spent_to_its_last_nano_and_no_further() {
        let cell = cell(10, 10, 2_000);
        assert_eq!(cell.reserve(6, NOW), Ok(()));
        assert_eq!(cell.reserve(5, NOW), Err(Withheld::Budget));
        assert_eq!(cell.reserve(4, NOW), Ok(()));
        assert_eq!((cell.reserved_total_nanos(), cell.bids_total()), (10, 2));
    }

    #[test]
    fn the_quota_holds_back_bids_that_the_lease_would_pay() {
        let cell = cell(10, 1, 2_000);
        assert_eq!(cell.reserve(1, NOW), Ok(()));
        assert_eq!(cell.reserve(1, NOW), Err(Withheld::Paced));
        assert_eq!(cell.reserved_total_nanos(), 1);
    }

    #[test]
    fn a_cancelled_bid_leaves_no_trace() {
        let cell = cell(10, 1, 2_000);
        cell.reserve(10, NOW).unwrap();
        cell.cancel(10);
        assert_eq!(cell.reserve(10, NOW), Ok(()));
    }

    #[test]
    fn threads_together_never_exceed_the_ceilings() {
        let cell = cell(1_000, 150, 2_000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).filter(|_| cell.reserve(7, NOW).is_ok()).count());
            }
        });
        assert_eq!((cell.bids_total(), cell.reserved_total_nanos()), (142, 994));
    }

    #[test]
    fn a_falling_ceiling_misses_no_reservation() {
        const ROUNDS: i64 = 20_000;
        let cell = cell(0, i64::MAX, i64::MAX);
        let turn = AtomicI64::new(0);
        let refused = AtomicI64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    while turn.load(Ordering::SeqCst) < round {
                        std::hint::spin_loop();
                    }
                    while cell.reserve(1, NOW).is_ok() {}
                    refused.store(round, Ordering::SeqCst);
                }
            });
            let mut missed = 0;
            for round in 1..=ROUNDS {
                cell.set_reserve_ceiling_nanos(cell.reserved_total_nanos() + 1_000_000);
                turn.store(round, Ordering::SeqCst);
                for _ in 0..round % 97 {
                    std::hint::spin_loop();
                }
                let ceiling_nanos = cell.reserved_total_nanos();
                cell.set_reserve_ceiling_nanos(ceiling_nanos);
                let seen_nanos = cell.reserved_total_nanos();
                while refused.load(Ordering::SeqCst) < round {
                    std::hint::spin_loop();
                }
                missed += i64::from(cell.reserved_total_nanos() > seen_nanos);
            }
            assert_eq!(missed, 0, "reservations that the keeper did not see");
        });
    }
}
