//! The producers: idempotent, acknowledged by all in-sync replicas, with a bounded queue.
//!
//! A connection has one request under way, so each topic has a producer, and with it connections, of its own. With more,
//! librdkafka 2.12 takes records that a broker refused for stored once later ones of their partition are
//! (`rd_kafka_dr_implicit_ack`): brokers would not have those out of order. But from a producer that is new to a partition they
//! take any record for its first, and one that has just started may refuse a batch and take the next.

use crate::delivery::{Deliveries, Delivery};
use crate::link::Link;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::StorageError;
use storage::event_log::NewRecord;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// After this an append without an acknowledgement has failed, and its records are not sent again. What a broker that
/// hangs had received by then it may still store. Rebuilding a ledger relies on less than 8 s.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(4);
/// All that may wait to be sent or acknowledged.
const ROOM_KIB: usize = 96 * 1024;
/// Of one append at a time; more goes in several steps.
const STEP_KIB: usize = 8 * 1024;
/// What a record costs beside its key and value.
const RECORD_BYTES: usize = 512;
/// How long an append waits for room.
const ROOM_WAIT: Duration = Duration::from_millis(500);
/// While Kafka is away one append at a time is let through to see whether it is back; the others fail at once.
const PROBE_EVERY: Duration = Duration::from_millis(200);
/// A batch of records and its largest; `max.message.bytes` of the topics.
pub(crate) const MESSAGE_BYTES: &str = "8388608";

pub(crate) struct Appender {
    config: ClientConfig,
    link: Arc<Link>,
    room: Arc<Semaphore>,
    /// By topic, made when they are first needed.
    producers: Mutex<HashMap<String, Arc<ThreadedProducer<Deliveries>>>>,
    next_probe: Mutex<Instant>,
}

impl Appender {
    pub(crate) fn new(base: &ClientConfig, link: Arc<Link>) -> Self {
        Self {
            config: config(base),
            link,
            room: Arc::new(Semaphore::new(ROOM_KIB)),
            producers: Mutex::default(),
            next_probe: Mutex::new(Instant::now()),
        }
    }

    /// Refuses at once while Kafka is away, but for a probe now and then.
    pub(crate) fn admit(&self) -> Result<(), StorageError> {
        if !self.link.is_away() {
            return Ok(());
        }
        let now = Instant::now();
        let mut next_probe = self.next_probe.lock().unwrap_or_else(PoisonError::into_inner);
        if now < *next_probe {
            return Err(StorageError::Unavailable("kafka is away".to_owned()));
        }
        *next_probe = now + PROBE_EVERY;
        Ok(())
    }

    /// In steps, one after the other, so that a key keeps its order.
    pub(crate) async fn append(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let (step, kib) = step_of(rest);
            let (now, later) = rest.split_at(step);
            self.append_step(topic, now, now_ms, self.room(kib).await?)
                .await?;
            rest = later;
        }
        Ok(())
    }

    async fn room(&self, kib: u32) -> Result<OwnedSemaphorePermit, StorageError> {
        let room = self.room.clone().acquire_many_owned(kib);
        match tokio::time::timeout(ROOM_WAIT, room).await {
            Ok(Ok(room)) => Ok(room),
            // It is never closed: only the wait can end without room.
            Ok(Err(_)) | Err(_) => Err(StorageError::Unavailable("the queue to kafka is full".to_owned())),
        }
    }

    async fn append_step(
        &self,
        topic: &str,
        records: &[NewRecord],
        now_ms: i64,
        room: OwnedSemaphorePermit,
    ) -> Result<(), StorageError> {
        let producer = self.producer(topic)?;
        let (delivery, outcome) = Delivery::new(room);
        for record in records {
            let mut message = BaseRecord::with_opaque_to(topic, delivery.clone())
                .key(record.key.as_str())
                .timestamp(now_ms);
            if let Some(value) = &record.value {
                message = message.payload(value.as_slice());
            }
            delivery.one_more();
            if let Err((error, _)) = producer.send(message) {
                delivery.answered(Err(error));
                break;
            }
        }
        delivery.answered(Ok(()));
        let outcome = outcome.await.unwrap_or(Err(KafkaError::Canceled));
        outcome.map_err(|error| self.failed(topic, &producer, &error))
    }

    fn failed(
        &self,
        topic: &str,
        producer: &Arc<ThreadedProducer<Deliveries>>,
        error: &KafkaError,
    ) -> StorageError {
        if producer.client().fatal_error().is_some() {
            self.give_up(topic, producer);
        }
        match error.rdkafka_error_code() {
            Some(
                Code::MessageSizeTooLarge
                | Code::InvalidMessage
                | Code::InvalidRecord
                | Code::InvalidTimestamp,
            ) => StorageError::Corrupt(format!("kafka: topic {topic} does not take a record: {error}")),
            _ => self.link.failure(&format!("append to {topic}"), error),
        }
    }

    /// A producer that failed for good: its sequence numbers no longer fit. The next append makes a new one.
    fn give_up(&self, topic: &str, failed: &Arc<ThreadedProducer<Deliveries>>) {
        let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
        if producers
            .get(topic)
            .is_some_and(|current| Arc::ptr_eq(current, failed))
        {
            tracing::warn!(topic, "the producer failed for good, making a new one");
            let given_up = producers.remove(topic);
            // Its end waits for its thread.
            std::thread::spawn(move || drop(given_up));
        }
    }

    fn producer(&self, topic: &str) -> Result<Arc<ThreadedProducer<Deliveries>>, StorageError> {
        let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = producers.get(topic) {
            return Ok(producer.clone());
        }
        let made = self
            .config
            .create_with_context(Deliveries::new(self.link.clone()));
        let producer: Arc<ThreadedProducer<Deliveries>> = Arc::new(
            made.map_err(|error| StorageError::Unavailable(format!("kafka: no producer: {error}")))?,
        );
        producers.insert(topic.to_owned(), producer.clone());
        Ok(producer)
    }
}

/// How many of the records go together, and their room.
fn step_of(records: &[NewRecord]) -> (usize, u32) {
    let (mut count, mut bytes) = (0, 0_usize);
    for record in records {
        let size = record.key.len() + record.value.as_ref().map_or(0, Vec::len) + RECORD_BYTES;
        if count > 0 && bytes.saturating_add(size) > STEP_KIB * 1024 {
            break;
        }
        count += 1;
        bytes = bytes.saturating_add(size);
    }
    // One record alone may be too large for any topic: that the producer says.
    let kib = bytes.div_ceil(1024).min(ROOM_KIB);
    (count, u32::try_from(kib).unwrap_or(u32::MAX))
}

fn config(base: &ClientConfig) -> ClientConfig {
    let mut config = base.clone();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight.requests.per.connection", "1")
        .set("compression.type", "lz4")
        // As Java clients do, so that any tool finds a key where it is.
        .set("partitioner", "murmur2")
        .set("linger.ms", "2")
        .set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string())
        .set("request.timeout.ms", "3000")
        .set("socket.timeout.ms", "4000")
        .set("retry.backoff.ms", "50")
        .set("retry.backoff.max.ms", "500")
        .set("topic.metadata.propagation.max.ms", "1000")
        .set("socket.nagle.disable", "true")
        .set("message.max.bytes", MESSAGE_BYTES)
        // Never the limit: that is the room, which is waited for without blocking.
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", (2 * ROOM_KIB).to_string());
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bytes: usize) -> NewRecord {
        NewRecord {
            key: String::new(),
            value: Some(vec![0; bytes]),
        }
    }

    #[test]
    fn a_large_append_goes_in_steps() {
        let records: Vec<NewRecord> = (0..20).map(|_| record(1 << 20)).collect();
        let (first, kib) = step_of(&records);
        assert_eq!(first, 7);
        assert!(kib as usize <= STEP_KIB);
        assert_eq!(step_of(&records[14..]).0, 6);
        assert_eq!(
            step_of(&[record(200 << 20)]),
            (1, u32::try_from(ROOM_KIB).unwrap())
        );
        assert_eq!(step_of(&[record(0)]), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn while_kafka_is_away_only_a_probe_is_admitted() {
        let link = Arc::new(Link::default());
        let appender = Appender::new(&ClientConfig::new(), link.clone());
        assert!(appender.admit().is_ok() && appender.admit().is_ok());
        link.lost("gone");
        assert!(appender.admit().is_ok());
        assert!(appender.admit().is_err());
        tokio::time::advance(PROBE_EVERY).await;
        assert!(appender.admit().is_ok());
        assert!(appender.admit().is_err());
        link.found();
        assert!(appender.admit().is_ok());
    }
}
