//! The plan of a day and the controller that follows it (design section 5).
//!
//! The *cap* is the ledger's: what could come to be owed. *Pacing* is about what will be spent: how many of
//! the opportunities a campaign takes part in, so that its spending follows the plan of its day.
//!
//! Each bidder runs this once a second for each of its busy campaigns, on the ledger's state alone: what was
//! spent, and what all bidders saw and bid. A restart therefore loses nothing, and bidders need not know of
//! each other. Ratios and rates are floats; no float ever becomes an amount that is owed.
//!
//! After Smart Pacing (Xu et al., KDD 2015) and LinkedIn's budget pacing (Agarwal et al., KDD 2014).

mod lift;
mod plan;
mod rate;

pub use lift::PriceLift;
pub use plan::DayPlan;
pub use rate::{BidValue, Rate};

/// A gap between plan and spending is closed over this long.
pub const CORRECTION_SECONDS: f64 = 60.0;
/// Where participation begins, after a start and after a standstill.
pub const FIRST_PARTICIPATION: f64 = 1.0 / 64.0;

/// What the ledger says of a campaign's day, and what bidders see of its traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Of the day, nanos.
    pub spent_nanos: i64,
    /// Won and not yet billed, nanos.
    pub pending_nanos: i64,
    /// What a bid comes to on average, nanos; positive.
    pub bid_value_nanos: f64,
    /// Eligible opportunities a second, of all bidders together.
    pub opportunities_per_second: f64,
}

/// The share of opportunities that would keep the day on its plan, `0.0..=1.0`: [`need_on_plan`], as far as there is
/// something to take part in.
#[must_use]
pub fn share_on_plan(plan: &DayPlan, now_ms: i64, standing: &Standing) -> f64 {
    need_on_plan(plan, now_ms, standing).clamp(0.0, 1.0)
}

/// How much of what is offered the plan needs: above 1, more than there is at the prices now bid.
///
/// (plan'(t) + gap / 60 s) / (value of a bid x opportunities a second); 1 while nothing is offered. Wins that wait for their billing count as
/// spent, but no more of them than the plan spends in those 60 s: what an exchange never bills must not slow the day.
#[must_use]
pub fn need_on_plan(plan: &DayPlan, now_ms: i64, standing: &Standing) -> f64 {
    let pace_nanos = plan.nanos_per_second(now_ms);
    let pending_nanos = nanos(standing.pending_nanos).min(pace_nanos * CORRECTION_SECONDS);
    let gap_nanos = nanos(plan.planned_nanos(now_ms)) - nanos(standing.spent_nanos) - pending_nanos;
    let wanted_per_second = pace_nanos + gap_nanos / CORRECTION_SECONDS;
    let offered_per_second = standing.bid_value_nanos * standing.opportunities_per_second;
    if wanted_per_second <= 0.0 {
        0.0
    } else if offered_per_second > 0.0 {
        wanted_per_second / offered_per_second
    } else {
        1.0
    }
}

/// The share of opportunities that a campaign takes part in: falls at once, at most doubles each second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Participation(f64);

impl Default for Participation {
    fn default() -> Self {
        Self(FIRST_PARTICIPATION)
    }
}

impl Participation {
    #[must_use]
    pub fn share(self) -> f64 {
        self.0
    }

    /// One step towards `target`, `elapsed_ms` after the last one.
    pub fn follow(&mut self, target: f64, elapsed_ms: i64) {
        let seconds = nanos(elapsed_ms.clamp(0, 60_000)) / 1_000.0;
        let reachable = self.0.max(FIRST_PARTICIPATION) * seconds.exp2();
        // `max` and `min` of floats drop a NaN, so that no target can poison the state.
        self.0 = target.max(0.0).min(reachable).min(1.0);
    }
}

/// `K`: on how many of the opportunities until the next renewal (a second) one bidder bids, the first it sees.
///
/// `share` is the campaign's participation, `opportunities_per_second` what this bidder sees, `random` uniform in
/// `[0, 1)`. Below full participation a coin rounds the fraction; deciding before anything is leased is what
/// keeps many bidders from each sitting on a small budget's last bid. At full participation two standard
/// deviations of a Poisson stream are added, so that the quota itself withholds nothing.
#[must_use]
pub fn bid_quota(share: f64, opportunities_per_second: f64, random: f64) -> i64 {
    let opportunities = opportunities_per_second.max(0.0);
    let quota = if share < 1.0 {
        (share.max(0.0) * opportunities.max(1.0) + random.clamp(0.0, 1.0)).floor()
    } else {
        (opportunities + 2.0 * opportunities.sqrt()).max(1.0).ceil()
    };
    whole(quota)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate needs no more than 53 bits; no amount is computed from it"
)]
fn nanos(amount: i64) -> f64 {
    amount as f64
}

/// Saturates; NaN is zero.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates from float to integer, which is what is meant"
)]
fn whole(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests;
