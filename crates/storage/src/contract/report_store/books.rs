//! What campaigns have spent by the events of topic `spend`, as of the readers' offsets.

use super::{HOUR_MS, NOW_MS, step};
use crate::event_log::Topic;
use crate::report_store::{Advance, CampaignSpend, Contribution, SettledSpend, SpendPage};
use crate::{ReportStore, StorageError};
use domain::event::SpentTotals;
use domain::id::CampaignId;
use domain::period::Day;
use std::sync::Arc;

const DAY_MS: i64 = 24 * HOUR_MS;

/// Settles one bid on the `day`th day from now.
fn settled(event_id: &str, campaign: &str, day: i64, charge_nanos: i64) -> Contribution {
    Contribution {
        event_id: event_id.to_owned(),
        rows: Vec::new(),
        spend: Some(SettledSpend {
            advertiser_id: "adv_1".into(),
            campaign_id: campaign.into(),
            day: Day {
                date: format!("day {day}"),
                start_ms: NOW_MS + day * DAY_MS,
                end_ms: NOW_MS + (day + 1) * DAY_MS,
            },
            charge_nanos,
            over_delivery_nanos: 1,
        }),
    }
}

fn advance(partition: u32, from_offset: i64, to_offset: i64) -> Advance {
    Advance {
        topic: Topic::Spend,
        partition,
        from_offset,
        to_offset,
    }
}

async fn all(reports: &dyn ReportStore) -> SpendPage {
    reports.spend(None, None, NOW_MS - DAY_MS, 100).await.unwrap()
}

/// Each day's date and spend, then the lifetime's.
fn spent(campaign: &CampaignSpend) -> Vec<(&str, i64)> {
    let days = campaign
        .days
        .iter()
        .map(|of| (of.day.date.as_str(), of.totals.spent_nanos));
    days.chain([("", campaign.lifetime.spent_nanos)]).collect()
}

fn ids(page: &SpendPage) -> Vec<&str> {
    page.campaigns.iter().map(|of| of.campaign_id.as_str()).collect()
}

pub(super) async fn a_sum_of_the_books_that_leaves_64_bits_is_corrupt(reports: Arc<dyn ReportStore>) {
    step(&*reports, &[], &[settled("e1", "c", 0, i64::MAX - 5)])
        .await
        .unwrap();
    // The day's sum is far from it, the lifetime's is not.
    let refused = step(&*reports, &[], &[settled("e2", "c", 1, 6)]).await;
    assert!(matches!(refused, Err(StorageError::Corrupt(_))), "{refused:?}");
    assert_eq!(
        spent(&all(&*reports).await.campaigns[0]),
        [("day 0", i64::MAX - 5), ("", i64::MAX - 5)]
    );
}

pub(super) async fn an_event_is_in_the_books_once(reports: Arc<dyn ReportStore>) {
    let (one, two) = (settled("e1", "c", 0, 5), settled("e2", "c", 1, 7));
    step(&*reports, &[], &[one.clone(), one.clone()]).await.unwrap();
    step(&*reports, &[], &[one, two, settled("e3", "c", 0, 11)])
        .await
        .unwrap();
    let page = all(&*reports).await;
    assert_eq!(page.campaigns.len(), 1);
    let campaign = &page.campaigns[0];
    assert_eq!(campaign.advertiser_id, "adv_1".into());
    assert_eq!(spent(campaign), [("day 0", 16), ("day 1", 7), ("", 23)]);
    assert_eq!(
        campaign.days[0].day,
        Day {
            date: "day 0".to_owned(),
            start_ms: NOW_MS,
            end_ms: NOW_MS + DAY_MS,
        }
    );
    assert_eq!(
        campaign.lifetime,
        SpentTotals {
            spent_nanos: 23,
            over_delivery_nanos: 3,
            settled_bids: 3,
        }
    );
}

pub(super) async fn a_page_says_which_events_it_holds(reports: Arc<dyn ReportStore>) {
    let reports = &*reports;
    assert_eq!(all(reports).await.offsets, []);
    let events = [settled("e1", "c", 0, 5)];
    step(reports, &[advance(3, 0, 4), advance(1, 0, 2)], &events)
        .await
        .unwrap();
    assert_eq!(all(reports).await.offsets, [(1, 2), (3, 4)]);
    let late = [settled("e2", "c", 0, 5)];
    let refused = step(reports, &[advance(3, 4, 6), advance(1, 0, 2)], &late).await;
    assert!(matches!(refused, Err(StorageError::Conflict(_))), "{refused:?}");
    let page = all(reports).await;
    assert_eq!(page.offsets, [(1, 2), (3, 4)]);
    assert_eq!(spent(&page.campaigns[0]), [("day 0", 5), ("", 5)]);
}

pub(super) async fn pages_follow_each_other_and_what_changed_since_a_mark_comes_again(
    reports: Arc<dyn ReportStore>,
) {
    let reports = &*reports;
    for campaign in ["b", "a", "c"] {
        step(reports, &[], &[settled(campaign, campaign, 0, 1)])
            .await
            .unwrap();
    }
    let first = reports.spend(None, None, 0, 2).await.unwrap();
    assert_eq!(ids(&first), ["a", "b"]);
    let after = CampaignId::from("b");
    let second = reports.spend(None, Some(&after), 0, 2).await.unwrap();
    assert_eq!(ids(&second), ["c"]);
    let quiet = reports.spend(Some(second.mark), None, 0, 2).await.unwrap();
    assert_eq!(ids(&quiet), [""; 0]);
    step(reports, &[], &[settled("again", "b", 0, 1)]).await.unwrap();
    step(reports, &[], &[settled("b", "a", 0, 1)]).await.unwrap();
    let changed = reports.spend(Some(second.mark), None, 0, 2).await.unwrap();
    assert_eq!(ids(&changed), ["b"], "a repeat changes nothing");
    let quiet = reports.spend(Some(changed.mark), None, 0, 2).await.unwrap();
    assert_eq!(ids(&quiet), [""; 0]);
}

pub(super) async fn old_days_leave_and_the_lifetime_keeps_them(reports: Arc<dyn ReportStore>) {
    let reports = &*reports;
    let events: Vec<Contribution> = (-3..1)
        .map(|day| settled(&day.to_string(), "c", day, 1 << (day + 3)))
        .collect();
    step(reports, &[], &events).await.unwrap();
    let page = all(reports).await;
    assert_eq!(spent(&page.campaigns[0]), [("day -1", 4), ("day 0", 8), ("", 15)]);
    reports.forget_event_ids(NOW_MS).await.unwrap();
    let page = reports.spend(None, None, 0, 10).await.unwrap();
    assert_eq!(spent(&page.campaigns[0]), [("day -1", 4), ("day 0", 8), ("", 15)]);
}
