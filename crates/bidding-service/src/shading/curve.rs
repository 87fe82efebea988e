//! The chance to win as a function of the bid, and the bid that is worth most by it.

use bidding_engine::PriceLevel;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

/// How often bids of each level would have been tried and won: sums over ranges of levels, kept as their differences, so
/// that an outcome that speaks of hundreds of levels costs as much as one that speaks of one.
#[derive(Debug)]
pub(super) struct Tally {
    tried: Vec<f64>,
    won: Vec<f64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            tried: vec![0.0; PriceLevel::COUNT + 1],
            won: vec![0.0; PriceLevel::COUNT + 1],
        }
    }
}

impl Tally {
    pub(super) fn tried(&mut self, levels: RangeInclusive<usize>, weight: f64) {
        add(&mut self.tried, levels, weight);
    }

    pub(super) fn won(&mut self, levels: RangeInclusive<usize>, weight: f64) {
        add(&mut self.won, levels, weight);
    }

    pub(super) fn most_tried(&self) -> f64 {
        sums(&self.tried).fold(0.0, f64::max)
    }

    pub(super) fn fade(&mut self, kept: f64) {
        for differences in [&mut self.tried, &mut self.won] {
            differences.iter_mut().for_each(|weight| *weight *= kept);
        }
    }
}

fn add(differences: &mut [f64], levels: RangeInclusive<usize>, weight: f64) {
    if levels.start() <= levels.end() {
        differences[*levels.start()] += weight;
        differences[*levels.end() + 1] -= weight;
    }
}

fn sums(differences: &[f64]) -> impl Iterator<Item = f64> {
    differences[..PriceLevel::COUNT]
        .iter()
        .scan(0.0, |sum, difference| {
            *sum += difference;
            Some(*sum)
        })
}

/// Less than this was tried: nothing is known of the level.
const KNOWN: f64 = 0.3;
/// What a level's neighbours say counts like this many outcomes of its own.
const FROM_NEIGHBOURS: f64 = 4.0;
/// Neighbours are up to this many levels away.
const NEIGHBOURS: usize = 6;
/// Beyond what was tried the chance follows a power of the price: below, so that trying lower looks worth it once the
/// chance is high; above as in [`bidding_engine::PriceTable::prior`].
const EXPONENT_BELOW: f64 = 5.0;
const EXPONENT_ABOVE: f64 = 9.0;
/// Values are looked at up to four times the highest bid.
const VALUES_ABOVE: usize = 32;

/// By level the chance that a bid wins, never falling.
#[derive(Debug)]
pub(super) struct Curve {
    chances: Vec<f64>,
    /// The lowest and the highest level of which something is known.
    known: (PriceLevel, PriceLevel),
}

/// Levels of which something is known, as one.
struct Block {
    chance: f64,
    weight: f64,
    levels: Vec<usize>,
}

impl Curve {
    /// `None`: nothing is known. Rising by isotonic regression (pool adjacent violators), which for outcomes that tell only
    /// whether a level was enough is the maximum likelihood estimate (Ayer et al., 1955).
    pub(super) fn of(tally: &Tally) -> Option<Self> {
        let tried: Vec<f64> = sums(&tally.tried).collect();
        let won: Vec<f64> = sums(&tally.won).collect();
        let mut blocks: Vec<Block> = Vec::new();
        for level in (0..PriceLevel::COUNT).filter(|level| tried[*level] >= KNOWN) {
            let mut block = Block {
                chance: smoothed(&tried, &won, level),
                weight: tried[level],
                levels: vec![level],
            };
            while let Some(below) = blocks.pop_if(|below| below.chance > block.chance) {
                block = below.with(block);
            }
            blocks.push(block);
        }
        let known: Vec<(usize, f64)> = blocks
            .iter()
            .flat_map(|block| block.levels.iter().map(|level| (*level, block.chance)))
            .collect();
        let (lowest, highest) = (*known.first()?, *known.last()?);
        // Even where every bid was lost, a higher one may win.
        let least = 0.5 / (tried[highest.0] + 1.0);
        let mut chances = Vec::with_capacity(PriceLevel::COUNT);
        let power = |from: usize, to: usize, exponent: f64| (price(to) / price(from)).powf(exponent);
        chances.extend((0..lowest.0).map(|level| lowest.1 * power(lowest.0, level, EXPONENT_BELOW)));
        for two in known.windows(2) {
            let ((from, low), (to, high)) = (two[0], two[1]);
            let part = |level: usize| count(level - from) / count(to - from);
            chances.extend((from..to).map(|level| low + (high - low) * part(level)));
        }
        let top = highest.1.max(least);
        let above = highest.0..PriceLevel::COUNT;
        chances.extend(above.map(|level| (top * power(highest.0, level, EXPONENT_ABOVE)).min(1.0)));
        let level = |(position, _): (usize, f64)| PriceLevel::at(position).unwrap_or_default();
        Some(Self {
            chances,
            known: (level(lowest), level(highest)),
        })
    }

    /// The lowest and the highest level that outcomes have told of.
    pub(super) fn known(&self) -> (PriceLevel, PriceLevel) {
        self.known
    }

    /// In ten-thousandths.
    pub(super) fn chances(&self) -> Vec<u16> {
        let in_parts = |chance: &f64| (chance.clamp(0.0, 1.0) * 10_000.0).round() as u16;
        self.chances.iter().map(in_parts).collect()
    }

    /// The bid with the highest (value - bid) x chance for each level of value from the returned first one on, where bids
    /// were made from level `lowest` to `highest`. Who values more never bids less: the surplus has increasing differences.
    pub(super) fn targets(&self, lowest: usize, highest: usize) -> (PriceLevel, Vec<PriceLevel>) {
        let last = (highest + VALUES_ABOVE).min(PriceLevel::COUNT - 1);
        let mut best = 0;
        let targets = (lowest..=last).map(|value_level| {
            let value = price(value_level).midpoint(price(value_level + 1));
            let surplus = |level: usize| (value - price(level)) * self.chances[level];
            // Below an eighth of the value nothing is sold that is worth a thought.
            let first = best.max(value_level.saturating_sub(48));
            best = (first..=value_level).fold(first, |best, level| {
                if surplus(level) > surplus(best) {
                    level
                } else {
                    best
                }
            });
            PriceLevel::at(best).unwrap_or(PriceLevel::LAST)
        });
        let targets = targets.collect();
        (PriceLevel::at(lowest).unwrap_or_default(), targets)
    }
}

impl Block {
    fn with(mut self, above: Self) -> Self {
        let weight = self.weight + above.weight;
        self.chance = (self.chance * self.weight + above.chance * above.weight) / weight;
        self.weight = weight;
        self.levels.extend(above.levels);
        self
    }
}

/// The level's own share of wins, and where it was tried seldom that of those around it.
fn smoothed(tried: &[f64], won: &[f64], level: usize) -> f64 {
    let around = level.saturating_sub(NEIGHBOURS)..=(level + NEIGHBOURS).min(PriceLevel::COUNT - 1);
    let (mut of, mut wins) = (0.0, 0.0);
    for neighbour in around {
        let weight = 1.0 / (1.0 + count(neighbour.abs_diff(level)));
        of += weight * tried[neighbour];
        wins += weight * won[neighbour];
    }
    let expected = if of > 0.0 { wins / of } else { 0.0 };
    let chance = (won[level] + FROM_NEIGHBOURS * expected) / (tried[level] + FROM_NEIGHBOURS);
    chance.clamp(0.0, 1.0)
}

fn price(level: usize) -> f64 {
    static PRICES: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let levels = (0..PriceLevel::COUNT).filter_map(PriceLevel::at);
        levels.map(|level| amount(level.cpm_micros())).collect()
    });
    PRICES[level.min(PriceLevel::COUNT - 1)]
}

fn amount(cpm_micros: i64) -> f64 {
    cpm_micros as f64
}

fn count(levels: usize) -> f64 {
    levels as f64
}
