//! What a stream of events comes to: how often, and how much each.

use super::nanos;

/// Events a second, smoothed exponentially. The first observation counts in full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    per_second: Option<f64>,
    time_constant_ms: f64,
}

impl Rate {
    /// After `time_constant_ms` of a new rate, 63 % of the change is seen.
    #[must_use]
    pub fn smoothed_over(time_constant_ms: i64) -> Self {
        Self {
            per_second: None,
            time_constant_ms: nanos(time_constant_ms.max(1)),
        }
    }

    /// `events` happened in the `elapsed_ms` since the last observation.
    pub fn observe(&mut self, events: i64, elapsed_ms: i64) {
        if elapsed_ms <= 0 {
            return;
        }
        let elapsed_ms = nanos(elapsed_ms);
        let now = nanos(events.max(0)) * 1_000.0 / elapsed_ms;
        let weight = 1.0 - (-elapsed_ms / self.time_constant_ms).exp();
        self.per_second = Some(
            self.per_second
                .map_or(now, |before| before + weight * (now - before)),
        );
    }

    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.per_second.unwrap_or(0.0)
    }
}

/// What a bid comes to: price x the chance that it is won and billed, from the day's running totals.
///
/// It begins at the full price with the weight of `PRIOR_BIDS` bids: a day starts slowly rather than with a
/// burst whose bills come seconds later. It forgets beyond some thousand bids, or the evening would be paced by the
/// morning's win rate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BidValue {
    spent_nanos: f64,
    bids: f64,
    seen_spent_nanos: i64,
    seen_bids: i64,
}

impl BidValue {
    const PRIOR_BIDS: f64 = 20.0;
    const REMEMBERED_BIDS: f64 = 4_000.0;

    /// The day's totals so far, of all bidders. Totals that fell mean another day: the value learned is kept. Bids that
    /// fell while money was spent on mean that the ledger lost count of them: both are counted on from here.
    pub fn observe(&mut self, spent_nanos: i64, bids: i64) {
        if bids < self.seen_bids && self.seen_spent_nanos > 0 && spent_nanos >= self.seen_spent_nanos {
            (self.seen_spent_nanos, self.seen_bids) = (spent_nanos, bids);
        } else if bids < self.seen_bids {
            (self.seen_spent_nanos, self.seen_bids) = (0, 0);
        }
        self.spent_nanos += nanos(spent_nanos.saturating_sub(self.seen_spent_nanos));
        self.bids += nanos(bids.saturating_sub(self.seen_bids));
        (self.seen_spent_nanos, self.seen_bids) = (spent_nanos, bids);
        if self.bids > Self::REMEMBERED_BIDS {
            let kept = Self::REMEMBERED_BIDS / 2.0 / self.bids;
            self.spent_nanos *= kept;
            self.bids *= kept;
        }
    }

    /// Nanos, positive, at most `full_price_nanos`: what a bid costs that wins at its own price. (Who starts after the
    /// ledger lost count of the day's bids finds more spent than they can have cost.)
    #[must_use]
    pub fn nanos(&self, full_price_nanos: i64) -> f64 {
        let full_price = nanos(full_price_nanos.max(1));
        let prior = Self::PRIOR_BIDS * full_price;
        let observed = (self.spent_nanos.max(0.0) + prior) / (self.bids + Self::PRIOR_BIDS);
        observed.clamp(1.0, full_price)
    }
}
