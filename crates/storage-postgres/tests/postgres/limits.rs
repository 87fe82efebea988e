//! A statement that takes too long is ended by the server, by the limit that a session or, beside a pooler, a transaction sets.

use crate::at_once::{exchange, write_of};
use crate::server::{Server, Stores as _, store_at};
use sqlx::{Connection, PgConnection};
use std::fmt::Debug;
use std::time::{Duration, Instant};
use storage::campaign_store::Kind;
use storage::report_store::ReportQuery;
use storage::{CampaignStore, ReportStore, StorageError};
use test_servers::postgres::PgBouncer;

/// Each new document takes longer than anybody waits for it.
const SLOW_WRITES: &str = "\
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'; \
    CREATE TRIGGER slow BEFORE INSERT ON documents FOR EACH ROW EXECUTE FUNCTION slow()";
const SLOW_REPORTS: &str = "\
    ALTER TABLE rollups RENAME TO kept; \
    CREATE VIEW rollups AS SELECT kept.* FROM pg_sleep(60) AS slept LEFT JOIN kept ON true OFFSET 0";
const SLEEPING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";

/// What users are told as 503: by the server at its limit, and not by a client that gave up and left it at work.
async fn ended_by_the_server<T: Debug>(what: &str, asking: impl Future<Output = Result<T, StorageError>>) {
    let asked = Instant::now();
    let ended = asking.await;
    let Err(StorageError::Unavailable(why)) = &ended else {
        panic!("{what}: {ended:?}")
    };
    assert!(why.contains("statement timeout"), "{what}: {why}");
    let took = asked.elapsed();
    let limit = Duration::from_secs(10);
    assert!(took >= limit && took < limit * 3 / 2, "{what}: {took:?}");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server_and_is_unavailable() {
    let Some(server) = Server::start().await else {
        return;
    };
    let Some(pooler) = PgBouncer::before(&server).await else {
        return;
    };
    let (written, pooled, reported) = (
        server.database().await,
        server.database().await,
        server.database().await,
    );
    let writing = server.store(&written).await;
    let reporting = server.store(&reported).await;
    server.store(&pooled).await;
    let sharing = store_at(&pooler.url(&pooled));
    for database in [&written, &pooled] {
        server.execute(database, SLOW_WRITES).await;
    }
    server.execute(&reported, SLOW_REPORTS).await;
    let report = ReportQuery {
        buckets: vec![(0, i64::MAX)],
        dimensions: Vec::new(),
        filters: Vec::new(),
        limit: 10,
        offset: 0,
    };
    tokio::join!(
        ended_by_the_server("a write", writing.write(write_of(exchange("slow", 1)))),
        ended_by_the_server(
            "a write behind a pooler",
            sharing.write(write_of(exchange("slow", 1)))
        ),
        ended_by_the_server("a report", reporting.query(&report)),
    );
    let mut looker = PgConnection::connect(&server.url("postgres")).await.unwrap();
    let sleeping: i64 = sqlx::query_scalar(SLEEPING).fetch_one(&mut looker).await.unwrap();
    assert_eq!(sleeping, 0);

    // Nothing is left of it, and the connection is good for the next.
    for (database, store) in [(&written, &writing), (&pooled, &sharing)] {
        server.execute(database, "DROP TRIGGER slow ON documents").await;
        assert_eq!(store.get(Kind::Exchange, "slow").await.unwrap(), None);
        store.write(write_of(exchange("slow", 1))).await.unwrap();
    }
}
