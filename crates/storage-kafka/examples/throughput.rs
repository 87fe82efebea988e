//! How fast records come and go, on a broker of its own: `cargo run --release -p storage-kafka --example throughput`.

#![expect(clippy::unwrap_used, reason = "a measurement, not a service")]

use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::EventLog;
use storage::event_log::{NewRecord, Topic};
use storage_kafka::{KafkaLog, Settings};
use test_servers::kafka::Broker;

const NOW_MS: i64 = 1_800_000_000_000;
const WRITERS: usize = 8;
const READ_LIMIT: u32 = 1_000;
const WAIT: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let settings = Settings {
        brokers: broker.bootstrap(),
        ..Settings::default()
    };
    let log = Arc::new(KafkaLog::new(&settings).unwrap());
    log.create_topics(1, 1).await.unwrap();
    measure(&settings, &log, Topic::Campaigns, 100_000, 2_048).await;
    measure(&settings, &log, Topic::Bids, 1_000_000, 250).await;
    latency(&log).await;
}

async fn measure(settings: &Settings, log: &Arc<KafkaLog>, topic: Topic, count: usize, bytes: usize) {
    let (wall, cpu) = (Instant::now(), cpu_time());
    append(log, topic, count, bytes).await;
    tell("append", topic, count, bytes, wall, cpu);
    for run in ["read, new process", "read, new process", "read, again"] {
        let fresh = Arc::new(KafkaLog::new(settings).unwrap());
        let log = if run == "read, again" { log } else { &fresh };
        let (wall, cpu) = (Instant::now(), cpu_time());
        let read = read(log, topic).await;
        assert_eq!(read, count);
        tell(run, topic, count, bytes, wall, cpu);
    }
}

async fn append(log: &Arc<KafkaLog>, topic: Topic, count: usize, bytes: usize) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let log = log.clone();
        writers.spawn(async move {
            let mine: Vec<usize> = (writer..count).step_by(WRITERS).collect();
            for batch in mine.chunks(500) {
                let batch = batch.iter().map(|n| record(*n, bytes)).collect();
                log.append(topic, batch, NOW_MS).await.unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
}

/// Compresses about as well as JSON of the same shape.
fn record(number: usize, bytes: usize) -> NewRecord {
    let mut value = Vec::with_capacity(bytes + 64);
    let mut mixed = number as u64;
    while value.len() < bytes {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        value.extend_from_slice(format!("{{\"field\":\"{:016x}\",\"other\":true}},", mixed).as_bytes());
    }
    value.truncate(bytes);
    NewRecord {
        key: format!("key-{number}"),
        value: Some(value),
    }
}

/// All partitions at once, to the end.
async fn read(log: &Arc<KafkaLog>, topic: Topic) -> usize {
    let mut readers = tokio::task::JoinSet::new();
    for partition in 0..log.partitions(topic).await.unwrap() {
        let log = log.clone();
        readers.spawn(async move {
            let end = log.end_offset(topic, partition).await.unwrap();
            let (mut offset, mut count) = (0, 0);
            while offset < end {
                let batch = log
                    .read(topic, partition, offset, READ_LIMIT, WAIT)
                    .await
                    .unwrap();
                count += batch.records.len();
                offset = batch.next_offset;
            }
            count
        });
    }
    let mut count = 0;
    while let Some(read) = readers.join_next().await {
        count += read.unwrap();
    }
    count
}

/// Of appends of one record, one after the other.
async fn latency(log: &Arc<KafkaLog>) {
    let mut took = Vec::new();
    for number in 0..500 {
        let began = Instant::now();
        log.append(Topic::Spend, vec![record(number, 500)], NOW_MS)
            .await
            .unwrap();
        took.push(began.elapsed());
    }
    took.sort_unstable();
    println!("append of one record: p50 {:?}, p99 {:?}", took[250], took[495]);
}

fn tell(what: &str, topic: Topic, count: usize, bytes: usize, since: Instant, cpu_before: Duration) {
    let (wall, cpu) = (
        since.elapsed().as_secs_f64(),
        (cpu_time() - cpu_before).as_secs_f64(),
    );
    println!(
        "{what}: {count} records of {bytes} bytes in {}: {wall:.2} s, {:.0} records/s, {:.0} MB/s, {:.2} us of this process's CPU a record",
        topic.name(),
        count as f64 / wall,
        (count * bytes) as f64 / wall / 1e6,
        cpu / count as f64 * 1e6
    );
}

/// Of this process, all threads.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
