//! Where each partition's reader stands, and how far the reports are behind the events.

use crate::fold::TOPICS;
use crate::metrics::{Metrics, TopicMetrics};
use platform::Clock;
use prometheus::IntGauge;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::EventLog;
use storage::event_log::Topic;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(2);

/// Where a reader reads from: a new epoch whenever that is not where the last read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) epoch: u64,
    pub(super) offset: i64,
}

/// One partition that this member holds.
pub(super) struct Partition {
    pub(super) topic: Topic,
    pub(super) number: u32,
    pub(super) metrics: TopicMetrics,
    /// Ends the reader: the process stops, or the partition is another's.
    pub(super) stop: CancellationToken,
    position: watch::Sender<Position>,
    applied_offset: AtomicI64,
    /// Every event up to this instant is in the reports, Unix milliseconds.
    complete_until_ms: AtomicI64,
    lag_records: IntGauge,
}

impl Partition {
    pub(super) fn new(
        (topic, number): (Topic, u32),
        offset: i64,
        now_ms: i64,
        metrics: TopicMetrics,
        lag_records: IntGauge,
        stop: CancellationToken,
    ) -> Self {
        Self {
            topic,
            number,
            metrics,
            stop,
            position: watch::Sender::new(Position { epoch: 0, offset }),
            applied_offset: AtomicI64::new(offset),
            complete_until_ms: AtomicI64::new(now_ms),
            lag_records,
        }
    }

    pub(super) fn positions(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// Another reader went on: this one continues from there, and what it read so far counts no more.
    pub(super) fn restart(&self, offset: i64) {
        self.position.send_modify(|position| {
            position.epoch += 1;
            position.offset = offset;
        });
        self.applied_offset.store(offset, Relaxed);
    }

    pub(super) fn is_current(&self, epoch: u64) -> bool {
        !self.stop.is_cancelled() && self.position.borrow().epoch == epoch
    }

    pub(super) fn reached(&self, offset: i64, complete_until_ms: i64) {
        self.applied_offset.store(offset, Relaxed);
        self.complete_until_ms.store(complete_until_ms, Relaxed);
    }

    fn age_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(self.complete_until_ms.load(Relaxed)).max(0)
    }
}

/// The partitions that this member holds.
#[derive(Default)]
pub(super) struct Held(Mutex<BTreeMap<(Topic, u32), Arc<Partition>>>);

impl Held {
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<(Topic, u32), Arc<Partition>>) -> T,
    ) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn all(&self) -> Vec<Arc<Partition>> {
        self.change(|held| held.values().cloned().collect())
    }
}

/// Keeps the gauges current. The end of each partition is asked for here and not by its reader, so that the lag
/// grows while a reader is stuck.
pub(super) async fn watch(
    held: Arc<Held>,
    events: Arc<dyn EventLog>,
    metrics: Metrics,
    clock: Clock,
    stop: CancellationToken,
) {
    // There from the start, so that none held is seen.
    let partitions = TOPICS.map(|topic| (topic, metrics.partitions(topic)));
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let held = held.all();
        let now_ms = clock.unix_ms();
        for (topic, partitions) in &partitions {
            let of_topic = held.iter().filter(|partition| partition.topic == *topic);
            partitions.set(i64::try_from(of_topic.count()).unwrap_or(i64::MAX));
        }
        let oldest_ms = held.iter().map(|partition| partition.age_ms(now_ms)).max();
        metrics.freshness_seconds.set(seconds(oldest_ms.unwrap_or(0)));
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tell_lag(&held, &*events) => {}
        }
    }
}

async fn tell_lag(held: &[Arc<Partition>], events: &dyn EventLog) {
    for partition in held {
        // An event log that is away is the readers' to tell; it need not be asked for the others too.
        let Ok(end_offset) = events.end_offset(partition.topic, partition.number).await else {
            return;
        };
        let lag = end_offset.saturating_sub(partition.applied_offset.load(Relaxed));
        partition.lag_records.set(lag.max(0));
    }
}

#[expect(clippy::cast_precision_loss, reason = "an age, shown")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
