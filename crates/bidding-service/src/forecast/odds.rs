//! What one bid can be expected to bring, from the chances that were learned of its market.

use bidding_engine::{ExplainedPrice, MarketPrices, PriceLevel, PriceTable};
use domain::money::Terms;
use openrtb::codes::auction_type::SECOND_PRICE;

/// A certainty, in ten-thousandths.
const CERTAIN_E4: i64 = 10_000;

/// Of one bid, in ten-thousandths: the chance to win, and the cost to be expected, which is nothing where it loses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Odds {
    pub(super) win_e4: i64,
    /// Of the campaign's currency, fee included. At the end of 64 bits it stays there.
    pub(super) cost_e4_nanos: i64,
}

/// Neither may fall when the price rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// What outcomes have shown.
    pub(super) low: Odds,
    /// What would follow from them if the curve went on as the learner assumes; without any, every bid wins.
    pub(super) high: Odds,
    /// Something was learned of the market.
    pub(super) is_known: bool,
}

impl Range {
    pub(super) fn of(price: &ExplainedPrice, table: &PriceTable) -> Self {
        let learned = price.market.and_then(|market| table.market(market));
        match learned.filter(|prices| prices.chances.len() == PriceLevel::COUNT) {
            Some(learned) => Self::in_market(price, learned),
            None => Self {
                low: Odds::default(),
                high: Odds {
                    win_e4: CERTAIN_E4,
                    cost_e4_nanos: nanos(price.terms, price.price_cpm_micros.saturating_mul(CERTAIN_E4)),
                },
                is_known: false,
            },
        }
    }

    fn in_market(price: &ExplainedPrice, learned: &MarketPrices) -> Self {
        let (lowest, highest) = learned.known;
        let level = PriceLevel::at_or_below(price.price_cpm_micros);
        let odds = |level: PriceLevel, cheapest: i64| Bid { price, learned }.odds(level, cheapest);
        let low = (level >= lowest).then(|| odds(level.min(highest), 0));
        Self {
            low: low.unwrap_or_default(),
            high: odds(level, level.min(lowest).cpm_micros()),
            is_known: true,
        }
    }
}

struct Bid<'a> {
    price: &'a ExplainedPrice,
    learned: &'a MarketPrices,
}

impl Bid<'_> {
    /// As if the chance did not rise beyond the level. `cheapest`: what is paid where the least that would have won lies at or
    /// below the lowest level that outcomes have told of, so that nobody knows where.
    fn odds(&self, level: PriceLevel, cheapest: i64) -> Odds {
        let chance = self.learned.chances.get(level.position());
        let win_e4 = chance.copied().map_or(0, i64::from);
        let price_e4 = if self.price.auction_type == SECOND_PRICE {
            self.clearing_e4(level, cheapest)
        } else {
            self.price.price_cpm_micros.saturating_mul(win_e4)
        };
        Odds {
            win_e4,
            cost_e4_nanos: nanos(self.price.terms, price_e4),
        }
    }

    /// By level the chance that it is the least that would have won, times that price: no less than the floor, which the
    /// winner pays where no rival does more, and no more than the bid.
    fn clearing_e4(&self, level: PriceLevel, cheapest: i64) -> i64 {
        let (bid, floor) = (
            self.price.price_cpm_micros,
            self.price.floor_cpm_micros.unwrap_or(0),
        );
        let lowest = self.learned.known.0.position().min(level.position());
        let chances = &self.learned.chances;
        let mut below = 0;
        let mut sum: i64 = 0;
        for position in lowest..=level.position().min(chances.len() - 1) {
            let least = match PriceLevel::at(position) {
                Some(level) if position > lowest => level.cpm_micros(),
                _ => cheapest,
            };
            let share = i64::from(chances[position].saturating_sub(below));
            below = chances[position].max(below);
            sum = sum.saturating_add(share.saturating_mul(least.max(floor).min(bid)));
        }
        sum
    }
}

fn nanos(terms: Terms, price_e4_cpm_micros: i64) -> i64 {
    terms
        .charge(price_e4_cpm_micros, i64::MAX)
        .map_or(i64::MAX, |charge| charge.charge_nanos)
}
