//! Two of analytics-service share the partitions of a real Kafka. One is killed, or stopped for longer than its assignment
//! lasts, in the middle of a transaction; and records that nobody can read are among the others.

use crate::events::{CHARGE_NANOS, COUNTED_BIDS, log_on, of_bids, unreadable};
use adplatform_tests::eventually;
use adplatform_tests::service::Service;
use serde_json::Value;
use sqlx::{Connection, PgConnection, Row};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use storage::EventLog;
use storage::event_log::{NewRecord, Topic};
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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            log: log_on(broker).await,
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
                    self.append_to(topic, some.to_vec()).await;
                }
            }
        }
    }

    async fn append_to(&mut self, topic: Topic, records: Vec<NewRecord>) {
        self.records += i64::try_from(records.len()).unwrap();
        eventually("Kafka takes the records", || async {
            self.log.append(topic, records.clone(), self.now_ms).await.ok()
        })
        .await;
    }

    /// To one partition of each topic that [`Log::append`] fills; the topics, and what the reasons begin with for which the
    /// records are to be set aside.
    async fn append_unreadable(&mut self) -> Vec<(&'static str, &'static str)> {
        let mut expected = Vec::new();
        for (topic, event) in of_bids(0..1, self.now_ms) {
            for (record, reason) in unreadable(&event) {
                self.append_to(topic, vec![record]).await;
                expected.push((topic.name(), reason));
            }
        }
        expected
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
    let _with_others = crate::ALONE.read().await;
    let (Some(broker), Some(postgres)) = (Broker::start().await, Server::start().await) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let url = postgres.url(&postgres.database().await);
    let client = reqwest::Client::new();
    let mut log = Log::on(&broker).await;
    let mut members = started(&client, folder.path(), &broker, &url).await;
    let mut turns = 0;
    for round in 0..3 {
        let victim = round % 2;
        each_has_its_share(&client, &members).await;
        log.append(turns).await;
        both_apply(&client, &members).await;
        let mut looker = PgConnection::connect(&url).await.unwrap();
        let holder = hold_up_both(&url, &mut looker, &mut log, turns + 1).await;
        members[victim].kill_9();
        let_go(holder).await;
        turns += 2;
        all_is_counted_once(&client, &members[1 - victim], &log, turns, &mut looker).await;
        members[victim].start();
        members[victim].ready(&client).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_outlives_its_assignment_commits_nothing_of_what_it_held() {
    let _with_others = crate::ALONE.read().await;
    let (Some(broker), Some(postgres)) = (Broker::start().await, Server::start().await) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let url = postgres.url(&postgres.database().await);
    let client = reqwest::Client::new();
    let mut log = Log::on(&broker).await;
    let members = started(&client, folder.path(), &broker, &url).await;
    let mut looker = PgConnection::connect(&url).await.unwrap();
    let mut turns = 0;
    for round in 0..2 {
        let (stopped, other) = (&members[round % 2], &members[1 - round % 2]);
        each_has_its_share(&client, &members).await;
        log.append(turns).await;
        both_apply(&client, &members).await;
        let holder = hold_up_both(&url, &mut looker, &mut log, turns + 1).await;
        stopped.pause();
        let_go(holder).await;
        // What follows moves every partition on from where the stopped one left it.
        log.append(turns + 2).await;
        turns += 3;
        all_is_counted_once(&client, other, &log, turns, &mut looker).await;
        stopped.resume();
        each_has_its_share(&client, &members).await;
        let before = stopped.metric(&client, "events_applied_total").await;
        log.append(turns).await;
        turns += 1;
        all_is_counted_once(&client, stopped, &log, turns, &mut looker).await;
        eventually("it applies what it reads again", || async {
            let applied = stopped.metric(&client, "events_applied_total").await;
            (applied > before).then_some(())
        })
        .await;
        // Ids would keep a second commit out of the totals; that it was none is told by what both have committed.
        eventually("both have told what they committed", || async {
            let committed = committed(&client, &members).await?;
            assert!(
                committed <= log.records as f64,
                "{committed} records committed, of {}",
                log.records
            );
            (committed == log.records as f64).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_set_aside_with_its_reason_and_holds_up_nothing() {
    let _with_others = crate::ALONE.read().await;
    let (Some(broker), Some(postgres)) = (Broker::start().await, Server::start().await) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let url = postgres.url(&postgres.database().await);
    let client = reqwest::Client::new();
    let mut log = Log::on(&broker).await;
    // All of it is there at once: what cannot be read comes in the middle of what is read at a time.
    log.append(0).await;
    let mut expected = log.append_unreadable().await;
    log.append(1).await;
    let members = started(&client, folder.path(), &broker, &url).await;
    let mut looker = PgConnection::connect(&url).await.unwrap();
    all_is_counted_once(&client, &members[0], &log, 2, &mut looker).await;
    let rows = sqlx::query(
        "SELECT topic, reason, record_offset BETWEEN 1 AND next_offset - 2 \
         FROM report_set_aside JOIN report_offsets USING (topic, partition)",
    );
    let mut found: Vec<(String, String, bool)> = Vec::new();
    for row in rows.fetch_all(&mut looker).await.unwrap() {
        found.push((row.get(0), row.get(1), row.get(2)));
    }
    found.sort();
    expected.sort_unstable();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((topic, reason, is_amid_others), (expected_topic, expected_reason)) in found.iter().zip(&expected) {
        assert!(
            topic == expected_topic && reason.starts_with(expected_reason) && *is_amid_others,
            "{found:?}, not {expected:?}"
        );
    }
    eventually("the metric says so", || async {
        let told = sum(&client, &members, "events_set_aside_total").await?;
        (told == expected.len() as f64).then_some(())
    })
    .await;
}

async fn started(
    client: &reqwest::Client,
    folder: &Path,
    broker: &Broker,
    database_url: &str,
) -> Vec<Service> {
    let mut members: Vec<Service> = (0..2)
        .map(|number| member(number, folder, broker, database_url))
        .collect();
    for service in &mut members {
        service.start();
        service.ready(client).await;
    }
    members
}

async fn each_has_its_share(client: &reqwest::Client, members: &[Service]) {
    eventually("each has its share", || async {
        let shares = [held(client, &members[0]).await?, held(client, &members[1]).await?];
        (shares[0] == shares[1]).then_some(())
    })
    .await;
}

async fn both_apply(client: &reqwest::Client, members: &[Service]) {
    eventually("both apply what they read", || async {
        for service in members {
            service
                .metric(client, "events_applied_total")
                .await
                .filter(|applied| *applied > 0.0)?;
        }
        Some(())
    })
    .await;
}

/// Appends the `turn`th go, of which both are in the middle of a transaction then: until [`let_go`].
async fn hold_up_both(
    database_url: &str,
    looker: &mut PgConnection,
    log: &mut Log,
    turn: u64,
) -> PgConnection {
    let mut holder = PgConnection::connect(database_url).await.unwrap();
    sqlx::raw_sql(LOCK).execute(&mut holder).await.unwrap();
    log.append(turn).await;
    while number(looker, WAITING).await < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    holder
}

async fn let_go(mut holder: PgConnection) {
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
}

/// Of both.
async fn sum(client: &reqwest::Client, members: &[Service], metric: &str) -> Option<f64> {
    let mut sum = 0.0;
    for service in members {
        sum += service.metric(client, metric).await?;
    }
    Some(sum)
}

/// Records in the transactions of both: those that counted, and those whose events had counted before.
async fn committed(client: &reqwest::Client, members: &[Service]) -> Option<f64> {
    let applied = sum(client, members, "events_applied_total").await?;
    Some(applied + sum(client, members, "events_repeated_total").await?)
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
