//! What people set, as the adapters take it: field for field, so that a new one cannot be forgotten.

use platform::config::{KafkaSettings, PostgresSettings, RedisSettings};

#[must_use]
pub fn postgres(at: &PostgresSettings) -> storage_postgres::Settings {
    let PostgresSettings {
        database_url,
        replica_url,
        pool_size,
    } = at.clone();
    storage_postgres::Settings {
        database_url,
        replica_url,
        pool_size,
    }
}

#[must_use]
pub fn redis(at: &RedisSettings) -> storage_redis::Settings {
    let RedisSettings {
        nodes,
        cluster,
        username,
        password,
        ca_file,
    } = at.clone();
    storage_redis::Settings {
        nodes,
        cluster,
        username,
        password,
        ca_file,
    }
}

#[must_use]
pub fn kafka(at: &KafkaSettings) -> storage_kafka::Settings {
    let KafkaSettings {
        brokers,
        security_protocol,
        sasl_mechanism,
        sasl_username,
        sasl_password,
        ca_file,
    } = at.clone();
    storage_kafka::Settings {
        brokers,
        security_protocol: Some(security_protocol),
        sasl_mechanism,
        sasl_username,
        sasl_password,
        ca_file,
        topic_prefix: String::new(),
    }
}
