//! What was learned of first-price markets, in the form in which a bid looks it up.

use crate::hash::mix;
use crate::price_level::PriceLevel;
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where bids meet the same rivals: an exchange, first or second price, a currency, a format, a kind of place, the open
/// auction or deals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Market(pub u64);

/// The table that is in force; its copies share it. Whoever learns replaces it as a whole.
#[derive(Clone, Debug, Default)]
pub struct LearnedPrices(Arc<ArcSwap<PriceTable>>);

impl LearnedPrices {
    pub fn publish(&self, table: PriceTable) {
        self.0.store(Arc::new(table));
    }

    /// A copy of its own that stays with the table of now.
    #[must_use]
    pub fn frozen(&self) -> Self {
        Self(Arc::new(ArcSwap::new(self.0.load_full())))
    }

    /// Takes no lock.
    #[must_use]
    pub fn table(&self) -> Guard<Arc<PriceTable>> {
        self.0.load()
    }
}

/// The markets of which something is known. A market that is not among them has the price of [`PriceTable::prior`].
#[derive(Debug, Default)]
pub struct PriceTable {
    /// By rising market.
    markets: Box<[MarketPrices]>,
}

/// What to bid in one market.
#[derive(Clone, Debug)]
pub struct MarketPrices {
    pub market: Market,
    /// The lowest value that `targets` speak of.
    pub first_value: PriceLevel,
    /// The price for each level of value from the first on, rising. Below it the prior counts, above it the last.
    pub targets: Arc<[PriceLevel]>,
    /// A few bids go below and above the target: without them nobody would notice that the market has moved.
    pub explores_below: bool,
    pub explores_above: bool,
    /// The chance that a bid at each level wins, ten-thousandths, rising. Empty: nothing is known.
    pub chances: Arc<[u16]>,
    /// The lowest and the highest level that outcomes have told of; `chances` beyond them are guesses, rather too high than
    /// too low.
    pub known: (PriceLevel, PriceLevel),
    /// Counted by whoever sends the bids, taken by whoever learns.
    pub bids: Arc<BidsByLevel>,
}

/// Of sixteen bids, one goes below and one above.
const EXPLORING_BITS: u32 = 4;
/// By one to eight levels, up to a third.
const FARTHEST_BITS: u32 = 3;

impl PriceTable {
    /// Of any order, the first of a market counts.
    #[must_use]
    pub fn new(mut markets: Vec<MarketPrices>) -> Self {
        markets.sort_by_key(|prices| prices.market);
        markets.dedup_by_key(|prices| prices.market);
        Self {
            markets: markets.into(),
        }
    }

    #[must_use]
    pub fn market(&self, market: Market) -> Option<&MarketPrices> {
        let at = self.markets.binary_search_by_key(&market, |prices| prices.market);
        self.markets.get(at.ok()?)
    }

    /// What to bid for something of this value, in the scale of the market; at most the value. Rises with it. `roll`
    /// is uniform over all 64 bits and decides whether this bid explores.
    #[must_use]
    pub fn price_cpm_micros(&self, market: Market, value_cpm_micros: i64, roll: u64) -> i64 {
        match self.market(market) {
            Some(prices) => prices.price_cpm_micros(value_cpm_micros, roll),
            None => Self::prior(value_cpm_micros),
        }
    }

    /// Nothing is known: nine tenths of the value, the best price where the chance to win grows with the ninth power of
    /// the bid. It gives up little of what bidding the value would win.
    #[must_use]
    pub fn prior(value_cpm_micros: i64) -> i64 {
        value_cpm_micros - value_cpm_micros / 10
    }
}

impl MarketPrices {
    fn price_cpm_micros(&self, value_cpm_micros: i64, roll: u64) -> i64 {
        let target = self.target_cpm_micros(value_cpm_micros);
        let level = PriceLevel::at_or_below(target);
        let steps = (roll >> EXPLORING_BITS) as u16 % (1 << FARTHEST_BITS) + 1;
        let price = match roll % (1 << EXPLORING_BITS) {
            0 if self.explores_below => level.down(steps).cpm_micros().min(target),
            1 if self.explores_above => level.up(steps).cpm_micros().max(target),
            _ => target,
        };
        price.min(value_cpm_micros)
    }

    fn target_cpm_micros(&self, value_cpm_micros: i64) -> i64 {
        let prior = PriceTable::prior(value_cpm_micros);
        let (Some(first), Some(last)) = (self.targets.first(), self.targets.last()) else {
            return prior;
        };
        let value = PriceLevel::at_or_below(value_cpm_micros).position();
        match value.checked_sub(self.first_value.position()) {
            Some(at) => self.targets.get(at).unwrap_or(last).cpm_micros(),
            None => prior.min(first.cpm_micros()),
        }
    }
}

/// How many bids left at each level of price since they were last taken.
#[derive(Debug)]
pub struct BidsByLevel([AtomicU32; PriceLevel::COUNT]);

impl Default for BidsByLevel {
    fn default() -> Self {
        Self([const { AtomicU32::new(0) }; PriceLevel::COUNT])
    }
}

impl BidsByLevel {
    pub fn count(&self, price_cpm_micros: i64) {
        self.0[PriceLevel::at_or_below(price_cpm_micros).position()].fetch_add(1, Ordering::Relaxed);
    }

    /// Gives each level with bids, and sets it back to none.
    pub fn take(&self, mut give: impl FnMut(PriceLevel, u32)) {
        for (position, bids) in self.0.iter().enumerate() {
            if bids.load(Ordering::Relaxed) > 0
                && let Some(level) = PriceLevel::at(position)
            {
                give(level, bids.swap(0, Ordering::Relaxed));
            }
        }
    }
}

/// Whether this bid explores, and how far: of the opportunity, and nothing to do with who won it.
pub(crate) fn roll(offer_hash: u64) -> u64 {
    mix(offer_hash, 0x7072_6963_6573)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn level(cpm_micros: i64) -> PriceLevel {
        PriceLevel::at_or_below(cpm_micros)
    }

    fn table(first_value: i64, mut targets: Vec<i64>, explores: bool) -> PriceTable {
        targets.sort_unstable();
        PriceTable::new(vec![MarketPrices {
            market: Market(1),
            first_value: level(first_value),
            targets: targets.into_iter().map(level).collect(),
            explores_below: explores,
            explores_above: explores,
            chances: Arc::default(),
            known: Default::default(),
            bids: Arc::default(),
        }])
    }

    #[test]
    fn an_unknown_market_is_bid_nine_tenths_of_the_value() {
        assert_eq!(
            PriceTable::default().price_cpm_micros(Market(7), 2_000_000, 0),
            1_800_000
        );
    }

    #[test]
    fn one_bid_in_sixteen_goes_below_and_one_above() {
        let target = level(1_000_000).cpm_micros();
        let table = table(2_000_000, vec![1_000_000; 40], true);
        let prices: Vec<i64> = (0..4_096)
            .map(|at| table.price_cpm_micros(Market(1), 4_000_000, roll(at)))
            .collect();
        for away in [
            prices.iter().filter(|price| **price < target).count(),
            prices.iter().filter(|price| **price > target).count(),
        ] {
            assert!((180..340).contains(&away), "{away} of 4,096");
        }
        assert!(
            prices
                .iter()
                .all(|price| (target * 2 / 3..target * 3 / 2).contains(price))
        );
    }

    #[test]
    fn bids_are_taken_once() {
        let bids = BidsByLevel::default();
        (0..3).for_each(|_| bids.count(1_000_000));
        let taken = |bids: &BidsByLevel| {
            let mut taken = Vec::new();
            bids.take(|level, count| taken.push((level, count)));
            taken
        };
        assert_eq!(taken(&bids), [(level(1_000_000), 3)]);
        assert_eq!(taken(&bids), []);
    }

    proptest! {
        #[test]
        fn a_price_is_at_most_the_value_and_rises_with_it(
            first_value in 1..1_i64 << 40,
            targets in prop::collection::vec(1..1_i64 << 40, 0..60),
            explores in any::<bool>(),
            values in prop::collection::vec(1..1_i64 << 41, 2..20),
            roll in any::<u64>(),
        ) {
            let table = table(first_value, targets, explores);
            let mut values = values;
            values.sort_unstable();
            let price = |value: &i64| table.price_cpm_micros(Market(1), *value, roll);
            prop_assert!(values.iter().all(|value| price(value) <= *value));
            prop_assert!(values.windows(2).all(|two| price(&two[0]) <= price(&two[1])));
        }
    }
}
