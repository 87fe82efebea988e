//! Follows the event topics into the rollups: one task for each partition.
//!
//! A batch and the offset behind it are applied in one transaction, which holds only where the stored offset is still
//! the batch's start. So a restart goes on where the rollups stand, and of two readers of one partition one is told of
//! a conflict and goes on from the other's offset: nothing is lost, nothing counted twice.

mod partition;
mod progress;
mod retry;
mod upkeep;

use crate::fold;
use crate::metrics::Metrics;
use crate::ports::Ports;
use partition::PartitionReader;
use platform::{Clock, Latch, Process, Shutdown};
use progress::Progress;
use retry::{Retry, Stopped};
use std::sync::Arc;
use storage::event_log::Topic;
use upkeep::Upkeep;

/// Starts reading in the background.
pub(crate) fn start(ports: &Ports, metrics: &Metrics, process: &Process) {
    let start = Start {
        ports: ports.clone(),
        metrics: metrics.clone(),
        clock: process.clock.clone(),
        shutdown: process.shutdown.clone(),
        store_reached: process.readiness.latch("report store reached"),
        offsets_loaded: process.readiness.latch("offsets loaded"),
    };
    let shutdown = &process.shutdown;
    let upkeep = Upkeep {
        reports: ports.reports.clone(),
        events: ports.events.clone(),
        clock: process.clock.clone(),
        stop: shutdown.background().clone(),
    };
    shutdown.spawn("upkeep of events", async move {
        let _: Result<(), Stopped> = upkeep.run().await;
    });
    shutdown.spawn("start of event readers", async move {
        // Stopped while waiting for a store: there is nothing to undo.
        let _: Result<(), Stopped> = start.readers().await;
    });
}

struct Start {
    ports: Ports,
    metrics: Metrics,
    clock: Clock,
    shutdown: Shutdown,
    store_reached: Latch,
    offsets_loaded: Latch,
}

impl Start {
    /// Loads every offset, however long that takes, then starts a reader for each partition.
    async fn readers(self) -> Result<(), Stopped> {
        let mut readers = Vec::new();
        for topic in fold::TOPICS {
            let mut retry = Retry::new("event log", self.shutdown.background().clone());
            let partitions = retry.until_done(|| self.ports.events.partitions(topic)).await?;
            for partition in 0..partitions {
                readers.push(self.reader(topic, partition).await?);
            }
        }
        self.offsets_loaded.set();
        let progress = readers.iter().map(PartitionReader::progress).collect();
        self.shutdown.spawn(
            "lag of event readers",
            progress::watch(
                progress,
                self.ports.events.clone(),
                self.metrics.freshness_seconds.clone(),
                self.clock.clone(),
                self.shutdown.background().clone(),
            ),
        );
        for reader in readers {
            self.shutdown.spawn("event reader", async move {
                let _: Result<(), Stopped> = reader.run().await;
            });
        }
        Ok(())
    }

    async fn reader(&self, topic: Topic, partition: u32) -> Result<PartitionReader, Stopped> {
        let mut retry = Retry::new("report store", self.shutdown.background().clone());
        let offset = retry
            .until_done(|| self.ports.reports.offset(topic, partition))
            .await?;
        self.store_reached.set();
        let lag = self.metrics.lag_records(topic, partition);
        Ok(PartitionReader {
            topic,
            partition,
            offset,
            events: self.ports.events.clone(),
            reports: self.ports.reports.clone(),
            metrics: self.metrics.topic(topic),
            progress: Arc::new(Progress::new(topic, partition, offset, self.clock.unix_ms(), lag)),
            clock: self.clock.clone(),
            stop: self.shutdown.background().clone(),
        })
    }
}
