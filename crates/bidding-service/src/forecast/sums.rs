//! The figures of a forecast, summed over samples.

use super::odds::Range;
use bidding_engine::{CreativeFailures, Explanation, ImpExplanation, NoBidReason, PriceTable};
use domain::currency::Currency;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DAY_MS: u64 = 86_400_000;
/// Chances are in ten-thousandths.
const E4: u128 = 10_000;
/// Nanos of ten-thousandths in a micro.
const E4_NANOS_PER_MICRO: u128 = E4 * 1_000;

/// Each sample counts as often as the requests it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) sampled_requests: u64,
    pub(super) requests: u64,
    pub(super) imps: u64,
    /// Imps at which everything holds but what depends on the price.
    pub(super) opportunities: u64,
    /// The other imps, by the condition at which the draft drops out.
    pub(super) lost: BTreeMap<NoBidReason, u64>,
    pub(super) at_maxima: Vec<AtMaximum>,
}

/// At one maximum CPM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AtMaximum {
    /// Opportunities at which the price holds too.
    pub(super) eligible: u64,
    /// Eligible ones of which it is not known how likely they are won.
    pub(super) unknown: u64,
    pub(super) low: Expected,
    pub(super) high: Expected,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) wins_e4: u128,
    pub(super) spend_e4_nanos: u128,
}

/// Which imps of a request are opportunities, and how many requests it stands for.
#[derive(Debug)]
pub(super) struct Chances {
    weight: u64,
    imps: Vec<usize>,
}

impl Chances {
    pub(super) fn is_empty(&self) -> bool {
        self.imps.is_empty()
    }
}

/// What an answer says besides the sums.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) currency: Currency,
    pub(super) max_cpms_micros: Vec<i64>,
    pub(super) span_ms: u64,
}

impl Sums {
    pub(super) fn of(maxima: usize) -> Self {
        Self {
            at_maxima: vec![AtMaximum::default(); maxima],
            ..Self::default()
        }
    }

    /// A request with so many imps, and what a draft at whatever price makes of it.
    pub(super) fn request(&mut self, weight: u64, imps: usize, explanation: &Explanation) -> Chances {
        let of_imps = |imps: usize| weight.saturating_mul(u64::try_from(imps).unwrap_or(u64::MAX));
        self.sampled_requests += 1;
        add(&mut self.requests, weight);
        add(&mut self.imps, of_imps(imps));
        let mut chances = Chances {
            weight,
            imps: Vec::new(),
        };
        if let Some(reason) = explanation.request {
            add(self.lost.entry(reason).or_default(), of_imps(imps));
        }
        for (at, imp) in explanation.imps.iter().enumerate() {
            match lost_at(imp) {
                None => {
                    add(&mut self.opportunities, weight);
                    chances.imps.push(at);
                }
                Some(reason) => add(self.lost.entry(reason).or_default(), weight),
            }
        }
        chances
    }

    /// The same request at the maximum in this position.
    pub(super) fn maximum(
        &mut self,
        at: usize,
        chances: &Chances,
        explanation: &Explanation,
        table: &PriceTable,
    ) {
        let Some(sums) = self.at_maxima.get_mut(at) else {
            return;
        };
        let imps = chances.imps.iter().filter_map(|at| explanation.imps.get(*at));
        for bids in imps.map(|imp| bids(imp, table)).filter(|bids| !bids.is_empty()) {
            add(&mut sums.eligible, chances.weight);
            if !bids.iter().any(|bid| bid.is_known) {
                add(&mut sums.unknown, chances.weight);
            }
            sums.low.add(chances.weight, bids.iter().map(|bid| bid.low));
            sums.high.add(chances.weight, bids.iter().map(|bid| bid.high));
        }
    }

    /// The answer.
    pub(super) fn told(&self, told: &Told) -> Value {
        let daily = |sum: u64| per_day(sum, told.span_ms);
        let lost = self.lost.iter().map(|(reason, imps)| {
            json!({"reason": reason.as_str(), "imps": imps, "share_ppm": share_ppm(*imps, self.imps)})
        });
        let at_maxima = told.max_cpms_micros.iter().zip(&self.at_maxima);
        json!({
            "currency": told.currency.as_str(),
            "span_ms": told.span_ms,
            "sampled_requests": self.sampled_requests,
            "requests": self.requests,
            "imps": self.imps,
            "opportunities": self.opportunities,
            "lost": lost.collect::<Vec<_>>(),
            "per_day": {
                "requests": daily(self.requests),
                "imps": daily(self.imps),
                "opportunities": daily(self.opportunities),
            },
            "by_max_cpm": at_maxima.map(|(maximum, sums)| sums.told(*maximum, told.span_ms)).collect::<Vec<_>>(),
        })
    }
}

impl AtMaximum {
    fn told(&self, max_cpm_micros: i64, span_ms: u64) -> Value {
        let daily = |sum: u64| per_day(sum, span_ms);
        let (low, high) = (self.low, self.high);
        json!({
            "max_cpm_micros": max_cpm_micros,
            "eligible_imps": self.eligible,
            "unknown_market_imps": self.unknown,
            "wins_low": low.wins(),
            "wins_high": high.wins(),
            "spend_micros_low": low.spend_micros(),
            "spend_micros_high": high.spend_micros(),
            "paid_cpm_micros_low": low.paid_cpm_micros(),
            "paid_cpm_micros_high": high.paid_cpm_micros(),
            "per_day": {
                "eligible_imps": daily(self.eligible),
                "wins_low": daily(low.wins()),
                "wins_high": daily(high.wins()),
                "spend_micros_low": daily(low.spend_micros()),
                "spend_micros_high": daily(high.spend_micros()),
            },
        })
    }
}

impl Expected {
    /// Of several bids on one imp each figure takes the one that brings most, so that it never falls when the price rises.
    fn add(&mut self, weight: u64, bids: impl Iterator<Item = super::odds::Odds> + Clone) {
        let most = |of: i64| u128::try_from(of).unwrap_or(0) * u128::from(weight);
        let win_e4 = bids.clone().map(|odds| odds.win_e4).max();
        let cost_e4_nanos = bids.map(|odds| odds.cost_e4_nanos).max();
        self.wins_e4 = self.wins_e4.saturating_add(most(win_e4.unwrap_or(0)));
        self.spend_e4_nanos = self
            .spend_e4_nanos
            .saturating_add(most(cost_e4_nanos.unwrap_or(0)));
    }

    fn wins(&self) -> u64 {
        bounded(self.wins_e4 / E4)
    }

    fn spend_micros(&self) -> u64 {
        bounded(self.spend_e4_nanos / E4_NANOS_PER_MICRO)
    }

    /// Nanos for one are micros for a thousand.
    fn paid_cpm_micros(&self) -> Option<u64> {
        self.spend_e4_nanos.checked_div(self.wins_e4).map(bounded)
    }
}

/// Each creative in each slot that can bid.
fn bids(imp: &ImpExplanation, table: &PriceTable) -> Vec<Range> {
    if !imp.campaign.is_empty() {
        return Vec::new();
    }
    let bidding = imp.creatives.iter().filter(|of| of.failures.is_empty());
    bidding
        .filter_map(|of| Some(Range::of(of.price.as_ref()?, table)))
        .collect()
}

/// `None`: an opportunity.
fn lost_at(imp: &ImpExplanation) -> Option<NoBidReason> {
    if let Some(first) = imp.campaign.first() {
        return Some(*first);
    }
    let firsts: Option<Vec<NoBidReason>> = imp.creatives.iter().map(first_but_price).collect();
    // Without creatives there is nothing to show, which a condition of the campaign has said.
    firsts.map(|firsts| firsts.into_iter().max().unwrap_or(NoBidReason::Format))
}

fn first_but_price(of: &CreativeFailures) -> Option<NoBidReason> {
    let mut others = of
        .failures
        .iter()
        .filter(|reason| !matches!(reason, NoBidReason::Floor | NoBidReason::Price));
    others.next().copied()
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

fn bounded(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}

fn share_ppm(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 1_000_000)
        .checked_div(u128::from(whole))
        .map_or(0, bounded)
}

/// As if all days were as the time that was sampled.
fn per_day(sum: u64, span_ms: u64) -> u64 {
    (u128::from(sum) * u128::from(DAY_MS))
        .checked_div(u128::from(span_ms))
        .map_or(0, bounded)
}
