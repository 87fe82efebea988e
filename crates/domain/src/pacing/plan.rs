//! What a day should have spent by each instant.

use super::{nanos, whole};
use crate::period::{Day, FlightSpan, Limits};

/// One campaign's day: `budget_nanos` spread evenly over the real seconds of the day that lie within the
/// flight, so that days of 23 and 25 hours end on their budget like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayPlan {
    start_ms: i64,
    end_ms: i64,
    budget_nanos: i64,
}

impl DayPlan {
    /// `spent_before_nanos` is what the campaign had spent in its life when the day began: with it fixed, the plan
    /// of a day does not move while the day is spent.
    ///
    /// The day's budget is the daily limit, or the day's share, by time, of what is left of the total until the
    /// flight ends, whichever is less. `None` where there is nothing to be even over: the flight does not touch
    /// the day, or it has neither a daily limit nor an end.
    #[must_use]
    pub fn of(flight: FlightSpan, limits: &Limits, day: &Day, spent_before_nanos: i64) -> Option<Self> {
        let start_ms = day.start_ms.max(flight.start_ms);
        let end_ms = flight.end_ms.map_or(day.end_ms, |end_ms| end_ms.min(day.end_ms));
        if end_ms <= start_ms {
            return None;
        }
        let share_of_total = limits.total_nanos.zip(flight.end_ms).map(|(total, flight_end)| {
            let left_nanos = total.saturating_sub(spent_before_nanos).max(0);
            portion(left_nanos, end_ms - start_ms, flight_end - start_ms)
        });
        let budget_nanos = match (limits.daily_nanos, share_of_total) {
            (Some(daily), Some(share)) => daily.min(share),
            (daily, share) => daily.or(share)?,
        };
        Some(Self {
            start_ms,
            end_ms,
            budget_nanos: budget_nanos.max(0),
        })
    }

    #[must_use]
    pub fn budget_nanos(&self) -> i64 {
        self.budget_nanos
    }

    /// plan(t): zero before the day, the day's budget after it.
    #[must_use]
    pub fn planned_nanos(&self, now_ms: i64) -> i64 {
        let elapsed_ms = now_ms.clamp(self.start_ms, self.end_ms) - self.start_ms;
        portion(self.budget_nanos, elapsed_ms, self.end_ms - self.start_ms)
    }

    /// plan'(t): nanos a second, zero outside the day.
    #[must_use]
    pub fn nanos_per_second(&self, now_ms: i64) -> f64 {
        if now_ms < self.start_ms || self.end_ms <= now_ms {
            return 0.0;
        }
        nanos(self.budget_nanos) * 1_000.0 / nanos(self.end_ms - self.start_ms)
    }
}

/// `amount` x `part` / `whole_part`, rounded down; `0 <= part <= whole_part`, so that it always fits.
fn portion(amount: i64, part: i64, whole_part: i64) -> i64 {
    let product = i128::from(amount) * i128::from(part);
    i64::try_from(product / i128::from(whole_part.max(1))).unwrap_or_else(|_| whole(nanos(amount)))
}
