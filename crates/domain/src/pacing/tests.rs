use super::*;
use crate::period::{Day, FlightSpan, Limits};
use proptest::prelude::*;

const HOUR_MS: i64 = 3_600_000;
const DAY_SECONDS: i64 = 86_400;

fn day(hours: i64) -> Day {
    Day {
        date: "2026-03-29".to_owned(),
        start_ms: 0,
        end_ms: hours * HOUR_MS,
    }
}

fn flight(start_ms: i64, end_ms: Option<i64>) -> FlightSpan {
    FlightSpan { start_ms, end_ms }
}

fn limits(daily_nanos: Option<i64>, total_nanos: Option<i64>) -> Limits {
    Limits {
        daily_nanos,
        total_nanos,
    }
}

/// Repeats for one seed.
struct Dice(u64);

impl Dice {
    /// Uniform in `[0, 1)` (xorshift64*).
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        f64::from(u32::try_from(bits >> 21).unwrap()) / f64::from(u32::MAX).next_up()
    }
}

#[test]
fn a_day_of_23_hours_ends_on_its_budget() {
    let plan = DayPlan::of(flight(0, None), &limits(Some(23_000), None), &day(23), 0).unwrap();
    assert_eq!(plan.planned_nanos(HOUR_MS), 1_000);
    assert_eq!(plan.planned_nanos(23 * HOUR_MS), 23_000);
    assert!((plan.nanos_per_second(0) - 1_000.0 / 3_600.0).abs() < 1e-9);
    assert!(plan.nanos_per_second(23 * HOUR_MS) == 0.0);
}

#[test]
fn a_flight_that_starts_at_noon_plans_the_whole_budget_for_the_afternoon() {
    let plan = DayPlan::of(
        flight(12 * HOUR_MS, None),
        &limits(Some(1_200), None),
        &day(24),
        0,
    )
    .unwrap();
    assert_eq!(plan.planned_nanos(12 * HOUR_MS), 0);
    assert_eq!(plan.planned_nanos(18 * HOUR_MS), 600);
}

#[test]
fn without_a_daily_budget_a_day_plans_its_share_of_what_is_left() {
    let four_days = flight(0, Some(96 * HOUR_MS));
    let plan = DayPlan::of(four_days, &limits(None, Some(10_000)), &day(24), 2_000).unwrap();
    assert_eq!(plan.budget_nanos(), 2_000);
}

#[test]
fn of_daily_budget_and_share_of_the_total_the_smaller_is_planned() {
    let four_days = flight(0, Some(96 * HOUR_MS));
    let budget = |daily| {
        DayPlan::of(four_days, &limits(Some(daily), Some(8_000)), &day(24), 0)
            .unwrap()
            .budget_nanos()
    };
    assert_eq!((budget(500), budget(5_000)), (500, 2_000));
}

#[test]
fn a_total_without_an_end_or_a_flight_beyond_the_day_has_no_plan() {
    assert_eq!(
        DayPlan::of(flight(0, None), &limits(None, Some(1)), &day(24), 0),
        None
    );
    let over = flight(-2 * HOUR_MS, Some(-HOUR_MS));
    assert_eq!(DayPlan::of(over, &limits(Some(1), None), &day(24), 0), None);
}

#[test]
fn participation_falls_at_once_and_at_most_doubles_each_second() {
    let mut participation = Participation::default();
    participation.follow(1.0, 1_000);
    assert!((participation.share() - 2.0 * FIRST_PARTICIPATION).abs() < 1e-12);
    participation.follow(1.0, 2_000);
    assert!((participation.share() - 8.0 * FIRST_PARTICIPATION).abs() < 1e-12);
    participation.follow(0.0, 1_000);
    assert!(participation.share() == 0.0);
    participation.follow(f64::NAN, 1_000);
    assert!(participation.share().is_finite());
}

#[test]
fn a_quota_at_full_participation_withholds_nothing() {
    assert_eq!(bid_quota(1.0, 0.0, 0.5), 1);
    assert_eq!(bid_quota(1.0, 100.0, 0.5), 120);
    assert_eq!(bid_quota(0.5, 3.0, 0.6), 2);
    assert_eq!(bid_quota(0.0, 1_000.0, 0.999), 0);
}

/// One campaign's day under the controller: `seen` a second, won with `win_rate`, billed `delay_seconds` later.
struct Market {
    seen: i64,
    win_rate: f64,
    price_nanos: i64,
    delay_seconds: usize,
}

/// What was spent, and the most that spending was ahead of plan at any second.
fn spend_a_day(market: &Market, budget_nanos: i64, seconds: i64, dice: &mut Dice) -> (i64, i64) {
    let day = Day {
        end_ms: seconds * 1_000,
        ..day(0)
    };
    let plan = DayPlan::of(flight(0, None), &limits(Some(budget_nanos), None), &day, 0).unwrap();
    let (mut spent, mut bids, mut ahead) = (0_i64, 0_i64, i64::MIN);
    let mut billed_later = vec![0_i64; market.delay_seconds + 1];
    let (mut value, mut participation) = (BidValue::default(), Participation::default());
    for second in 0..seconds {
        let slot = usize::try_from(second).unwrap() % billed_later.len();
        spent = (spent + std::mem::take(&mut billed_later[slot])).min(budget_nanos);
        ahead = ahead.max(spent - plan.planned_nanos(second * 1_000));
        value.observe(spent, bids);
        let standing = Standing {
            spent_nanos: spent,
            pending_nanos: 0,
            bid_value_nanos: value.nanos(market.price_nanos),
            opportunities_per_second: nanos(market.seen),
        };
        participation.follow(share_on_plan(&plan, second * 1_000, &standing), 1_000);
        let quota = bid_quota(participation.share(), nanos(market.seen), dice.roll()).min(market.seen);
        bids += quota;
        let wins = (0..quota).filter(|_| dice.roll() < market.win_rate).count();
        let due = (slot + market.delay_seconds) % billed_later.len();
        billed_later[due] += i64::try_from(wins).unwrap() * market.price_nanos;
    }
    (spent, ahead)
}

#[test]
fn a_day_follows_its_plan() {
    for seed in 1..=3 {
        let market = Market {
            seen: 40,
            win_rate: 0.2,
            price_nanos: 2_000_000,
            delay_seconds: 6,
        };
        let budget_nanos = 100_000_000_000;
        let (spent, ahead) = spend_a_day(&market, budget_nanos, DAY_SECONDS, &mut Dice(seed));
        assert!(ahead < budget_nanos / 250, "seed {seed}: {ahead} ahead of plan");
        assert!(spent > budget_nanos / 1_000 * 996, "seed {seed}: {spent} spent");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn spending_is_never_ahead_of_plan_by_more_than_two_minutes_of_it_and_some_bids(
        seed in 1..u64::MAX, seen in 1..200_i64, win_rate in 0.01..1.0_f64, price_nanos in 1_000..10_000_000_i64,
        bids_in_budget in 1..20_000_i64, delay_seconds in 0..10_usize,
    ) {
        let market = Market { seen, win_rate, price_nanos, delay_seconds };
        let (budget_nanos, seconds) = (bids_in_budget * price_nanos, 3_600);
        let (_, ahead) = spend_a_day(&market, budget_nanos, seconds, &mut Dice(seed));
        let bound = budget_nanos * 120 / seconds + 40 * price_nanos;
        prop_assert!(ahead <= bound, "{ahead} ahead, at most {bound}");
    }

    #[test]
    fn a_quota_is_never_negative_and_below_full_participation_never_beyond_its_share(
        share in -1.0..2.0_f64, opportunities in 0.0..1e9_f64, random in 0.0..1.0_f64,
    ) {
        let quota = bid_quota(share, opportunities, random);
        prop_assert!(quota >= 0);
        if share < 1.0 {
            prop_assert!(nanos(quota) <= share.max(0.0) * opportunities.max(1.0) + 1.0);
        }
    }

    #[test]
    fn a_plan_never_falls_and_ends_on_its_budget(
        budget in 0..i64::MAX, hours in 1..26_i64, earlier in 0..100_000_000_i64, later in 0..100_000_000_i64,
    ) {
        let plan = DayPlan::of(flight(0, None), &limits(Some(budget), None), &day(hours), 0).unwrap();
        let (earlier, later) = (earlier.min(later), earlier.max(later));
        prop_assert!(plan.planned_nanos(earlier) <= plan.planned_nanos(later));
        prop_assert_eq!(plan.planned_nanos(hours * HOUR_MS), budget);
    }

    #[test]
    fn a_share_is_between_nothing_and_all(
        spent in any::<i64>(), pending in 0..i64::MAX, value in 1.0..1e18_f64, seen in 0.0..1e9_f64, now in any::<i64>(),
    ) {
        let plan = DayPlan::of(flight(0, None), &limits(Some(1_000_000), None), &day(24), 0).unwrap();
        let standing = Standing {
            spent_nanos: spent, pending_nanos: pending, bid_value_nanos: value, opportunities_per_second: seen,
        };
        prop_assert!((0.0..=1.0).contains(&share_on_plan(&plan, now, &standing)));
    }
}

#[test]
fn a_ledger_that_lost_count_of_the_days_bids_does_not_make_them_dear() {
    const PRICE_NANOS: i64 = 1_000;
    let mut value = BidValue::default();
    value.observe(400 * PRICE_NANOS, 3_000);
    let learned = value.nanos(PRICE_NANOS);
    value.observe(400 * PRICE_NANOS, 10);
    value.observe(401 * PRICE_NANOS, 20);
    assert!((value.nanos(PRICE_NANOS) - learned).abs() < 1.0, "{value:?}");

    let mut started_afterwards = BidValue::default();
    started_afterwards.observe(400 * PRICE_NANOS, 10);
    assert_eq!(started_afterwards.nanos(PRICE_NANOS), 1_000.0);
}
