//! Reports from a streaming replica.

use crate::server::{Server, Stores as _, store_with};
use std::time::{Duration, Instant};
use storage::ReportStore;
use storage::report_store::ReportQuery;
use storage_postgres::PostgresStore;

/// Clicks in all reports, as `store` answers.
async fn clicks(store: &PostgresStore) -> i64 {
    let query = ReportQuery {
        buckets: vec![(0, i64::MAX)],
        dimensions: Vec::new(),
        filters: Vec::new(),
        limit: 10,
        offset: 0,
    };
    let rows = store.query(&query).await.unwrap();
    rows.iter().map(|row| row.totals.clicks).sum()
}

async fn add_click(server: &Server, database: &str, campaign: &str) {
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS rollups_test PARTITION OF rollups DEFAULT; \
         INSERT INTO rollups VALUES (0, 'a', '{campaign}', '', '', '', '', '', '', '', '', '', '', \
           0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)"
    );
    server.execute(database, &sql).await;
}

async fn until_clicks(store: &PostgresStore, expected: i64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while clicks(store).await != expected {
        assert!(Instant::now() < deadline, "the replica does not follow");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_replica_answers_reports_and_the_primary_while_it_is_away() {
    let Some(primary) = Server::start().await else {
        return;
    };
    let database = primary.database().await;
    primary.store(&database).await;
    let mut replica = primary.standby().await;
    let store = store_with(&primary.url(&database), Some(replica.url(&database)));
    add_click(&primary, &database, "one").await;
    until_clicks(&store, 1).await;

    // What the replica has not replayed, the store does not report: the answer is the replica's.
    replica.execute(&database, "SELECT pg_wal_replay_pause()").await;
    add_click(&primary, &database, "two").await;
    assert_eq!(clicks(&store).await, 1);

    replica.stop();
    assert_eq!(clicks(&store).await, 2);
    let asked = Instant::now();
    assert_eq!(clicks(&store).await, 2);
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "the replica was waited for again"
    );
}

#[tokio::test]
async fn a_replica_that_falls_behind_is_left_alone_until_it_has_caught_up() {
    let Some(primary) = Server::start().await else {
        return;
    };
    let database = primary.database().await;
    primary.store(&database).await;
    let replica = primary.standby().await;
    let limit = Duration::from_millis(500);
    let store = store_with(&primary.url(&database), Some(replica.url(&database)));
    let store = store.with_replica_lag_limit(limit);
    add_click(&primary, &database, "one").await;
    until_clicks(&store, 1).await;

    replica.execute(&database, "SELECT pg_wal_replay_pause()").await;
    add_click(&primary, &database, "two").await;
    let began = Instant::now();
    until_clicks(&store, 2).await;
    assert!(began.elapsed() >= limit, "within its limit the replica answers");
    assert_eq!(clicks(&store).await, 2);

    replica.execute(&database, "SELECT pg_wal_replay_resume()").await;
    let patient = store_with(&primary.url(&database), Some(replica.url(&database)));
    until_clicks(&patient, 2).await;
    // It answers again: what it has not replayed is not there.
    replica.execute(&database, "SELECT pg_wal_replay_pause()").await;
    assert_eq!(clicks(&store).await, 2);
    add_click(&primary, &database, "three").await;
    assert_eq!(clicks(&store).await, 2);
}

#[tokio::test]
async fn reports_are_answered_while_the_primary_is_away() {
    let Some(mut primary) = Server::start().await else {
        return;
    };
    let database = primary.database().await;
    primary.store(&database).await;
    add_click(&primary, &database, "one").await;
    let replica = primary.standby().await;
    let store = store_with(&primary.url(&database), Some(replica.url(&database)));
    primary.stop();
    assert_eq!(clicks(&store).await, 1);
}
