//! The broker that most tests share, and logs of their own on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use storage::EventLog;
use storage::contract::event_log::record;
use storage::event_log::Topic;
use storage_kafka::{KafkaLog, Settings};
use test_servers::kafka::Broker;
use tokio::sync::OnceCell;

/// Ends with the process.
pub(crate) async fn shared() -> Option<&'static Broker> {
    static BROKER: OnceCell<Option<Broker>> = OnceCell::const_new();
    BROKER.get_or_init(Broker::start).await.as_ref()
}

pub(crate) fn settings(broker: &Broker) -> Settings {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    Settings {
        brokers: broker.bootstrap(),
        topic_prefix: format!("t{}.", NEXT.fetch_add(1, Relaxed)),
        ..Settings::default()
    }
}

/// With topics of its own.
pub(crate) async fn fresh_log(broker: &Broker) -> Arc<KafkaLog> {
    log_with_topics(&settings(broker)).await
}

pub(crate) async fn log_with_topics(settings: &Settings) -> Arc<KafkaLog> {
    let log = KafkaLog::new(settings).unwrap();
    log.create_topics(1, 1).await.unwrap();
    // A broker's first producer waits for it to find numbers for producers: no test is about that.
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = log.append(Topic::Diagnosis, vec![record("k", "v")], 0).await {
        assert!(Instant::now() < deadline, "{error}");
    }
    Arc::new(log)
}
