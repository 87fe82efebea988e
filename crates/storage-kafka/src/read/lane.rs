//! One consumer.

use crate::link::{Link, Listener};
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use std::sync::Arc;
use std::time::Duration;
use storage::StorageError;

pub(super) struct Lane {
    pub(super) consumer: Arc<BaseConsumer<Listener>>,
}

impl Lane {
    pub(super) fn new(config: &ClientConfig, link: Arc<Link>) -> Result<Self, StorageError> {
        let made = config.create_with_context(Listener::of_busy(link));
        let consumer =
            made.map_err(|error| StorageError::Unavailable(format!("kafka: no consumer: {error}")))?;
        Ok(Self {
            consumer: Arc::new(consumer),
        })
    }

    /// Takes errors and log lines. Records are in the queues of their partitions.
    pub(super) fn serve(&self) {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            if event.is_ok() {
                tracing::error!("a record came outside of its partition's queue");
            }
        }
    }
}

pub(super) fn config(base: &ClientConfig, prefix: &str) -> ClientConfig {
    let mut config = base.clone();
    config
        // librdkafka assigns partitions only to a consumer with a group; it commits nothing to it.
        .set("group.id", format!("{prefix}adplatform-readers"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Below what retention kept a reader begins at the first record left.
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_uncommitted")
        // One request waits at a broker at a time: a partition that joins, joins the next.
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "100")
        .set("fetch.message.max.bytes", "524288")
        .set("fetch.max.bytes", "16777216")
        // Of each partition. A full queue is looked at again soon.
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.queue.backoff.ms", "5")
        .set("socket.timeout.ms", "10000");
    config
}
