//! The reader of one partition.

use super::progress::Progress;
use super::retry::{Retry, Stopped};
use crate::fold::{self, Poison};
use crate::metrics::TopicMetrics;
use platform::Clock;
use std::sync::Arc;
use std::time::Duration;
use storage::event_log::{Batch, Topic};
use storage::report_store::{Advance, Contribution};
use storage::{EventLog, ReportStore, StorageError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const BATCH_RECORDS: u32 = 1_000;
/// Rows in one transaction: a record of bid counts has many, and others wait for the store meanwhile.
const BATCH_ROWS: usize = 20_000;
/// A partition with little traffic is applied this often, not for each record.
const BATCH_EVERY: Duration = Duration::from_millis(200);
/// How long a read may wait for a first record: a quiet partition's freshness is known that well.
const READ_WAIT: Duration = Duration::from_millis(500);
/// Poison of one batch that is logged record by record.
const LOGGED_POISON: usize = 10;

pub(super) struct PartitionReader {
    pub(super) topic: Topic,
    pub(super) partition: u32,
    /// What the store holds, as far as this reader knows.
    pub(super) offset: i64,
    pub(super) events: Arc<dyn EventLog>,
    pub(super) reports: Arc<dyn ReportStore>,
    pub(super) metrics: TopicMetrics,
    pub(super) progress: Arc<Progress>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
}

/// A batch, folded.
struct Step {
    advance: Advance,
    contributions: Vec<Contribution>,
    poison: Vec<(i64, Poison)>,
    /// Every event up to then is in the reports once this is applied.
    complete_until_ms: i64,
    /// Whether the log had no more when it was read.
    drained: bool,
}

impl PartitionReader {
    pub(super) fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Reads and applies until the process stops.
    pub(super) async fn run(mut self) -> Result<(), Stopped> {
        let mut reading = Retry::new("reading events", self.stop.clone());
        let mut applying = Retry::new("applying events", self.stop.clone());
        loop {
            let (began, began_ms) = (Instant::now(), self.clock.unix_ms());
            let batch = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Stopped),
                batch = self.events.read(self.topic, self.partition, self.offset, BATCH_RECORDS, READ_WAIT) => batch,
            };
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    reading.failed(&error).await?;
                    continue;
                }
            };
            reading.succeeded();
            let step = self.fold(batch, began_ms);
            let drained = step.drained;
            self.apply(step, &mut applying).await?;
            if drained {
                applying
                    .sleep(BATCH_EVERY.saturating_sub(began.elapsed()))
                    .await?;
            }
        }
    }

    /// As many of the batch's records as fit in one transaction.
    fn fold(&self, batch: Batch, read_at_ms: i64) -> Step {
        let mut step = Step {
            advance: Advance {
                topic: self.topic,
                partition: self.partition,
                from_offset: self.offset,
                to_offset: batch.next_offset,
            },
            contributions: Vec::with_capacity(batch.records.len()),
            poison: Vec::new(),
            complete_until_ms: read_at_ms,
            drained: batch.records.len() < BATCH_RECORDS as usize,
        };
        let (mut rows, mut last_at_ms) = (0, read_at_ms);
        for record in batch.records {
            if rows >= BATCH_ROWS {
                step.advance.to_offset = record.offset;
                step.drained = false;
                break;
            }
            match fold::fold(self.topic, record.value.as_deref()) {
                Ok(folded) => {
                    last_at_ms = folded.at_ms;
                    rows += folded
                        .contribution
                        .as_ref()
                        .map_or(0, |contribution| contribution.rows.len());
                    step.contributions.extend(folded.contribution);
                }
                Err(poison) => step.poison.push((record.offset, poison)),
            }
        }
        if !step.drained {
            step.complete_until_ms = last_at_ms.min(read_at_ms);
        }
        step
    }

    /// Applies the step, or learns that another reader went on and takes over its offset.
    async fn apply(&mut self, step: Step, retry: &mut Retry) -> Result<(), Stopped> {
        if step.advance.to_offset > self.offset {
            let advances = std::slice::from_ref(&step.advance);
            loop {
                match self
                    .reports
                    .apply(advances, &step.contributions, self.clock.unix_ms())
                    .await
                {
                    Ok(applied) => {
                        self.metrics.applied.inc_by(applied.fresh);
                        self.metrics.repeated.inc_by(applied.repeated);
                        break;
                    }
                    Err(StorageError::Conflict(_)) => return self.take_over_offset(retry).await,
                    Err(error @ (StorageError::Unavailable(_) | StorageError::Corrupt(_))) => {
                        retry.failed(&error).await?;
                    }
                }
            }
            retry.succeeded();
            self.set_aside(&step.poison);
            self.offset = step.advance.to_offset;
        }
        self.progress.reached(self.offset, step.complete_until_ms);
        Ok(())
    }

    /// Also after an apply that took effect although it seemed to fail: then the offset is this reader's own.
    async fn take_over_offset(&mut self, retry: &mut Retry) -> Result<(), Stopped> {
        self.offset = retry
            .until_done(|| self.reports.offset(self.topic, self.partition))
            .await?;
        tracing::info!(
            topic = self.topic.name(),
            partition = self.partition,
            offset = self.offset,
            "another reader went on here"
        );
        // Two readers of one partition would otherwise race for every batch.
        retry.sleep(BATCH_EVERY.mul_f64(fastrand::f64())).await
    }

    /// Counts and logs what was passed over; the records stay in the log for as long as it keeps them.
    fn set_aside(&self, poison: &[(i64, Poison)]) {
        self.metrics.poison.inc_by(poison.len() as u64);
        let (topic, partition) = (self.topic.name(), self.partition);
        for (offset, reason) in poison.iter().take(LOGGED_POISON) {
            tracing::warn!(topic, partition, offset, %reason, "record set aside");
        }
        let unlogged = poison.len().saturating_sub(LOGGED_POISON);
        if unlogged > 0 {
            tracing::warn!(topic, partition, unlogged, "more records set aside");
        }
    }
}
