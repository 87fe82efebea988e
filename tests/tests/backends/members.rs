//! Two of analytics-service share the partitions of a real Kafka, and one is killed in the middle of a transaction.

use crate::events::{CHARGE_NANOS, COUNTED_BIDS, of_bids};
use adplatform_tests::eventually;
use adplatform_tests::service::Service;
use serde_json::Value;
use sqlx::{Connection, PgConnection, Row};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use storage::EventLog;
use storage::event_log::NewRecord;
use storage_kafka::KafkaLog;
use test_servers::kafka::Broker;
use test_servers::postgres::Server;

pub(crate) const KEY: &str = "an-administrator-s-key";
/// Appended in one go, each with three events, each event twice.
const BIDS: u64 = 4_000;
/// The applier's transactions wait at the rollups, having moved the offsets and remembered the ids.
const LOCK: &str = "BEGIN; LOCK TABLE rollups IN EXCLUSIVE MODE";
const WAITING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'";

struct Log {
    log: KafkaLog,
    now_ms: i64,
    records: i64,
}

impl Log {
    async fn on(broker: &Broker) -> Self {
        let log = KafkaLog::new(&storage_kafka::Settings {
            brokers: broker.bootstrap(),
            ..storage_kafka::Settings::default()
        })
        .unwrap();
        log.create_topics(1, 1).await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            log,
            now_ms: i64::try_from(now.as_millis()).unwrap(),
            records: 0,
        }
    }

    /// The `turn`th go.
    async fn append(&mut self, turn: u64) {
        let mut of_topics: BTreeMap<_, Vec<NewRecord>> = BTreeMap::new();
        for (topic, record) in of_bids(turn * BIDS..(turn + 1) * BIDS, self.now_ms) {
            of_topics.entry(topic).or_default().push(record);
        }
        for (topic, records) in of_topics {
            for some in records.chunks(500) {
                // As a sweeper or a spool repeats them.
                for _ in 0..2 {
                    eventually("Kafka takes the events", || async {
                        self.log.append(topic, some.to_vec(), self.now_ms).await.ok()
                    })
                    .await;
                    self.records += i64::try_from(some.len()).unwrap();
                }
            }
        }
    }
}

fn member(number: usize, folder: &Path, broker: &Broker, database_url: &str) -> Service {
    let settings = [
        ("KAFKA_BROKERS", broker.bootstrap()),
        ("DATABASE_URL", database_url.to_owned()),
        ("ADMIN_API_KEY", KEY.to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    Service::new("analytics-service", folder.join(number.to_string()), &settings)
}

pub(crate) async fn totals(client: &reqwest::Client, service: &Service) -> Option<[i64; 3]> {
    let url = format!(
        "{}/analytics/report?metrics=clicks,spend_nanos,bids",
        service.url()
    );
    let report: Value = client
        .get(url)
        .bearer_auth(KEY)
        .send()
        .await
        .ok()?
        .json()
        .await
        .ok()?;
    let total = |metric: &str| report["totals"][metric].as_i64();
    Some([total("clicks")?, total("spend_nanos")?, total("bids")?])
}

async fn number(connection: &mut PgConnection, sql: &'static str) -> i64 {
    let row = sqlx::query(sql).fetch_one(connection).await.unwrap();
    row.try_get(0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_analytics_share_the_load_and_one_killed_loses_and_doubles_nothing() {
    let _alone = crate::ALONE.lock().await;
    let (Some(broker), Some(postgres)) = (Broker::start().await, Server::start().await) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let url = postgres.url(&postgres.database().await);
    let client = reqwest::Client::new();
    let mut log = Log::on(&broker).await;
    let mut members: Vec<Service> = (0..2)
        .map(|number| member(number, folder.path(), &broker, &url))
        .collect();
    for service in &mut members {
        service.start();
        service.ready(&client).await;
    }
    let mut turns = 0;
    for round in 0..3 {
        let victim = round % 2;
        eventually("each has its share", || async {
            let shares = [
                held(&client, &members[0]).await?,
                held(&client, &members[1]).await?,
            ];
            (shares[0] == shares[1]).then_some(())
        })
        .await;
        log.append(turns).await;
        eventually("both apply what they read", || async {
            for service in &members {
                service
                    .metric(&client, "events_applied_total")
                    .await
                    .filter(|applied| *applied > 0.0)?;
            }
            Some(())
        })
        .await;
        let mut holder = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(LOCK).execute(&mut holder).await.unwrap();
        log.append(turns + 1).await;
        let mut looker = PgConnection::connect(&url).await.unwrap();
        while number(&mut looker, WAITING).await < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        members[victim].kill_9();
        sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
        turns += 2;
        all_is_counted_once(&client, &members[1 - victim], &log, turns, &mut looker).await;
        members[victim].start();
        members[victim].ready(&client).await;
    }
}

/// Partitions that it tells the lag of.
async fn held(client: &reqwest::Client, service: &Service) -> Option<usize> {
    let url = format!("{}/metrics", service.metrics_url());
    let text = client.get(url).send().await.ok()?.text().await.ok()?;
    let series = text
        .lines()
        .filter(|line| line.starts_with("consumer_lag_records{"));
    Some(series.count())
}

async fn all_is_counted_once(
    client: &reqwest::Client,
    service: &Service,
    log: &Log,
    turns: u64,
    looker: &mut PgConnection,
) {
    let bids = i64::try_from(turns * BIDS).unwrap();
    let expected = [
        bids,
        bids * CHARGE_NANOS,
        bids * i64::try_from(COUNTED_BIDS).unwrap(),
    ];
    let looker = tokio::sync::Mutex::new(looker);
    eventually("every record is applied", || async {
        let mut looker = looker.lock().await;
        let read = "SELECT coalesce(sum(next_offset), 0)::BIGINT FROM report_offsets";
        let found = totals(client, service).await?;
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                *found <= expected,
                "{found} of {expected}: something counts twice"
            );
        }
        (number(&mut looker, read).await == log.records).then_some(())
    })
    .await;
    assert_eq!(totals(client, service).await, Some(expected));
}
