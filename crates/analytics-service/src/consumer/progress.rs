//! How far the reports are behind the events.

use platform::Clock;
use prometheus::{Gauge, IntGauge};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use storage::EventLog;
use storage::event_log::Topic;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(2);

/// Where one partition's reader stands; written by the reader, read by [`watch`].
pub(super) struct Progress {
    topic: Topic,
    partition: u32,
    offset: AtomicI64,
    /// Every event up to this instant is in the reports, Unix milliseconds.
    complete_until_ms: AtomicI64,
    lag_records: IntGauge,
}

impl Progress {
    pub(super) fn new(topic: Topic, partition: u32, offset: i64, now_ms: i64, lag_records: IntGauge) -> Self {
        Self {
            topic,
            partition,
            offset: AtomicI64::new(offset),
            complete_until_ms: AtomicI64::new(now_ms),
            lag_records,
        }
    }

    pub(super) fn reached(&self, offset: i64, complete_until_ms: i64) {
        self.offset.store(offset, Relaxed);
        self.complete_until_ms.store(complete_until_ms, Relaxed);
    }

    fn age_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(self.complete_until_ms.load(Relaxed)).max(0)
    }
}

/// Keeps the gauges current. The end of each partition is asked for here and not by its reader, so that the lag
/// grows while a reader is stuck.
pub(super) async fn watch(
    readers: Vec<Arc<Progress>>,
    events: Arc<dyn EventLog>,
    freshness_seconds: Gauge,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now_ms = clock.unix_ms();
        let oldest_ms = readers.iter().map(|progress| progress.age_ms(now_ms)).max();
        freshness_seconds.set(seconds(oldest_ms.unwrap_or(0)));
        for progress in &readers {
            // An event log that is away is the readers' to tell.
            if let Ok(end_offset) = events.end_offset(progress.topic, progress.partition).await {
                let lag = end_offset.saturating_sub(progress.offset.load(Relaxed));
                progress.lag_records.set(lag.max(0));
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an age, shown")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
