//! A broker that goes away and comes back.

use crate::broker::{log_with_topics, settings};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::contract::event_log::{read_all, record};
use storage::event_log::{NewRecord, Topic};
use storage::{EventLog, StorageError};
use storage_kafka::{DELIVERY_TIMEOUT, KafkaLog, Settings};
use test_servers::kafka::{Broker, Options};

const NOW_MS: i64 = 1_800_000_000_000;
const PATIENCE: Duration = Duration::from_secs(60);
/// No topic takes much larger records.
const LARGE_BYTES: usize = 7 << 20;
/// So many of those have room in the queue.
const QUEUED: usize = 13;
/// Half a second that an append waits for room, and what a busy machine adds.
const SOON: Duration = Duration::from_secs(2);

/// Appends one record after the other until told to stop; the acknowledged ones.
struct Writer {
    stop: tokio::sync::watch::Sender<bool>,
    done: tokio::task::JoinHandle<Vec<String>>,
}

impl Writer {
    fn start(log: &Arc<KafkaLog>, name: &str) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (log, name) = (log.clone(), name.to_owned());
        let done = tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            let mut number = 0;
            while !*stopped.borrow() {
                let value = format!("{name}-{number}");
                number += 1;
                match log
                    .append(Topic::Spend, vec![record(&value, &value)], NOW_MS)
                    .await
                {
                    Ok(()) => acknowledged.push(value),
                    Err(StorageError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                    Err(error) => panic!("{error}"),
                }
            }
            acknowledged
        });
        Self { stop, done }
    }

    async fn stop(self) -> Vec<String> {
        self.stop.send_replace(true);
        self.done.await.unwrap()
    }
}

async fn until_appended(log: &KafkaLog) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = log.append(Topic::Clicks, vec![record("k", "v")], NOW_MS).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_refused(log: &KafkaLog) {
    let deadline = Instant::now() + PATIENCE;
    while log
        .append(Topic::Clicks, vec![record("k", "v")], NOW_MS)
        .await
        .is_ok()
    {
        assert!(Instant::now() < deadline, "appends go on without a broker");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_the_broker_was_killed_and_stopped() {
    let Some(mut broker) = Broker::start().await else {
        return;
    };
    let log = log_with_topics(&settings(&broker)).await;
    let writers: Vec<Writer> = (0..8).map(|n| Writer::start(&log, &format!("w{n}"))).collect();
    until_appended(&log).await;
    broker.kill();
    until_refused(&log).await;
    broker.restart().await;
    until_appended(&log).await;
    broker.stop().await;
    until_refused(&log).await;
    broker.restart().await;
    until_appended(&log).await;
    all_are_there(&log, writers).await;
}

/// The end of the writers: what was acknowledged is in the log.
async fn all_are_there(log: &KafkaLog, writers: Vec<Writer>) {
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.stop().await);
    }
    let read = read_all(log, Topic::Spend).await;
    let stored: BTreeSet<String> = read
        .into_iter()
        .map(|record| String::from_utf8(record.value.unwrap()).unwrap())
        .collect();
    assert!(!acknowledged.is_empty());
    let missing = acknowledged
        .iter()
        .filter(|value| !stored.contains(*value))
        .count();
    assert_eq!(missing, 0, "of {} are lost", acknowledged.len());
}

/// With copies on three brokers, two of which must have a record: any one of them may die.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_brokers_one_may_die_at_a_time() {
    let Some(first) = Broker::start().await else {
        return;
    };
    let mut others = Vec::new();
    for number in [2, 3] {
        let options = Options::default().joins(number, &first);
        others.extend(Broker::start_with(&options).await);
    }
    let brokers: Vec<String> = others.iter().chain([&first]).map(Broker::bootstrap).collect();
    let settings = Settings {
        brokers: brokers.join(","),
        ..settings(&first)
    };
    let log = Arc::new(KafkaLog::new(&settings).unwrap());
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = log.create_topics(3, 2).await {
        assert!(Instant::now() < deadline, "{error}");
    }
    until_appended(&log).await;
    let writers: Vec<Writer> = (0..8).map(|n| Writer::start(&log, &format!("w{n}"))).collect();
    for dies in &mut others {
        dies.kill();
        // To every partition, those that it led among them.
        for key in 0..64 {
            let of_any = vec![record(&format!("k{key}"), "v")];
            let deadline = Instant::now() + PATIENCE;
            while let Err(error) = log.append(Topic::Clicks, of_any.clone(), NOW_MS).await {
                assert!(Instant::now() < deadline, "{error}");
            }
        }
        dies.restart().await;
        // The next one may die once this one has the records again.
        let behind = [
            "--bootstrap-server",
            &first.bootstrap(),
            "--describe",
            "--under-replicated-partitions",
        ];
        let deadline = Instant::now() + PATIENCE;
        while !first
            .run("org.apache.kafka.tools.TopicCommand", &behind)
            .trim()
            .is_empty()
        {
            assert!(Instant::now() < deadline, "it does not catch up");
        }
    }
    all_are_there(&log, writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_goes_on_by_itself_after_an_outage() {
    let Some(mut broker) = Broker::start().await else {
        return;
    };
    let log = log_with_topics(&settings(&broker)).await;
    log.append(Topic::Campaigns, vec![record("k", "before")], NOW_MS)
        .await
        .unwrap();
    let mut partition = 0;
    while log.end_offset(Topic::Campaigns, partition).await.unwrap() == 0 {
        partition += 1;
    }
    let read = async |from: i64| {
        log.read(Topic::Campaigns, partition, from, 10, Duration::from_millis(300))
            .await
    };
    let batch = read(0).await.unwrap();
    assert_eq!(batch.next_offset, 1);
    broker.kill();
    let deadline = Instant::now() + PATIENCE;
    while read(1).await.is_ok() {
        assert!(Instant::now() < deadline, "reads succeed without a broker");
    }
    broker.restart().await;
    until_appended(&log).await;
    log.append(Topic::Campaigns, vec![record("k", "after")], NOW_MS)
        .await
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match read(1).await {
            Ok(batch) if !batch.records.is_empty() => {
                assert_eq!(batch.records[0].value.as_deref(), Some(b"after".as_slice()));
                return;
            }
            _ => assert!(Instant::now() < deadline, "the reader does not come back"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_fails_in_bounded_time_while_a_broker_hangs() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let log = log_with_topics(&settings(&broker)).await;
    until_appended(&log).await;
    broker.pause();
    let began = Instant::now();
    let appended = log.append(Topic::Clicks, vec![record("k", "v")], NOW_MS).await;
    assert!(
        matches!(appended, Err(StorageError::Unavailable(_))),
        "{appended:?}"
    );
    assert!(
        began.elapsed() < DELIVERY_TIMEOUT + Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    // Now that it is known to be away, most appends do not wait at all.
    let mut probes = 0;
    for _ in 0..1_000 {
        let append = log.append(Topic::Clicks, vec![record("k", "v")], NOW_MS);
        match tokio::time::timeout(Duration::from_millis(2), append).await {
            Ok(appended) => assert!(appended.is_err()),
            Err(_) => probes += 1,
        }
    }
    assert!(probes <= 50, "{probes} of 1000 appends waited");
    broker.resume();
    until_appended(&log).await;
}

/// On one thread: if an append blocked it, nothing here would be in time.
#[tokio::test]
async fn what_finds_the_queue_full_is_refused_soon_and_what_is_in_it_is_kept() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let log = log_with_topics(&settings(&broker)).await;
    until_appended(&log).await;
    let before = stored(&log, Topic::Clicks).await;
    broker.pause();
    let began = Instant::now();
    let mut appends: FuturesUnordered<_> = (0..2 * QUEUED)
        .map(|number| {
            let large = NewRecord {
                key: format!("k{number}"),
                value: Some(vec![b'v'; LARGE_BYTES]),
            };
            log.append(Topic::Clicks, vec![large], NOW_MS)
        })
        .collect();
    // Nothing else can end while the broker hangs, and it does not hang for as long as a delivery may take.
    for _ in 0..QUEUED {
        match appends.next().await {
            Some(Err(StorageError::Unavailable(why))) => assert_eq!(why, "the queue to kafka is full"),
            other => panic!("{other:?}"),
        }
    }
    assert!(began.elapsed() < SOON, "refused after {:?}", began.elapsed());
    broker.resume();
    while let Some(appended) = appends.next().await {
        appended.unwrap();
    }
    assert_eq!(stored(&log, Topic::Clicks).await - before, QUEUED as i64);
    // The room is free again.
    log.append(Topic::Clicks, vec![record("k", "v")], NOW_MS)
        .await
        .unwrap();
}

/// Records of the topic.
async fn stored(log: &KafkaLog, topic: Topic) -> i64 {
    let mut all = 0;
    for partition in 0..log.partitions(topic).await.unwrap() {
        all += log.end_offset(topic, partition).await.unwrap();
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_can_be_made_before_its_broker_runs() {
    let Some(mut broker) = Broker::start().await else {
        return;
    };
    broker.stop().await;
    let settings = settings(&broker);
    let log = KafkaLog::new(&settings).unwrap();
    let began = Instant::now();
    assert!(log.partitions(Topic::Bids).await.is_err());
    assert!(
        log.append(Topic::Bids, vec![record("k", "v")], NOW_MS)
            .await
            .is_err()
    );
    assert!(log.create_topics(1, 1).await.is_err());
    assert!(began.elapsed() < PATIENCE);
    broker.restart().await;
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = log.create_topics(1, 1).await {
        assert!(Instant::now() < deadline, "{error}");
    }
    until_appended(&log).await;
}
