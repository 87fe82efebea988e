//! What is known of one market: how often bids of each level would have won, and what to bid therefore.
//!
//! A bid tells of the level at which it was made; where the exchange says at a win what would have been enough
//! (`${AUCTION_MIN_TO_WIN}`) also of every level below, and where it says so at a loss also of every level above. A level
//! counts only outcomes that it would have learned of either way: counting at another level the wins alone, because only
//! they are told, would make it look better than it is. So each level's share of wins is unbiased, whatever of the two the
//! exchange tells. Losses of which no notice comes are those bids that stay without one.

use super::curve::{Curve, Tally};
use bidding_engine::{BidsByLevel, Market, MarketPrices, PriceLevel};
use std::sync::Arc;

/// Outcomes remembered: what is beyond them is forgotten evenly, so that a busy market follows its drift in a minute.
const REMEMBERED: f64 = 2_000.0;
/// What is not displaced is worth half after this long.
const HALF_LIFE_S: f64 = 1_800.0;
/// A bid without a notice counts as lost after this long on average. A notice that comes later sets it right.
const SILENCE_S: f64 = 5.0;
/// Over about this many outcomes, ...
const SURPRISED_OVER: f64 = 30.0;
/// ... a share of wins that differs by this much from what was expected says that the market has moved: ...
const SURPRISING: f64 = 0.25;
/// ... what is older counts that much less.
const KEPT_AT_A_SURPRISE: f64 = 0.25;
/// A market whose bids have been forgotten to this is forgotten itself.
const FORGOTTEN: f64 = 0.01;

/// What a notice says of a bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Won,
    Lost,
    /// Lost for another reason than its price: it says nothing of the market.
    Void,
}

/// Told by notices with the least that would have won, and without.
#[derive(Debug, Default)]
struct Telling {
    told: f64,
    untold: f64,
}

impl Telling {
    fn count(&mut self, is_told: bool, weight: f64) {
        if is_told {
            self.told += weight;
        } else {
            self.untold += weight;
        }
    }

    fn is_usual(&self) -> bool {
        self.told > self.untold
    }

    fn fade(&mut self, kept: f64) {
        self.told *= kept;
        self.untold *= kept;
    }
}

#[derive(Debug)]
pub(super) struct MarketStats {
    market: Market,
    bids: Arc<BidsByLevel>,
    /// By level: made, and no notice yet. Below zero where more notices came than bids were still waited for.
    open: Vec<f64>,
    /// By level: bids, forgotten like everything else.
    made: Vec<f64>,
    tally: Tally,
    wins: Telling,
    losses: Telling,
    published: MarketPrices,
    is_changed: bool,
    /// Wins less what was expected of them, of late, a bid.
    surprise: f64,
}

impl MarketStats {
    pub(super) fn new(market: Market) -> Self {
        let bids = Arc::<BidsByLevel>::default();
        Self {
            market,
            open: vec![0.0; PriceLevel::COUNT],
            made: vec![0.0; PriceLevel::COUNT],
            tally: Tally::default(),
            wins: Telling::default(),
            losses: Telling::default(),
            published: MarketPrices {
                market,
                first_value: PriceLevel::FIRST,
                targets: Arc::default(),
                explores_below: true,
                explores_above: true,
                chances: Arc::default(),
                known: Default::default(),
                bids: bids.clone(),
            },
            bids,
            is_changed: false,
            surprise: 0.0,
        }
    }

    /// A notice of a bid of this process, which sees `share` of the notices of its bids.
    pub(super) fn notice(&mut self, price_cpm_micros: i64, fate: Fate, minimum: Option<i64>, share: f64) {
        let level = PriceLevel::at_or_below(price_cpm_micros);
        self.open[level.position()] -= 1.0 / share;
        match fate {
            Fate::Won => self.won(
                level,
                minimum.filter(|least| (1..=price_cpm_micros).contains(least)),
            ),
            Fate::Lost => self.lost(level, minimum.filter(|least| *least > price_cpm_micros), 1.0),
            Fate::Void => {}
        }
    }

    fn won(&mut self, level: PriceLevel, minimum: Option<i64>) {
        self.wins.count(minimum.is_some(), 1.0);
        self.outcome(level, 1.0, 1.0);
        let at = level.position();
        let (lowest, highest) = self.told_of(at);
        match minimum {
            Some(least) => {
                let least = PriceLevel::at_or_above(least).unwrap_or(level).min(level);
                self.tally.tried(lowest..=highest, 1.0);
                self.tally.won(least.position().max(lowest)..=highest, 1.0);
            }
            None => {
                self.tally.tried(at..=highest, 1.0);
                self.tally.won(at..=highest, 1.0);
            }
        }
    }

    fn lost(&mut self, level: PriceLevel, minimum: Option<i64>, weight: f64) {
        self.losses.count(minimum.is_some(), weight);
        self.outcome(level, 0.0, weight);
        let at = level.position();
        let (lowest, highest) = self.told_of(at);
        match minimum {
            Some(least) => {
                self.tally.tried(lowest..=highest, weight);
                if let Some(least) = PriceLevel::at_or_above(least) {
                    self.tally.won(least.position().max(at + 1)..=highest, weight);
                }
            }
            None => self.tally.tried(lowest..=at, weight),
        }
    }

    fn outcome(&mut self, level: PriceLevel, won: f64, weight: f64) {
        self.is_changed = true;
        if let Some(chance) = self.published.chances.get(level.position()) {
            let difference = won - f64::from(*chance) / 10_000.0;
            let weight = (weight / SURPRISED_OVER).min(1.0);
            self.surprise += weight * (difference - self.surprise);
        }
    }

    /// The levels at which the outcome of a bid at this one usually comes out.
    fn told_of(&self, at: usize) -> (usize, usize) {
        let lowest = if self.wins.is_usual() { 0 } else { at };
        let highest = if self.losses.is_usual() {
            PriceLevel::COUNT - 1
        } else {
            at
        };
        (lowest, highest)
    }

    /// Time passes: bids are taken, those that stay without a notice are lost, what is old is forgotten.
    pub(super) fn step(&mut self, elapsed_s: f64, share: f64) {
        let (open, made) = (&mut self.open, &mut self.made);
        self.bids.take(|level, count| {
            open[level.position()] += f64::from(count);
            made[level.position()] += f64::from(count);
        });
        let given_up = 1.0 - (-elapsed_s / SILENCE_S).exp();
        for position in 0..PriceLevel::COUNT {
            let silent = self.open[position] * given_up;
            if silent > FORGOTTEN
                && let Some(level) = PriceLevel::at(position)
            {
                self.open[position] -= silent;
                self.lost(level, None, silent * share);
            }
        }
        self.forget(elapsed_s);
    }

    fn forget(&mut self, elapsed_s: f64) {
        let by_time = (-elapsed_s / HALF_LIFE_S).exp2();
        let by_number = REMEMBERED / self.tally.most_tried().max(REMEMBERED);
        let mut kept = by_time.min(by_number);
        if self.surprise.abs() > SURPRISING {
            kept *= KEPT_AT_A_SURPRISE;
            self.surprise = 0.0;
        }
        self.tally.fade(kept);
        self.wins.fade(kept);
        self.losses.fade(kept);
        for of_level in [&mut self.open, &mut self.made] {
            of_level.iter_mut().for_each(|weight| *weight *= by_time);
        }
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.made.iter().sum::<f64>() < FORGOTTEN
    }

    /// What to bid from now on.
    pub(super) fn prices(&mut self) -> MarketPrices {
        if std::mem::take(&mut self.is_changed)
            && let Some(prices) = self.learned()
        {
            self.published = prices;
        }
        self.published.clone()
    }

    fn learned(&self) -> Option<MarketPrices> {
        let is_made = |weight: &f64| *weight > FORGOTTEN;
        let lowest = self.made.iter().position(is_made)?;
        let highest = self.made.iter().rposition(is_made)?;
        let curve = Curve::of(&self.tally)?;
        let (first_value, targets) = curve.targets(lowest, highest);
        Some(MarketPrices {
            market: self.market,
            first_value,
            targets: targets.into(),
            explores_below: !self.wins.is_usual(),
            explores_above: !self.losses.is_usual(),
            chances: curve.chances().into(),
            known: curve.known(),
            bids: self.bids.clone(),
        })
    }
}
