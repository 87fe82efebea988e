//! A place in a partition, and the queue of what was fetched from there on.

use super::lane::Lane;
use crate::link::Listener;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::Duration;
use storage::StorageError;
use storage::event_log::Record;
use tokio::sync::Notify;
use tokio::time::Instant;

const SEEK_PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Cursor {
    lane: Arc<Lane>,
    queue: PartitionQueue<Listener>,
    topic: String,
    partition: i32,
    is_assigned: bool,
    /// The queue has something.
    filled: Arc<Notify>,
    /// The next offset that is still to come.
    pub(super) position: i64,
    /// The queue told of the partition's end, and nothing came since.
    pub(super) is_at_end: bool,
    /// The partition's end before this was placed, until something came: an end of the partition that is told before
    /// any record means that there is none below it.
    end_when_placed: Option<i64>,
}

impl Cursor {
    pub(super) fn new(lane: Arc<Lane>, topic: &str, partition: i32) -> Result<Self, StorageError> {
        // Before the partition is assigned, or its first records would come elsewhere.
        let queue = lane.consumer.split_partition_queue(topic, partition);
        let mut queue = queue
            .ok_or_else(|| StorageError::Unavailable(format!("kafka: no queue for {topic}/{partition}")))?;
        let filled = Arc::new(Notify::new());
        let woken = filled.clone();
        queue.set_nonempty_callback(move || woken.notify_one());
        Ok(Self {
            lane,
            queue,
            topic: topic.to_owned(),
            partition,
            is_assigned: false,
            filled,
            position: -1,
            is_at_end: false,
            end_when_placed: None,
        })
    }

    /// Blocks for moments. `end` is an end of the partition that was asked for before.
    pub(super) fn placed_at(mut self, offset: i64, end: i64) -> Result<Self, StorageError> {
        let consumer = &self.lane.consumer;
        let is_sought = self.is_assigned
            && consumer
                .seek(&self.topic, self.partition, Offset::Offset(offset), SEEK_PATIENCE)
                .is_ok();
        if !is_sought {
            self.unassign();
            self.assign(offset).map_err(|error| {
                StorageError::Unavailable(format!("kafka: {}/{}: {error}", self.topic, self.partition))
            })?;
            self.is_assigned = true;
        }
        self.position = offset;
        self.is_at_end = false;
        self.end_when_placed = Some(end);
        Ok(self)
    }

    fn unassign(&mut self) {
        if std::mem::take(&mut self.is_assigned) {
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.topic, self.partition);
            if let Err(error) = self.lane.consumer.incremental_unassign(&list) {
                tracing::debug!(topic = self.topic, partition = self.partition, %error, "giving up a partition");
            }
        }
    }

    fn assign(&self, offset: i64) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, self.partition, Offset::Offset(offset))?;
        self.lane.consumer.incremental_assign(&list)
    }

    /// At most `limit` of the records that were fetched.
    pub(super) fn take(&mut self, limit: u32) -> Result<Vec<Record>, StorageError> {
        let mut records = Vec::new();
        while records.len() < limit as usize {
            match self.queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    // From before it was placed, or a log that begins again behind a reader: it has those.
                    if message.offset() >= self.position {
                        self.position = message.offset().saturating_add(1);
                        records.push(record(&message));
                    }
                    self.is_at_end = false;
                    self.end_when_placed = None;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.is_at_end = true;
                    if let Some(end) = self.end_when_placed.take() {
                        self.position = self.position.max(end);
                    }
                }
                Some(Err(error)) => self.endure(&error)?,
            }
        }
        Ok(records)
    }

    /// librdkafka goes on by itself after most errors.
    fn endure(&self, error: &KafkaError) -> Result<(), StorageError> {
        match error.rdkafka_error_code() {
            Some(
                Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::AutoOffsetReset
                | Code::Fatal,
            ) => Err(StorageError::Unavailable(format!(
                "kafka: {}/{}: {error}",
                self.topic, self.partition
            ))),
            _ => {
                tracing::debug!(topic = self.topic, partition = self.partition, %error, "reading");
                Ok(())
            }
        }
    }

    /// Returns when the queue has something, or at the instant.
    pub(super) async fn wait_until(&self, at: Instant) {
        // Either way the queue is looked at.
        let _ = tokio::time::timeout_at(at, self.filled.notified()).await;
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.unassign();
    }
}

/// A key that is not text is for who reads it to set aside.
fn record(message: &BorrowedMessage<'_>) -> Record {
    let key = message.key().unwrap_or_default();
    Record {
        offset: message.offset(),
        key: String::from_utf8_lossy(key).into_owned(),
        value: message.payload().map(<[u8]>::to_vec),
    }
}
