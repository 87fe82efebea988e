//! Outcomes of bids to the table of prices: pure, time is a parameter.
//!
//! For each market (exchange, auction type, currency, format, place, open or deal) the chance to win at each level of price
//! is estimated from what came back, and the bid published that has the highest surplus, (value - bid) x chance: bid shading
//! by win rate estimation and surplus maximisation (Pan et al., AdKDD 2020). One estimate serves campaigns of every value,
//! since what a bid of one tells of the market holds for all (cross-learning: Balseiro et al., NeurIPS 2019).

use super::market::{Fate, MarketStats};
use bidding_engine::{Market, PriceTable};
use domain::id::BidId;
use std::collections::{HashMap, HashSet, VecDeque};

/// About twelve kilobytes each. Bids in further ones are priced as in an unknown market.
const MOST_MARKETS: usize = 1_024;
/// Bids whose notices are not counted twice: a win is told by its notice and by its billing.
const REMEMBERED_BIDS: usize = 100_000;

/// What a notice says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) bid_id: BidId,
    pub(crate) market: Market,
    pub(crate) price_cpm_micros: i64,
    pub(crate) fate: Fate,
    /// The least that would have won; in the currency of the bid, CPM micros.
    pub(crate) minimum_cpm_micros: Option<i64>,
    /// This process made the bid.
    pub(crate) is_own: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Learner {
    markets: HashMap<Market, MarketStats>,
    share: Share,
    noticed: Noticed,
}

impl Learner {
    /// A bid was made there.
    pub(crate) fn meet(&mut self, market: Market) {
        if self.markets.len() < MOST_MARKETS {
            self.markets
                .entry(market)
                .or_insert_with(|| MarketStats::new(market));
        }
    }

    pub(crate) fn notice(&mut self, notice: &Notice) {
        if !self.noticed.is_new(notice.bid_id) {
            return;
        }
        self.share.count(notice.is_own);
        if !notice.is_own {
            return;
        }
        let share = self.share.own();
        if let Some(stats) = self.markets.get_mut(&notice.market) {
            stats.notice(
                notice.price_cpm_micros,
                notice.fate,
                notice.minimum_cpm_micros,
                share,
            );
        }
    }

    /// `elapsed_s` after the last one.
    pub(crate) fn step(&mut self, elapsed_s: f64) -> PriceTable {
        let share = self.share.own();
        for stats in self.markets.values_mut() {
            stats.step(elapsed_s, share);
        }
        let is_full = self.markets.len() >= MOST_MARKETS;
        if is_full {
            self.markets.retain(|_, stats| !stats.is_forgotten());
        }
        PriceTable::new(self.markets.values_mut().map(MarketStats::prices).collect())
    }
}

/// Of the notices that reach this process the share that is about its own bids. With notices and bids spread evenly over
/// replicas that is also the share of the notices of its own bids that reach it, so that it knows how many to wait for.
#[derive(Debug)]
struct Share {
    own: f64,
    all: f64,
}

impl Default for Share {
    fn default() -> Self {
        Self { own: 1.0, all: 1.0 }
    }
}

impl Share {
    const REMEMBERED: f64 = 10_000.0;

    fn count(&mut self, is_own: bool) {
        self.all += 1.0;
        if is_own {
            self.own += 1.0;
        }
        if self.all > Self::REMEMBERED {
            self.own /= 2.0;
            self.all /= 2.0;
        }
    }

    fn own(&self) -> f64 {
        (self.own / self.all).clamp(0.001, 1.0)
    }
}

#[derive(Debug, Default)]
struct Noticed {
    known: HashSet<BidId>,
    oldest_first: VecDeque<BidId>,
}

impl Noticed {
    fn is_new(&mut self, bid_id: BidId) -> bool {
        if !self.known.insert(bid_id) {
            return false;
        }
        self.oldest_first.push_back(bid_id);
        if self.oldest_first.len() > REMEMBERED_BIDS
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
#[path = "market_tests.rs"]
mod market_tests;
