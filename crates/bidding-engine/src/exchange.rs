//! Supply partners: identity and currency rates.

use crate::list::sorted;
use crate::traffic::blocked_node;
use domain::currency::Currency;
use domain::exchange::ExchangeStatus;
use domain::money::RATE_ONE_E9;
use domain::serving::ServingExchange;

/// One supply partner as the engine sees it.
#[derive(Debug)]
pub struct ExchangeState {
    serving: ServingExchange,
    /// Of the sellers that its supply policy blocks, sorted.
    blocked_nodes: Box<[u64]>,
}

impl ExchangeState {
    pub(crate) fn new(serving: ServingExchange) -> Self {
        let blocked = &serving.exchange.spec.supply.blocked_nodes;
        Self {
            blocked_nodes: sorted(blocked.iter().map(|node| blocked_node(node))),
            serving,
        }
    }

    /// The record it was made from.
    #[must_use]
    pub fn serving(&self) -> &ServingExchange {
        &self.serving
    }

    pub(crate) fn blocked_nodes(&self) -> &[u64] {
        &self.blocked_nodes
    }

    pub(crate) fn is_active(&self) -> bool {
        self.serving.exchange.spec.status == ExchangeStatus::Active
    }

    /// Units of `to` per unit of `from`, billionths.
    #[inline]
    pub(crate) fn rate_e9(&self, from: Currency, to: Currency) -> Option<i64> {
        if from == to {
            return Some(RATE_ONE_E9);
        }
        self.serving.exchange.spec.rate_e9(from, to)
    }

    /// USD per unit, billionths.
    pub(crate) fn usd_rate_e9(&self, currency: Currency) -> Option<i64> {
        if currency == Currency::USD {
            return Some(RATE_ONE_E9);
        }
        let rates = &self.serving.exchange.spec.usd_rates_e9;
        rates.get(&currency).copied().filter(|rate_e9| *rate_e9 > 0)
    }

    /// The exchange's own currency where the request takes it, else the first of the request's that has
    /// a rate.
    pub(crate) fn bid_currency(&self, allowed: &[&str]) -> Option<Currency> {
        let own = self.serving.exchange.spec.currency;
        let allowed = || allowed.iter().filter_map(|code| currency(code));
        if allowed().any(|currency| currency == own) {
            return Some(own);
        }
        allowed().find(|currency| self.usd_rate_e9(*currency).is_some())
    }

    /// A floor in another currency, rounded up; `None` without a rate. No floor is none in any currency.
    pub(crate) fn convert_floor(&self, floor_micros: i64, from: &str, to: Currency) -> Option<i64> {
        if floor_micros <= 0 {
            return Some(0);
        }
        let from = currency(from)?;
        if from == to {
            return Some(floor_micros);
        }
        scale_up(floor_micros, self.usd_rate_e9(from)?, self.usd_rate_e9(to)?)
    }

    /// At least what anything worth up to `bound_usd_micros` can be worth in `currency`.
    pub(crate) fn bound_in(&self, currency: Currency, bound_usd_micros: i64) -> i64 {
        self.usd_rate_e9(currency)
            .and_then(|rate_e9| scale_up(bound_usd_micros, RATE_ONE_E9, rate_e9))
            .unwrap_or(i64::MAX)
    }
}

/// `amount * numerator / denominator`, rounded up; `None` when it does not fit. `denominator` is above 0.
pub(crate) fn scale_up(amount: i64, numerator: i64, denominator: i64) -> Option<i64> {
    if numerator == denominator {
        return Some(amount);
    }
    let product = i128::from(amount) * i128::from(numerator);
    let denominator = i128::from(denominator);
    i64::try_from(product.div_euclid(denominator) + i128::from(product.rem_euclid(denominator) != 0)).ok()
}

/// Some exchanges write `usd`.
fn currency(code: &str) -> Option<Currency> {
    let mut letters: [u8; 3] = code.as_bytes().try_into().ok()?;
    letters.make_ascii_uppercase();
    std::str::from_utf8(&letters).ok()?.parse().ok()
}
