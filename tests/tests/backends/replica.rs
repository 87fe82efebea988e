//! analytics-service with a standby of its database that answers reports.

use crate::events::{CHARGE_NANOS, COUNTED_BIDS, log_on, of_bids};
use crate::members::{KEY, totals};
use adplatform_tests::eventually;
use adplatform_tests::service::Service;
use reqwest::Client;
use sqlx::{Connection, PgConnection, Row};
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};
use storage::EventLog;
use storage_kafka::KafkaLog;
use test_servers::kafka::Broker;
use test_servers::postgres::Server;

const APPLIED: &str = "SELECT coalesce(sum(next_offset), 0)::BIGINT FROM report_offsets";

/// Returns once they are in the primary's reports.
async fn report_bids(log: &KafkaLog, bids: Range<u64>, primary: &mut PgConnection) {
    let records = i64::try_from(bids.end * 3).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_ms = i64::try_from(now.as_millis()).unwrap();
    for (topic, record) in of_bids(bids, now_ms) {
        log.append(topic, vec![record], now_ms).await.unwrap();
    }
    let primary = tokio::sync::Mutex::new(primary);
    eventually("the primary has them", || async {
        let mut primary = primary.lock().await;
        let row = sqlx::query(APPLIED).fetch_one(&mut **primary).await.unwrap();
        (row.try_get::<i64, _>(0).unwrap() == records).then_some(())
    })
    .await;
}

fn totals_of(bids: u64) -> [i64; 3] {
    let bids = i64::try_from(bids).unwrap();
    [
        bids,
        bids * CHARGE_NANOS,
        bids * i64::try_from(COUNTED_BIDS).unwrap(),
    ]
}

/// What the standby has not replayed, the reports do not say: so it is the standby that says it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_come_from_the_replica_and_from_the_primary_once_that_is_away() {
    let _with_others = crate::ALONE.read().await;
    let (Some(broker), Some(primary)) = (Broker::start().await, Server::start().await) else {
        return;
    };
    let log = log_on(&broker).await;
    let database = primary.database().await;
    let mut replica = primary.standby().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("KAFKA_BROKERS", broker.bootstrap()),
        ("DATABASE_URL", primary.url(&database)),
        ("DATABASE_REPLICA_URL", replica.url(&database)),
        ("ADMIN_API_KEY", KEY.to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    let mut service = Service::new("analytics-service", folder.path().join("analytics"), &settings);
    let client = Client::new();
    service.start();
    service.ready(&client).await;
    let mut looker = PgConnection::connect(&primary.url(&database)).await.unwrap();
    report_bids(&log, 0..10, &mut looker).await;
    eventually("the replica reports them", || async {
        (totals(&client, &service).await? == totals_of(10)).then_some(())
    })
    .await;

    replica.execute(&database, "SELECT pg_wal_replay_pause()").await;
    report_bids(&log, 10..20, &mut looker).await;
    assert_eq!(totals(&client, &service).await, Some(totals_of(10)));

    replica.stop();
    assert_eq!(totals(&client, &service).await, Some(totals_of(20)));
    let told = service
        .logged()
        .into_iter()
        .filter(|line| line["message"] == "the replica is away, the primary answers reports");
    assert_eq!(told.count(), 1, "{}", service.last_words());
}
