//! A day of a paced campaign in a first-price market that drifts: shading must not cost it its delivery.

use super::pacer::Pacer;
use super::tests::{START_MS, campaign, changed};
use crate::shading::{Fate, Learner, Notice};
use crate::testing::compiled;
use bidding_engine::{CompiledCampaign, Market, Now, PriceTable};
use domain::campaign::Pacing;
use domain::id::{BidId, CampaignId};
use domain::period::{Day, Limits};
use std::sync::Arc;
use storage::spend_ledger::{AccountBalance, Grant};

const SECONDS: i64 = 1_800;
const VALUE: i64 = 3_000_000;
const MARKET: Market = Market(1);

/// What each second offers: prices to beat.
fn day_of_auctions(seed: u64) -> Vec<Vec<i64>> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let auctions_at = |second: i64| {
        let wave = 1.0 + 0.4 * (second as f64 / 900.0 * std::f64::consts::TAU).sin();
        (0..dice.usize(6..15))
            .map(|_| {
                let spread: f64 = (0..12).map(|_| dice.f64()).sum::<f64>() - 6.0;
                (1.8 * wave * (0.3 * spread).exp() * 1_000_000.0) as i64
            })
            .collect()
    };
    (0..SECONDS).map(auctions_at).collect()
}

#[derive(Debug, Default, PartialEq)]
struct Delivery {
    impressions: i64,
    spent_nanos: i64,
}

/// One bidder, its budget in the ledger's words, its prices.
struct Campaign {
    compiled: Arc<CompiledCampaign>,
    day: Day,
    pacer: Pacer,
    delivery: Delivery,
    opportunities: i64,
    bids: i64,
}

impl Campaign {
    fn new(budget_nanos: i64, pacing: Pacing) -> Self {
        let serving = changed(&campaign(1), |serving| {
            serving.campaign.spec.pacing = pacing;
            serving.campaign.spec.bid.max_cpm_micros = VALUE;
            serving.limits = Limits {
                daily_nanos: Some(budget_nanos),
                total_nanos: None,
            };
        });
        Self {
            compiled: compiled(&serving),
            day: Day {
                date: "2026-09-21".to_owned(),
                start_ms: START_MS,
                end_ms: START_MS + SECONDS * 1_000,
            },
            pacer: Pacer::new(),
            delivery: Delivery::default(),
            opportunities: 0,
            bids: 0,
        }
    }

    fn left_nanos(&self) -> i64 {
        self.compiled.record().limits.daily_nanos.unwrap() - self.delivery.spent_nanos
    }

    /// One heartbeat: what the last second came to, and how many bids the next one gets.
    fn renew(&mut self, second: i64, opportunities: i64, random: f64) -> i64 {
        let now = Now {
            unix_ms: START_MS + second * 1_000,
            monotonic_ms: second * 1_000,
        };
        self.opportunities += opportunities;
        self.pacer.observe(opportunities, VALUE, 1_000);
        let balance = AccountBalance {
            limit_nanos: self.compiled.record().limits.daily_nanos,
            spent_nanos: self.delivery.spent_nanos,
            ..AccountBalance::default()
        };
        let grant = Grant {
            campaign_id: CampaignId("cmp_1".to_owned()),
            date: self.day.date.clone(),
            leased_nanos: 0,
            sequence: second,
            free_nanos: self.left_nanos(),
            day: balance,
            lifetime: balance,
            bidders: 1,
            opportunities: self.opportunities,
            bids: self.bids,
        };
        self.pacer.learn(&grant, now.monotonic_ms);
        self.pacer.quota(self.compiled.record(), &self.day, now, random)
    }
}

/// `shades`: else it bids the value.
fn deliver(auctions: &[Vec<i64>], budget_nanos: i64, pacing: Pacing, shades: bool) -> Delivery {
    let mut campaign = Campaign::new(budget_nanos, pacing);
    let mut dice = fastrand::Rng::with_seed(7);
    let mut learner = Learner::default();
    learner.meet(MARKET);
    let mut table = PriceTable::default();
    let mut offered = 0;
    for (second, auctions) in (0..).zip(auctions) {
        let quota = campaign.renew(second, offered, dice.f64());
        let lift_ppm = campaign.pacer.price_lift_ppm();
        offered = i64::try_from(auctions.len()).unwrap();
        for to_beat in auctions.iter().take(usize::try_from(quota).unwrap()) {
            let learned = table.price_cpm_micros(MARKET, VALUE, dice.u64(..));
            let lifted = learned + (VALUE - learned) * lift_ppm / 1_000_000;
            let price = if shades { lifted } else { VALUE };
            if price > campaign.left_nanos() {
                continue;
            }
            campaign.bids += 1;
            let has_won = price >= *to_beat;
            if has_won {
                campaign.delivery.impressions += 1;
                campaign.delivery.spent_nanos += price;
            }
            if let Some(prices) = table.market(MARKET) {
                prices.bids.count(price);
            }
            if !shades {
                continue;
            }
            learner.notice(&Notice {
                bid_id: BidId(u128::from(dice.u64(..))),
                market: MARKET,
                price_cpm_micros: price,
                fate: if has_won { Fate::Won } else { Fate::Lost },
                minimum_cpm_micros: None,
                is_own: true,
            });
        }
        if shades && second % 2 == 0 {
            table = learner.step(2.0);
        }
    }
    campaign.delivery
}

#[test]
fn with_budgets_of_any_size_shading_reaches_99_percent_of_what_bidding_the_value_delivers() {
    let auctions = day_of_auctions(1);
    let all = deliver(&auctions, i64::MAX / 4, Pacing::Asap, false);
    for (pacing, percent) in [
        (Pacing::Even, 20),
        (Pacing::Even, 90),
        (Pacing::Even, 150),
        (Pacing::Asap, 150),
    ] {
        let budget_nanos = all.spent_nanos / 100 * percent;
        let of_value = deliver(&auctions, budget_nanos, pacing, false);
        let shaded = deliver(&auctions, budget_nanos, pacing, true);
        assert!(
            shaded.impressions * 100 >= of_value.impressions * 99
                && shaded.spent_nanos * 100 >= of_value.spent_nanos * 99,
            "{pacing:?}, {percent} % of what can be spent: {shaded:?} against {of_value:?}"
        );
    }
}

#[test]
fn a_small_budget_buys_more_impressions_by_shading() {
    let auctions = day_of_auctions(2);
    let all = deliver(&auctions, i64::MAX / 4, Pacing::Asap, false);
    let budget_nanos = all.spent_nanos / 5;
    let of_value = deliver(&auctions, budget_nanos, Pacing::Even, false);
    let shaded = deliver(&auctions, budget_nanos, Pacing::Even, true);
    assert!(
        shaded.impressions * 100 >= of_value.impressions * 115,
        "{shaded:?} against {of_value:?}"
    );
}
