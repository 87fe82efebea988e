//! A producer that is stalled by a dead broker costs the bid path nothing.

use crate::stage::{Setting, Stage, banner, banner_request, campaign};
use async_trait::async_trait;
use reqwest::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use storage::event_log::{Batch, Membership, NewRecord, Topic};
use storage::{EventLog, StorageError};
use storage_sqlite::SqliteStore;

static IS_STALLED: AtomicBool = AtomicBool::new(false);
const ROUNDS: usize = 10;
const BIDS_PER_ROUND: usize = 200;

/// Whose appends never end while the broker is dead; what is read was read before.
struct StalledLog(Arc<SqliteStore>);

#[async_trait]
impl EventLog for StalledLog {
    async fn append(&self, topic: Topic, records: Vec<NewRecord>, now_ms: i64) -> Result<(), StorageError> {
        if IS_STALLED.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.0.append(topic, records, now_ms).await
    }

    async fn partitions(&self, topic: Topic) -> Result<u32, StorageError> {
        self.0.partitions(topic).await
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from_offset: i64,
        limit: u32,
        wait: Duration,
    ) -> Result<Batch, StorageError> {
        EventLog::read(&*self.0, topic, partition, from_offset, limit, wait).await
    }

    async fn end_offset(&self, topic: Topic, partition: u32) -> Result<i64, StorageError> {
        self.0.end_offset(topic, partition).await
    }

    async fn offset_at(&self, topic: Topic, partition: u32, at_ms: i64) -> Result<i64, StorageError> {
        self.0.offset_at(topic, partition, at_ms).await
    }

    async fn join(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Membership>, StorageError> {
        self.0.join(group, topics).await
    }

    async fn trim(&self, now_ms: i64) -> Result<(), StorageError> {
        self.0.trim(now_ms).await
    }
}

/// How long bids took, in microseconds, sorted.
async fn round(stage: &Stage, took_us: &mut Vec<u128>) {
    let request = banner_request();
    let mut bids = 0;
    while bids < BIDS_PER_ROUND {
        let began = Instant::now();
        let answer = stage.bid(&request).await;
        if answer.status == StatusCode::OK {
            took_us.push(began.elapsed().as_micros());
            bids += 1;
        }
    }
}

fn quantile(took_us: &mut [u128], of_thousand: usize) -> u128 {
    took_us.sort_unstable();
    took_us[took_us.len() * of_thousand / 1_000]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_producer_costs_the_bid_path_nothing() {
    let stage = Stage::set(Setting {
        campaigns: vec![campaign("a", [banner(300, 250)])],
        event_log: Some(|store| Arc::new(StalledLog(store))),
        ..Setting::default()
    })
    .await;
    stage.bid_until_won(&banner_request()).await;
    let (mut working, mut stalled) = (Vec::new(), Vec::new());
    // By turns, so that what else the machine does is shared fairly.
    for _ in 0..ROUNDS {
        IS_STALLED.store(false, Ordering::Relaxed);
        round(&stage, &mut working).await;
        IS_STALLED.store(true, Ordering::Relaxed);
        round(&stage, &mut stalled).await;
    }
    IS_STALLED.store(false, Ordering::Relaxed);
    let [p50, p99] = [500, 990].map(|of| (quantile(&mut working, of), quantile(&mut stalled, of)));
    let ratio = |(working, stalled): (u128, u128)| stalled as f64 / working as f64;
    println!(
        "bids with the log working/stalled: p50 {p50:?} us, ratio {:.2}; p99 {p99:?} us, ratio {:.2}",
        ratio(p50),
        ratio(p99)
    );
    assert!(ratio(p50) < 1.5, "p50 {p50:?} us");
    assert!(p99.1 < 100_000, "p99 {p99:?} us");
    assert_eq!(stage.metric("events_dropped_total{topic=\"bids\"}"), 0.0);
}
