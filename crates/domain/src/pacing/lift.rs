//! How much more than the best price a campaign pays that falls behind its plan.

use super::nanos;

/// From 0, the price of the highest surplus, to 1, the campaign's maximum.
///
/// A learned first-price bid wins less often than the maximum would. Where the plan needs more than every opportunity at the
/// learned price gives, the price rises, the faster the more is missing, until the plan is met or the maximum reached; it
/// falls as the need does. So shading never costs a campaign its delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PriceLift(f64);

impl PriceLift {
    /// From one end to the other, when at least twice of what is offered is needed, or nothing.
    const SECONDS_TO_THE_END: f64 = 20.0;

    #[must_use]
    pub fn ppm(self) -> i64 {
        super::whole((self.0 * 1_000_000.0).round())
    }

    /// `need` is [`super::need_on_plan`]; `is_full`: the campaign takes part in every opportunity.
    pub fn follow(&mut self, need: f64, is_full: bool, elapsed_ms: i64) {
        if need.is_nan() {
            return;
        }
        let seconds = nanos(elapsed_ms.clamp(0, 60_000)) / 1_000.0;
        // Who withholds bids has no need of dearer ones.
        let missing = if is_full {
            need - 1.0
        } else {
            (need - 1.0).min(0.0)
        };
        let step = missing.clamp(-1.0, 1.0) * seconds / Self::SECONDS_TO_THE_END;
        self.0 = (self.0 + step).clamp(0.0, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_campaign_behind_its_plan_pays_more_until_its_maximum_and_less_again_once_it_has_caught_up() {
        let mut lift = PriceLift::default();
        (0..10).for_each(|_| lift.follow(2.0, true, 1_000));
        assert_eq!(lift.ppm(), 500_000);
        (0..20).for_each(|_| lift.follow(9.0, true, 1_000));
        assert_eq!(lift.ppm(), 1_000_000);
        (0..20).for_each(|_| lift.follow(0.0, true, 1_000));
        assert_eq!(lift.ppm(), 0);
    }

    #[test]
    fn who_withholds_bids_pays_no_more_for_them() {
        let mut lift = PriceLift::default();
        lift.follow(3.0, false, 1_000);
        assert_eq!(lift.ppm(), 0);
    }

    proptest! {
        #[test]
        fn a_lift_stays_between_its_ends(steps in prop::collection::vec((any::<f64>(), any::<bool>(), any::<i64>()), 0..50)) {
            let mut lift = PriceLift::default();
            for (need, is_full, elapsed_ms) in steps {
                lift.follow(need, is_full, elapsed_ms);
                prop_assert!((0..=1_000_000).contains(&lift.ppm()));
            }
        }
    }
}
