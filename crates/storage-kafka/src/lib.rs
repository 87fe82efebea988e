//! The event log on Apache Kafka 3.x and 4.x, by librdkafka.
//!
//! What it promises: an acknowledged append is on every in-sync replica; one that is not acknowledged within
//! [`DELIVERY_TIMEOUT`] has failed, though its records may still be found in the topic. Calls answer
//! [`storage::StorageError::Unavailable`] soon while Kafka is away and work again by themselves once it is back;
//! both are logged, once. Memory is bounded on both sides: what waits to be sent and what was fetched ahead.
//!
//! Must never: create a topic by the way (that is [`KafkaLog::create_topics`]), commit a consumer offset (what was read
//! is known to who stores the results), block a thread of the runtime.

mod append;
mod delivery;
mod kafka_log;
mod link;
mod membership;
mod queries;
mod read;
mod settings;
mod topics;

pub use append::DELIVERY_TIMEOUT;
pub use kafka_log::KafkaLog;
pub use settings::{Settings, SettingsError};
pub use topics::{TopicChange, TopicState, partitions_of};
