use super::*;
use proptest::prelude::*;
use storage::spend_ledger::AccountBalance;

const MICRO: i64 = 1_000;
/// 2026-10-25T00:00:00+02:00, where Berlin's day has 25 hours.
const MIDNIGHT_MS: i64 = 1_792_879_200_000;
const HOUR_MS: i64 = 3_600_000;

fn campaign(daily_micros: Option<i64>, total_micros: Option<i64>) -> Campaign {
    let spec = serde_json::json!({
        "advertiser_id": "adv_1", "name": "autumn", "status": "active",
        "flight": {"start": "2026-01-01T00:00:00Z", "time_zone": "Europe/Berlin"},
        "budget": {"currency": "EUR", "daily_micros": daily_micros, "total_micros": total_micros},
        "bid": {"max_cpm_micros": 1_000_000},
    });
    Campaign {
        id: "cmp_1".into(),
        spec: serde_json::from_value(spec).unwrap(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn balance(date: Option<&str>, spent_micros: i64) -> Balance {
    Balance {
        campaign_id: "cmp_1".into(),
        day: date.map(|date| Day {
            date: date.to_owned(),
            start_ms: 0,
            end_ms: 1,
        }),
        account: AccountBalance {
            limit_nanos: Some(2_500 * MICRO),
            spent_nanos: spent_micros * MICRO,
            pending_nanos: 1_499,
            leased_nanos: 1_500,
        },
        over_delivery_nanos: 0,
        settled_bids: 7,
    }
}

#[test]
fn a_day_of_25_hours_is_planned_and_forecast_over_its_real_seconds() {
    let balances = [
        balance(None, 900),
        balance(Some("2026-10-24"), 600),
        balance(Some("2026-10-25"), 300),
    ];
    let delivery = delivery(&campaign(Some(2_500), None), &balances, MIDNIGHT_MS + 5 * HOUR_MS);
    let today = delivery.today.unwrap();
    assert_eq!(
        (today.start.as_str(), today.end.as_str()),
        ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")
    );
    assert_eq!(
        (today.plan_micros, today.planned_so_far_micros),
        (Some(2_500), Some(500))
    );
    assert_eq!((today.account.spent_micros, today.forecast_micros), (300, 1_500));
    assert_eq!(
        (today.account.pending_micros, today.account.leased_micros),
        (1, 2)
    );
    assert_eq!(
        (delivery.lifetime.spent_micros, delivery.lifetime.settled_bids),
        (900, 7)
    );
}

#[test]
fn a_campaign_that_never_spent_shows_its_own_limits() {
    let delivery = delivery(&campaign(Some(2_500), Some(9_000)), &[], MIDNIGHT_MS + HOUR_MS);
    let today = delivery.today.unwrap();
    assert_eq!(
        (today.account.limit_micros, today.forecast_micros),
        (Some(2_500), 0)
    );
    assert_eq!(delivery.lifetime.limit_micros, Some(9_000));
}

#[test]
fn a_paused_campaign_is_forecast_to_spend_no_more() {
    let mut campaign = campaign(Some(2_500), None);
    campaign.spec.status = CampaignStatus::Paused;
    let balances = [balance(Some("2026-10-25"), 300)];
    let today = delivery(&campaign, &balances, MIDNIGHT_MS + HOUR_MS)
        .today
        .unwrap();
    assert_eq!(today.forecast_micros, 300);
}

#[test]
fn asap_plans_the_whole_day_at_once_and_no_plan_is_null() {
    let mut asap = campaign(Some(2_500), None);
    asap.spec.pacing = Pacing::Asap;
    let today = delivery(&asap, &[], MIDNIGHT_MS + HOUR_MS).today.unwrap();
    assert_eq!(today.planned_so_far_micros, Some(2_500));
    let endless = campaign(None, Some(9_000));
    let today = delivery(&endless, &[], MIDNIGHT_MS + HOUR_MS).today.unwrap();
    assert_eq!((today.plan_micros, today.planned_so_far_micros), (None, None));
}

proptest! {
    #[test]
    fn a_forecast_is_never_below_the_spend_nor_above_what_the_limits_leave(
        daily in prop::option::of(0..10_000_i64), total in prop::option::of(0..20_000_i64),
        spent_today in 0..10_000_i64, spent_before in 0..10_000_i64, at in 0..25 * HOUR_MS,
    ) {
        let balances = [balance(None, spent_before + spent_today), balance(Some("2026-10-25"), spent_today)];
        let today = delivery(&campaign(daily, total), &balances, MIDNIGHT_MS + at).today.unwrap();
        prop_assert!(today.forecast_micros >= spent_today);
        let most = daily.unwrap_or(i64::MAX).min(total.map_or(i64::MAX, |total| total - spent_before));
        prop_assert!(today.forecast_micros <= most.max(spent_today));
    }
}
