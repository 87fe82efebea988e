//! How many bids one campaign gets until its next renewal, and what that takes of the budget.

use bidding_engine::{CampaignRecord, Now};
use domain::campaign::Pacing;
use domain::money::Terms;
use domain::pacing::{BidValue, DayPlan, Participation, PriceLift, Rate, Standing, bid_quota, need_on_plan};
use domain::period::Day;
use storage::spend_ledger::{AccountBalance, Grant};

const SMOOTHED_OVER_MS: i64 = 5_000;
/// Budget is plentiful while this many bids of every bidder would find it.
const PLENTIFUL_BIDS: i64 = 20;
/// With plenty, bids are leased for this long ahead, so that a burst finds money.
const HEADROOM_SECONDS: i64 = 3;

#[derive(Debug)]
pub(super) struct Pacer {
    /// Opportunities a second that this bidder sees, and all together.
    own: Rate,
    all: Rate,
    value: BidValue,
    participation: Participation,
    lift: PriceLift,
    stepped_ms: Option<i64>,
    learned: Option<Box<Learned>>,
    largest_asked_nanos: i64,
}

/// The ledger's last word.
#[derive(Debug)]
struct Learned {
    at_ms: i64,
    grant: Grant,
}

impl Pacer {
    pub(super) fn new() -> Self {
        Self {
            own: Rate::smoothed_over(SMOOTHED_OVER_MS),
            all: Rate::smoothed_over(SMOOTHED_OVER_MS),
            value: BidValue::default(),
            participation: Participation::default(),
            lift: PriceLift::default(),
            stepped_ms: None,
            learned: None,
            largest_asked_nanos: 0,
        }
    }

    /// What this bidder saw since it was last asked. The dearest bid is forgotten slowly.
    pub(super) fn observe(&mut self, opportunities: i64, largest_asked_nanos: i64, elapsed_ms: i64) {
        self.own.observe(opportunities, elapsed_ms);
        self.largest_asked_nanos = largest_asked_nanos.max(self.largest_asked_nanos / 8 * 7);
    }

    pub(super) fn learn(&mut self, grant: &Grant, now_ms: i64) {
        self.value.observe(grant.day.spent_nanos, grant.bids);
        if let Some(last) = self.learned.as_ref().filter(|last| last.grant.date == grant.date) {
            let opportunities = grant.opportunities.saturating_sub(last.grant.opportunities);
            self.all.observe(opportunities, now_ms - last.at_ms);
        }
        self.learned = Some(Box::new(Learned {
            at_ms: now_ms,
            grant: grant.clone(),
        }));
    }

    pub(super) fn pending_nanos(&self) -> i64 {
        let learned = self.learned.as_ref();
        learned.map_or(0, |learned| learned.grant.day.pending_nanos)
    }

    /// Of a campaign that paces evenly: what its day was to have spent by now, and what it has, by the ledger's last word.
    pub(super) fn plan_and_spent(
        &self,
        campaign: &CampaignRecord,
        day: &Day,
        now: Now,
    ) -> Option<(i64, i64)> {
        if campaign.pacing != Pacing::Even {
            return None;
        }
        let (plan, on_day) = self.plan(campaign, day)?;
        Some((plan?.planned_nanos(now.unix_ms), on_day.spent_nanos))
    }

    /// The full price of a bid, nanos; positive.
    pub(super) fn bid_nanos(&self, campaign: &CampaignRecord) -> i64 {
        let terms = Terms {
            fee_ppm: campaign.fee_ppm,
            ..Terms::default()
        };
        terms
            .reservation_nanos(campaign.max_cpm_micros)
            .unwrap_or(i64::MAX / 1_000)
            .max(self.largest_asked_nanos)
            .max(1)
    }

    /// `K` for the next second.
    pub(super) fn quota(&mut self, campaign: &CampaignRecord, day: &Day, now: Now, random: f64) -> i64 {
        let elapsed_ms = self.stepped_ms.map_or(0, |last| now.monotonic_ms - last);
        self.stepped_ms = Some(now.monotonic_ms);
        // Before the ledger's first word nothing is known of the day: stay small.
        let need = self.need(campaign, day, now);
        let share = match (campaign.pacing, need) {
            (Pacing::Asap, _) => 1.0,
            (Pacing::Even, Some(need)) => {
                self.participation.follow(need.clamp(0.0, 1.0), elapsed_ms);
                self.participation.share()
            }
            (Pacing::Even, None) => self.participation.share(),
        };
        if let Some(need) = need {
            self.lift.follow(need, share >= 1.0, elapsed_ms);
        }
        bid_quota(share, self.own.per_second(), random)
    }

    /// How far a first-price bid goes from the learned price to the campaign's maximum.
    pub(super) fn price_lift_ppm(&self) -> i64 {
        self.lift.ppm()
    }

    /// Whether a campaign at rest may take the next opportunity that comes.
    pub(super) fn may_bid_once(&self, campaign: &CampaignRecord, day: &Day, now: Now) -> bool {
        campaign.pacing == Pacing::Asap || self.need(campaign, day, now).is_none_or(|need| need > 0.0)
    }

    /// How much of what is offered the day needs; of a campaign that is to spend as soon as it can, to be where an even
    /// one would be: it pays more only where even that is out of reach.
    fn need(&self, campaign: &CampaignRecord, day: &Day, now: Now) -> Option<f64> {
        let (plan, on_day) = self.plan(campaign, day)?;
        let Some(plan) = plan else { return Some(1.0) };
        let standing = Standing {
            spent_nanos: on_day.spent_nanos,
            pending_nanos: on_day.pending_nanos,
            bid_value_nanos: self.value.nanos(self.bid_nanos(campaign)),
            opportunities_per_second: self.all.per_second().max(self.own.per_second()),
        };
        Some(need_on_plan(&plan, now.unix_ms, &standing))
    }

    /// The plan of the day, where there is one, and the ledger's account of it.
    fn plan(&self, campaign: &CampaignRecord, day: &Day) -> Option<(Option<DayPlan>, AccountBalance)> {
        let grant = &self.learned.as_ref()?.grant;
        let on_day = if grant.date == day.date {
            grant.day
        } else {
            AccountBalance::default()
        };
        let spent_before_nanos = grant.lifetime.spent_nanos.saturating_sub(on_day.spent_nanos);
        Some((
            DayPlan::of(campaign.flight, &campaign.limits, day, spent_before_nanos),
            on_day,
        ))
    }

    /// What to hold beyond what is open, for `quota` bids: [least, most]. Between them the lease is left as it is.
    ///
    /// Where budget is scarce both are the quota's worth: the coin has been tossed, and what it does not need
    /// goes back at once.
    pub(super) fn extra_nanos(&self, campaign: &CampaignRecord, quota: i64, is_resting: bool) -> (i64, i64) {
        let bid_nanos = self.bid_nanos(campaign);
        let Some(learned) = &self.learned else {
            let first = quota.max(1).saturating_mul(bid_nanos);
            return (first, first);
        };
        let spare_nanos = learned.grant.free_nanos.saturating_sub(reserve_nanos(campaign));
        let scarce_nanos = PLENTIFUL_BIDS
            .saturating_mul(i64::from(learned.grant.bidders.max(1)))
            .saturating_mul(bid_nanos);
        let is_plentiful = spare_nanos > scarce_nanos;
        if is_resting {
            let one = if is_plentiful { quota.min(1) * bid_nanos } else { 0 };
            return (one, one);
        }
        let least = quota.saturating_mul(bid_nanos);
        if !is_plentiful {
            return (least, least);
        }
        let shares = scarce_nanos / bid_nanos;
        let headroom_bids =
            (HEADROOM_SECONDS.saturating_mul(quota)).clamp(1, spare_nanos / shares / bid_nanos);
        (
            least,
            least.saturating_add(headroom_bids.saturating_mul(bid_nanos)),
        )
    }

    /// The ledger has given out more than the limits now allow.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.learned
            .as_ref()
            .is_some_and(|learned| learned.grant.free_nanos < 0)
    }
}

/// The share of the budget that is left to billings nobody holds a lease for.
fn reserve_nanos(campaign: &CampaignRecord) -> i64 {
    let limits = [campaign.limits.daily_nanos, campaign.limits.total_nanos];
    let Some(limit) = limits.into_iter().flatten().min() else {
        return 0;
    };
    let reserve = i128::from(limit) * i128::from(campaign.reserve_ppm.clamp(0, 1_000_000));
    i64::try_from(reserve / 1_000_000).unwrap_or(i64::MAX)
}
