//! The producers: idempotent, acknowledged by all in-sync replicas, with a bounded queue.
//!
//! A connection has one request under way, and a request carries one partition: so there are several producers, and with them
//! connections, each for some of the partitions. With more under way librdkafka 2.12 takes records that a broker refused for
//! stored once later ones of their partition are (`rd_kafka_dr_implicit_ack`): brokers would not have those out of order. But
//! from a producer that is new to a partition they take any record for its first, and one that has just started may refuse a
//! batch and take the next.

use crate::delivery::{Deliveries, Delivery};
use crate::link::Link;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::StorageError;
use storage::event_log::NewRecord;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// After this an append without an acknowledgement has failed, and its records are not sent again. What a broker that
/// hangs had received by then it may still store. Rebuilding a ledger relies on less than 8 s.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(4);
/// Producers. Topics of events have three times as many partitions, each of which takes a round trip to its broker.
const LANES: usize = 8;
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
    /// Made when they are first needed.
    producers: [Mutex<Option<Arc<ThreadedProducer<Deliveries>>>>; LANES],
    next_probe: Mutex<Instant>,
}

impl Appender {
    pub(crate) fn new(base: &ClientConfig, link: Arc<Link>) -> Self {
        Self {
            config: config(base),
            link,
            room: Arc::new(Semaphore::new(ROOM_KIB)),
            producers: [const { Mutex::new(None) }; LANES],
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
        let producers = records.iter().map(|record| self.producer(&record.key));
        let producers = producers.collect::<Result<Vec<_>, StorageError>>()?;
        let (delivery, outcome) = Delivery::new(room);
        for (record, producer) in records.iter().zip(&producers) {
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
        outcome.map_err(|error| self.failed(topic, &error))
    }

    fn failed(&self, topic: &str, error: &KafkaError) -> StorageError {
        self.producers.iter().for_each(give_up_what_failed);
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

    fn producer(&self, key: &str) -> Result<Arc<ThreadedProducer<Deliveries>>, StorageError> {
        let mut current = self.producers[lane_of(key)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = &*current {
            return Ok(producer.clone());
        }
        let made = self
            .config
            .create_with_context(Deliveries::new(self.link.clone()));
        let producer: Arc<ThreadedProducer<Deliveries>> = Arc::new(
            made.map_err(|error| StorageError::Unavailable(format!("kafka: no producer: {error}")))?,
        );
        *current = Some(producer.clone());
        Ok(producer)
    }
}

/// A producer fails for good when its sequence numbers no longer fit. The next append makes a new one.
fn give_up_what_failed(producer: &Mutex<Option<Arc<ThreadedProducer<Deliveries>>>>) {
    let mut producer = producer.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = producer.take_if(|producer| producer.client().fatal_error().is_some());
    if failed.is_some() {
        tracing::warn!("a producer failed for good, making a new one");
        // Its end waits for its thread.
        std::thread::spawn(move || drop(failed));
    }
}

/// Always the same for a key, so that its records keep their order; and where the number of partitions is a multiple of
/// [`LANES`], always the same for a partition.
fn lane_of(key: &str) -> usize {
    (murmur2(key.as_bytes()) & 0x7fff_ffff) as usize % LANES
}

/// By which partitions are chosen, as Java clients do (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(bytes: &[u8]) -> u32 {
    const FACTOR: u32 = 0x5bd1_e995;
    let (words, rest) = bytes.as_chunks::<4>();
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(FACTOR);
        word = (word ^ (word >> 24)).wrapping_mul(FACTOR);
        hash = hash.wrapping_mul(FACTOR) ^ word;
    }
    if !rest.is_empty() {
        let rest = rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ rest).wrapping_mul(FACTOR);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(FACTOR);
    hash ^ (hash >> 15)
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

    /// The values are of Apache Kafka's own tests.
    #[test]
    fn keys_are_hashed_as_java_clients_do() {
        for (key, hash) in [("21", -973_932_308), ("foobar", -790_332_482)] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
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
