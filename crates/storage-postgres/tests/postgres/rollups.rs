//! Several readers that apply at once, and the partitions of days.

use crate::at_once::NOW_MS;
use crate::server::{Server, Stores as _, store_at};
use domain::event::{Dimensions, QUARTER_MS};
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use storage::event_log::Topic;
use storage::report_store::{Advance, Applied, Contribution, Dimension, ReportBatch, ReportQuery, Totals};
use storage::{ReportStore, StorageError};
use storage_postgres::PostgresStore;
use tokio::task::JoinSet;

const DAY_MS: i64 = 96 * QUARTER_MS;

fn impressions(event_id: &str, at_ms: i64, sites: impl Iterator<Item = u32>) -> Contribution {
    let row = |site: u32| {
        let dimensions = Dimensions {
            campaign: "c".to_owned(),
            site_or_bundle: format!("s{site}"),
            ..Dimensions::default()
        };
        let one = Totals {
            impressions: 1,
            ..Totals::default()
        };
        (at_ms, Arc::new(dimensions), one)
    };
    Contribution {
        event_id: event_id.to_owned(),
        rows: sites.map(row).collect(),
        spend: None,
    }
}

async fn apply(
    store: &PostgresStore,
    steps: &[Advance],
    event: Contribution,
) -> Result<Applied, StorageError> {
    let batch = ReportBatch {
        advances: steps.to_vec(),
        contributions: vec![event],
        set_aside: Vec::new(),
    };
    store.apply(Arc::new(batch), NOW_MS).await
}

async fn impressions_by_site(store: &PostgresStore, days: std::ops::Range<i64>) -> Vec<(String, i64)> {
    let query = ReportQuery {
        buckets: vec![(NOW_MS + days.start * DAY_MS, NOW_MS + days.end * DAY_MS)],
        dimensions: vec![Dimension::SiteOrBundle],
        filters: Vec::new(),
        offset: 0,
        limit: 10_000,
    };
    let rows = store.query(&query).await.unwrap();
    rows.into_iter()
        .map(|row| (row.values[0].clone(), row.totals.impressions))
        .collect()
}

#[tokio::test]
async fn of_readers_of_one_partition_one_advances_it() {
    let Some(server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    let store = server.store(&database).await;
    for from_offset in [0, 1] {
        let mut applying = JoinSet::new();
        for n in 0..6 {
            let store = store_at(&server.url(&database));
            applying.spawn(async move {
                let step = Advance {
                    topic: Topic::Spend,
                    partition: 0,
                    from_offset,
                    to_offset: from_offset + 1,
                };
                let event = impressions(&format!("{from_offset}-{n}"), NOW_MS, 0..1);
                apply(&store, &[step], event).await
            });
        }
        let results = applying.join_all().await;
        let conflicts = results
            .iter()
            .filter(|one| matches!(one, Err(StorageError::Conflict(_))));
        assert_eq!(conflicts.count(), 5, "{results:?}");
    }
    assert_eq!(impressions_by_site(&store, 0..1).await, [("s0".to_owned(), 2)]);
}

#[tokio::test]
async fn readers_at_once_add_up_exactly_and_share_the_bound_of_sites() {
    let Some(server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    let store = Arc::new(server.store(&database).await);
    let mut applying = JoinSet::new();
    for reader in 0..6_u32 {
        let store = store_at(&server.url(&database));
        applying.spawn(async move {
            for batch in 0..4 {
                // The same 1,200 values in another order, beginning elsewhere.
                let sites = (0..300).map(|n| (reader * 200 + batch * 300 + n) % 1_200);
                let sites: Vec<u32> = if reader % 2 == 0 {
                    sites.rev().collect()
                } else {
                    sites.collect()
                };
                let event = impressions(&format!("{reader}-{batch}"), NOW_MS, sites.into_iter());
                apply(&store, &[], event).await.unwrap();
            }
        });
    }
    applying.join_all().await;
    let found = impressions_by_site(&store, 0..1).await;
    assert_eq!(found.len(), 1_001, "1,000 values and `other`");
    assert_eq!(
        found.iter().map(|(_, impressions)| impressions).sum::<i64>(),
        6 * 1_200
    );
}

#[tokio::test]
async fn old_days_are_dropped_whole_and_may_come_again() {
    let Some(server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    let store = server.store(&database).await;
    for day in -3..1 {
        let event = impressions(&day.to_string(), NOW_MS + day * DAY_MS, 0..1);
        apply(&store, &[], event).await.unwrap();
    }
    let other = store_at(&server.url(&database));
    // NOW_MS is at 08:00: the days of -3 and -2 have ended by 24 hours ago, that of -1 has not.
    assert_eq!(other.drop_rollups_before(NOW_MS - DAY_MS).await.unwrap(), 2);
    assert_eq!(impressions_by_site(&store, -4..-1).await, []);
    assert_eq!(impressions_by_site(&store, -1..1).await, [("s0".to_owned(), 2)]);
    assert_eq!(other.drop_rollups_before(NOW_MS - DAY_MS).await.unwrap(), 0);
    // This store still takes the day's partition for attached.
    let late = impressions("late", NOW_MS - 3 * DAY_MS, 0..1);
    apply(&store, &[], late).await.unwrap();
    assert_eq!(impressions_by_site(&store, -4..-1).await, [("s0".to_owned(), 1)]);
}

/// A report that takes long, or a dump: dropping does not wait for it, and so nobody waits behind dropping.
#[tokio::test]
async fn an_old_day_that_is_read_is_dropped_later_and_keeps_nobody_waiting() {
    let Some(server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    let store = server.store(&database).await;
    apply(&store, &[], impressions("old", NOW_MS - 3 * DAY_MS, 0..1))
        .await
        .unwrap();
    let mut reader = PgConnection::connect(&server.url(&database)).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM rollups")
        .execute(&mut reader)
        .await
        .unwrap();
    let (dropped, applied) = tokio::join!(
        store.drop_rollups_before(NOW_MS - DAY_MS),
        apply(&store, &[], impressions("new", NOW_MS, 0..1))
    );
    assert_eq!(dropped.unwrap(), 0);
    applied.unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    assert_eq!(store.drop_rollups_before(NOW_MS - DAY_MS).await.unwrap(), 1);
    assert_eq!(impressions_by_site(&store, -4..1).await, [("s0".to_owned(), 1)]);
}

#[tokio::test]
async fn a_value_with_a_nul_stops_nobody() {
    let Some(server) = Server::start().await else {
        return;
    };
    let store = server.store(&server.database().await).await;
    let mut event = impressions("e\0", NOW_MS, 0..1);
    Arc::make_mut(&mut event.rows[0].1).site_or_bundle = "a\0b".to_owned();
    assert_eq!(apply(&store, &[], event.clone()).await.unwrap().fresh, 1);
    assert_eq!(apply(&store, &[], event).await.unwrap().repeated, [0]);
    assert_eq!(
        impressions_by_site(&store, 0..1).await,
        [("a\u{fffd}b".to_owned(), 1)]
    );
}
