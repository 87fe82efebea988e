//! Laws of [`ReportStore`].
#![expect(clippy::unwrap_used, reason = "test code: a law that fails panics")]

use super::run_laws;
use crate::event_log::Topic;
use crate::report_store::{
    Advance, Applied, CONVERSION_IDS, CONVERSION_IDS_KEPT_MS, Contribution, Dimension, ReportBatch,
    ReportQuery, ReportRow, Totals,
};
use crate::{ReportStore, StorageError};
use domain::event::{Dimensions, QUARTER_MS};
use std::sync::Arc;

mod books;
mod set_aside;

use books::{
    a_page_says_which_events_it_holds, a_sum_of_the_books_that_leaves_64_bits_is_corrupt,
    an_event_is_in_the_books_once, old_days_leave_and_the_lifetime_keeps_them,
    pages_follow_each_other_and_what_changed_since_a_mark_comes_again,
};
use set_aside::the_latest_records_are_kept_with_their_reasons;

/// 2027-01-15T08:00:00Z, the start of a quarter of an hour.
const NOW_MS: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 4 * QUARTER_MS;

pub async fn all<F: AsyncFn() -> Arc<dyn ReportStore>>(fresh: F) {
    run_laws!(fresh;
        an_event_is_applied_once,
        an_offset_that_moved_on_is_a_conflict_and_applies_nothing,
        a_total_that_leaves_64_bits_is_corrupt_and_applies_nothing,
        rollups_add_up_over_any_dimension,
        buckets_are_half_open,
        filters_hold_together,
        rows_are_ordered_and_paged,
        values_beyond_the_bound_count_as_other,
        forgotten_ids_apply_again,
        ids_of_conversions_are_kept_for_another_year,
        old_days_are_forgotten_whole,
        an_event_is_in_the_books_once,
        a_sum_of_the_books_that_leaves_64_bits_is_corrupt,
        a_page_says_which_events_it_holds,
        pages_follow_each_other_and_what_changed_since_a_mark_comes_again,
        old_days_leave_and_the_lifetime_keeps_them,
        the_latest_records_are_kept_with_their_reasons,
    );
}

fn site(campaign: &str, site: &str) -> Dimensions {
    Dimensions {
        advertiser: "adv_1".to_owned(),
        campaign: campaign.to_owned(),
        site_or_bundle: site.to_owned(),
        ..Dimensions::default()
    }
}

fn spend(spend_nanos: i64) -> Totals {
    Totals {
        impressions: 1,
        spend_nanos,
        ..Totals::default()
    }
}

fn event(id: &str, quarter_start_ms: i64, dimensions: Dimensions, totals: Totals) -> Contribution {
    Contribution {
        event_id: id.to_owned(),
        rows: vec![(quarter_start_ms, Arc::new(dimensions), totals)],
        spend: None,
    }
}

fn everything(dimensions: &[Dimension]) -> ReportQuery {
    ReportQuery {
        buckets: vec![(NOW_MS - 48 * HOUR_MS, NOW_MS + 48 * HOUR_MS)],
        dimensions: dimensions.to_vec(),
        filters: Vec::new(),
        offset: 0,
        limit: 10_000,
    }
}

async fn apply(reports: &dyn ReportStore, events: &[Contribution]) -> Applied {
    step(reports, &[], events).await.unwrap()
}

async fn step(
    reports: &dyn ReportStore,
    advances: &[Advance],
    events: &[Contribution],
) -> Result<Applied, StorageError> {
    let batch = ReportBatch {
        advances: advances.to_vec(),
        contributions: events.to_vec(),
        set_aside: Vec::new(),
    };
    reports.apply(Arc::new(batch), NOW_MS).await
}

async fn offset(reports: &dyn ReportStore, topic: Topic, partition: u32) -> i64 {
    reports.offsets(&[(topic, partition)]).await.unwrap()[0]
}

async fn total(reports: &dyn ReportStore) -> Totals {
    let rows = reports.query(&everything(&[])).await.unwrap();
    rows.first().map(|row| row.totals).unwrap_or_default()
}

fn values(rows: &[ReportRow]) -> Vec<Vec<&str>> {
    rows.iter()
        .map(|row| row.values.iter().map(String::as_str).collect())
        .collect()
}

pub async fn an_event_is_applied_once(reports: Arc<dyn ReportStore>) {
    let one = event("e1", NOW_MS, site("c", "s"), spend(5));
    let two = event("e2", NOW_MS, site("c", "s"), spend(7));
    let first = apply(&*reports, &[one.clone(), one.clone()]).await;
    assert_eq!((first.fresh, first.repeated), (1, vec![1]));
    let second = apply(&*reports, &[one, two]).await;
    assert_eq!((second.fresh, second.repeated), (1, vec![0]));
    assert_eq!(total(&*reports).await.spend_nanos, 12);
}

pub async fn an_offset_that_moved_on_is_a_conflict_and_applies_nothing(reports: Arc<dyn ReportStore>) {
    let reports = &*reports;
    let spent = |from_offset, to_offset| Advance {
        topic: Topic::Spend,
        partition: 3,
        from_offset,
        to_offset,
    };
    let won = |from_offset, to_offset| Advance {
        topic: Topic::Wins,
        ..spent(from_offset, to_offset)
    };
    let one = event("e1", NOW_MS, site("c", "s"), spend(5));
    assert_eq!(offset(reports, Topic::Spend, 3).await, 0);
    step(reports, &[spent(0, 10)], &[]).await.unwrap();
    for stale in [spent(0, 10), spent(5, 12), spent(11, 12)] {
        let refused = step(reports, &[won(0, 1), stale], std::slice::from_ref(&one)).await;
        assert!(matches!(refused, Err(StorageError::Conflict(_))), "{refused:?}");
    }
    let unread = step(reports, &[won(4, 5)], &[]).await;
    assert!(matches!(unread, Err(StorageError::Conflict(_))), "{unread:?}");
    let of = [(Topic::Spend, 2), (Topic::Spend, 3), (Topic::Wins, 3)];
    assert_eq!(reports.offsets(&of).await.unwrap(), [0, 10, 0]);
    assert_eq!(total(reports).await, Totals::default());
    step(reports, &[spent(10, 11), won(0, 4)], &[one]).await.unwrap();
    assert_eq!(reports.offsets(&of).await.unwrap(), [0, 11, 4]);
    assert_eq!(total(reports).await.spend_nanos, 5);
}

/// Not a conflict: a reader that took it for one would come again for ever.
pub async fn a_total_that_leaves_64_bits_is_corrupt_and_applies_nothing(reports: Arc<dyn ReportStore>) {
    let of = |id: &str, nanos: i64| event(id, NOW_MS, site("cmp_1", ""), spend(nanos));
    apply(&*reports, &[of("a", i64::MAX - 5)]).await;
    let moves = Advance {
        topic: Topic::Clicks,
        partition: 0,
        from_offset: 0,
        to_offset: 1,
    };
    let too_much = [of("b", 1), of("c", 5)];
    for _ in 0..2 {
        let refused = step(&*reports, std::slice::from_ref(&moves), &too_much).await;
        assert!(matches!(refused, Err(StorageError::Corrupt(_))), "{refused:?}");
    }
    assert_eq!(offset(&*reports, Topic::Clicks, 0).await, 0);
    assert_eq!(total(&*reports).await.spend_nanos, i64::MAX - 5);
    // What fits goes in.
    assert_eq!(step(&*reports, &[moves], &too_much[1..]).await.unwrap().fresh, 1);
    assert_eq!(total(&*reports).await.spend_nanos, i64::MAX);
}

pub async fn rollups_add_up_over_any_dimension(reports: Arc<dyn ReportStore>) {
    let counts = Totals {
        bids: 1,
        wins: 2,
        losses: 3,
        impressions: 4,
        clicks: 5,
        video_starts: 6,
        video_completes: 7,
        conversions: 8,
        conversion_value_micros: 9,
        spend_nanos: 1 << 60,
        media_cost_nanos: 11,
        over_delivery_nanos: 12,
    };
    let later = NOW_MS + QUARTER_MS;
    apply(&*reports, &[event("e1", NOW_MS, site("c1", "s1"), counts)]).await;
    apply(
        &*reports,
        &[
            event("e2", NOW_MS, site("c1", "s1"), spend(1)),
            event("e3", later, site("c2", "s1"), spend(2)),
        ],
    )
    .await;
    let rows = reports
        .query(&everything(&[Dimension::SiteOrBundle]))
        .await
        .unwrap();
    let expected = Totals {
        impressions: 6,
        spend_nanos: (1 << 60) + 3,
        ..counts
    };
    assert_eq!(values(&rows), [["s1"]]);
    assert_eq!(rows[0].totals, expected);
    let rows = reports
        .query(&everything(&[
            Dimension::Campaign,
            Dimension::Advertiser,
            Dimension::Deal,
        ]))
        .await
        .unwrap();
    assert_eq!(values(&rows), [["c1", "adv_1", ""], ["c2", "adv_1", ""]]);
    assert_eq!(rows[1].totals, spend(2));
}

pub async fn buckets_are_half_open(reports: Arc<dyn ReportStore>) {
    let events: Vec<Contribution> = (0..5)
        .map(|n| {
            event(
                &n.to_string(),
                NOW_MS + n * QUARTER_MS,
                site("c", "s"),
                spend(1 << n),
            )
        })
        .collect();
    apply(&*reports, &events).await;
    let query = ReportQuery {
        buckets: vec![
            (NOW_MS - HOUR_MS, NOW_MS),
            (NOW_MS, NOW_MS + 2 * QUARTER_MS),
            (NOW_MS + 3 * QUARTER_MS, NOW_MS + 4 * QUARTER_MS),
        ],
        ..everything(&[])
    };
    let rows = reports.query(&query).await.unwrap();
    let found: Vec<(usize, i64)> = rows
        .iter()
        .map(|row| (row.bucket, row.totals.spend_nanos))
        .collect();
    assert_eq!(found, [(1, 0b00011), (2, 0b01000)]);
}

pub async fn filters_hold_together(reports: Arc<dyn ReportStore>) {
    let quoted = "s'1\"";
    apply(
        &*reports,
        &[
            event("e1", NOW_MS, site("c1", quoted), spend(1)),
            event("e2", NOW_MS, site("c2", quoted), spend(2)),
            event("e3", NOW_MS, site("c3", "s2"), spend(4)),
        ],
    )
    .await;
    let query = ReportQuery {
        filters: vec![
            (Dimension::Campaign, vec!["c2".to_owned(), "c3".to_owned()]),
            (Dimension::SiteOrBundle, vec![quoted.to_owned()]),
        ],
        ..everything(&[Dimension::Campaign])
    };
    let rows = reports.query(&query).await.unwrap();
    assert_eq!(values(&rows), [["c2"]]);
    let nobody = ReportQuery {
        filters: vec![(Dimension::Advertiser, Vec::new())],
        ..query
    };
    assert_eq!(reports.query(&nobody).await.unwrap(), []);
}

pub async fn rows_are_ordered_and_paged(reports: Arc<dyn ReportStore>) {
    let events: Vec<Contribution> = ["b", "a", "c"]
        .iter()
        .map(|campaign| event(campaign, NOW_MS, site(campaign, "s"), spend(1)))
        .collect();
    apply(&*reports, &events).await;
    let mut paged = Vec::new();
    for offset in 0..4 {
        let query = ReportQuery {
            offset,
            limit: 1,
            ..everything(&[Dimension::Campaign])
        };
        paged.extend(reports.query(&query).await.unwrap());
    }
    assert_eq!(values(&paged), [["a"], ["b"], ["c"]]);
}

pub async fn values_beyond_the_bound_count_as_other(reports: Arc<dyn ReportStore>) {
    let rows = |range: std::ops::Range<i64>, campaign: &str, quarter_start_ms: i64| Contribution {
        event_id: format!("{campaign}{range:?}{quarter_start_ms}"),
        rows: range
            .map(|n| {
                (
                    quarter_start_ms,
                    Arc::new(site(campaign, &format!("s{n}"))),
                    spend(1),
                )
            })
            .collect(),
        spend: None,
    };
    let next_day = NOW_MS + 24 * HOUR_MS;
    apply(&*reports, &[rows(0..900, "c1", NOW_MS), rows(0..1, "c2", NOW_MS)]).await;
    apply(&*reports, &[rows(800..1_100, "c1", NOW_MS + QUARTER_MS)]).await;
    apply(
        &*reports,
        &[
            rows(1_050..1_051, "c2", NOW_MS),
            rows(1_050..1_051, "c1", next_day),
        ],
    )
    .await;
    let query = ReportQuery {
        filters: vec![(Dimension::Campaign, vec!["c1".to_owned()])],
        buckets: vec![(NOW_MS, NOW_MS + HOUR_MS), (next_day, next_day + HOUR_MS)],
        ..everything(&[Dimension::SiteOrBundle])
    };
    let found = reports.query(&query).await.unwrap();
    let today: Vec<&ReportRow> = found.iter().filter(|row| row.bucket == 0).collect();
    assert_eq!(today.len(), 1_001);
    let other = today.iter().find(|row| row.values == ["other"]).unwrap();
    assert_eq!(other.totals.impressions, 100);
    let impressions: i64 = today.iter().map(|row| row.totals.impressions).sum();
    assert_eq!(impressions, 1_200);
    assert_eq!(found.last().unwrap().values, ["s1050"]);
}

pub async fn forgotten_ids_apply_again(reports: Arc<dyn ReportStore>) {
    let one = [event("e1", NOW_MS, site("c", "s"), spend(1))];
    apply(&*reports, &one).await;
    reports.forget_event_ids(NOW_MS).await.unwrap();
    assert_eq!(apply(&*reports, &one).await.fresh, 0);
    reports.forget_event_ids(NOW_MS + 1).await.unwrap();
    assert_eq!(apply(&*reports, &one).await.fresh, 1);
}

pub async fn ids_of_conversions_are_kept_for_another_year(reports: Arc<dyn ReportStore>) {
    let id = format!("{CONVERSION_IDS}1:a");
    let one = [event(&id, NOW_MS, site("c", "s"), spend(1))];
    apply(&*reports, &one).await;
    for (before_ms, fresh) in [
        (NOW_MS + 1, 0),
        (NOW_MS + CONVERSION_IDS_KEPT_MS, 0),
        (NOW_MS + CONVERSION_IDS_KEPT_MS + 1, 1),
    ] {
        reports.forget_event_ids(before_ms).await.unwrap();
        assert_eq!(apply(&*reports, &one).await.fresh, fresh);
    }
}

pub async fn old_days_are_forgotten_whole(reports: Arc<dyn ReportStore>) {
    let events: Vec<Contribution> = (0..4)
        .map(|day| {
            event(
                &day.to_string(),
                NOW_MS - day * 24 * HOUR_MS,
                site("c", "s"),
                spend(1 << day),
            )
        })
        .collect();
    apply(&*reports, &events).await;
    // NOW_MS is at 08:00: the days of 2 and 3 have ended by 24 hours ago, that of 1 has not.
    assert_eq!(reports.forget_rollups(NOW_MS - 24 * HOUR_MS).await.unwrap(), 2);
    let all = ReportQuery {
        buckets: vec![(NOW_MS - 96 * HOUR_MS, NOW_MS + HOUR_MS)],
        ..everything(&[])
    };
    let left = reports.query(&all).await.unwrap();
    assert_eq!(left[0].totals.spend_nanos, 0b0011);
    assert_eq!(reports.forget_rollups(NOW_MS - 24 * HOUR_MS).await.unwrap(), 0);
    // The events are remembered: they do not come back.
    assert_eq!(apply(&*reports, &events).await.fresh, 0);
}
