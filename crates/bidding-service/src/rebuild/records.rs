//! One topic up to where it ended when the rebuild began, partition by partition.

use super::skipped::Place;
use futures_util::future::try_join_all;
use std::sync::Arc;
use std::time::Duration;
use storage::event_log::{Record, Topic};
use storage::{EventLog, StorageError};

const READ_AT_ONCE: u32 = 5_000;
const WAIT: Duration = Duration::from_millis(500);
/// A log that does not give what it says it has is given this many chances.
const EMPTY_READS: u32 = 20;

pub(super) struct Records {
    log: Arc<dyn EventLog>,
    topic: Topic,
    ends: Vec<i64>,
    /// The partition being read and where it goes on.
    partition: usize,
    next: Vec<i64>,
}

impl Records {
    pub(super) async fn until_now(log: &Arc<dyn EventLog>, topic: Topic) -> Result<Self, StorageError> {
        let partitions = 0..log.partitions(topic).await?;
        // All asked at once: one after the other they would be a round trip each.
        let ends = try_join_all(partitions.map(|partition| log.end_offset(topic, partition))).await?;
        Ok(Self {
            log: log.clone(),
            topic,
            next: ends.clone(),
            ends,
            partition: 0,
        })
    }

    /// By partition: the first record kept that was appended at or after the instant.
    pub(super) async fn kept_since(&self, at_ms: i64) -> Result<Vec<i64>, StorageError> {
        let partitions = (0_u32..).take(self.ends.len());
        let first = |partition| self.log.offset_at(self.topic, partition, at_ms.max(0));
        try_join_all(partitions.map(first)).await
    }

    /// Reads from these offsets on, by partition.
    pub(super) fn start(&mut self, from: &[i64]) {
        self.partition = 0;
        for (next, from) in self.next.iter_mut().zip(from) {
            *next = *from;
        }
    }

    pub(super) fn place(&self, partition: u32, record: &Record) -> Place {
        Place {
            topic: self.topic,
            partition,
            offset: record.offset,
        }
    }

    /// Some records and their partition; `None` when all have been read.
    ///
    /// # Errors
    /// The log is unavailable, or does not give records that it has.
    pub(super) async fn next(&mut self) -> Result<Option<(u32, Vec<Record>)>, StorageError> {
        let mut empty_reads = 0;
        while let (Some(end), Some(next)) = (self.ends.get(self.partition), self.next.get_mut(self.partition))
        {
            if *next >= *end {
                self.partition += 1;
                empty_reads = 0;
                continue;
            }
            let partition = u32::try_from(self.partition).unwrap_or(u32::MAX);
            let batch = self
                .log
                .read(self.topic, partition, *next, READ_AT_ONCE, WAIT)
                .await?;
            let went_on = batch.next_offset > *next;
            *next = batch.next_offset.max(*next);
            let mut records = batch.records;
            records.retain(|record| record.offset < *end);
            if !records.is_empty() {
                return Ok(Some((partition, records)));
            }
            empty_reads = if went_on { 0 } else { empty_reads + 1 };
            if empty_reads >= EMPTY_READS {
                let topic = self.topic.name();
                return Err(StorageError::Unavailable(format!(
                    "partition {partition} of topic {topic} does not give the records before its end"
                )));
            }
        }
        Ok(None)
    }
}
