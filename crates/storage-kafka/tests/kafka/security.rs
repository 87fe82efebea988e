//! Logging in, and encryption.

use std::time::{Duration, Instant};
use storage::contract::event_log::{read_all, record};
use storage::event_log::Topic;
use storage::{EventLog, StorageError};
use storage_kafka::{KafkaLog, Settings};
use test_servers::kafka::{Broker, Options};

const NOW_MS: i64 = 1_800_000_000_000;
const NAME: &str = "alice";
const PASSWORD: &str = "quiet-secret";

fn settings(brokers: String, protocol: &str, mechanism: &str) -> Settings {
    Settings {
        brokers,
        security_protocol: Some(protocol.to_owned()),
        sasl_mechanism: Some(mechanism.to_owned()),
        sasl_username: Some(NAME.to_owned()),
        sasl_password: Some(PASSWORD.to_owned()),
        // Each way in has topics of its own: a test may come in by several.
        topic_prefix: format!("{protocol}.{mechanism}."),
        ..Settings::default()
    }
}

async fn works(settings: &Settings) {
    let log = KafkaLog::new(settings).unwrap();
    log.create_topics(1, 1).await.unwrap();
    log.append(Topic::Spend, vec![record("k", "v")], NOW_MS)
        .await
        .unwrap();
    assert_eq!(read_all(&log, Topic::Spend).await.len(), 1);
    let mut member = log.join("group", &[Topic::Status]).await.unwrap();
    assert_eq!(member.assigned().await.unwrap(), [(Topic::Status, 0)]);
}

/// Waits until the refusal says that it is one: the first answer may be no more than that the connection was closed.
async fn is_refused_for(settings: &Settings, reason: &str) {
    let log = KafkaLog::new(settings).unwrap();
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        match log.partitions(Topic::Spend).await {
            Err(StorageError::Unavailable(why)) => {
                assert!(!why.contains(PASSWORD) && !why.contains("wrong"), "{why}");
                if why.to_lowercase().contains(reason) {
                    return;
                }
                assert!(Instant::now() < give_up, "{why}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_and_a_password_log_in() {
    let options = Options::default().sasl(NAME, PASSWORD);
    let Some(broker) = Broker::start_with(&options).await else {
        return;
    };
    let mut settings = settings(broker.sasl_bootstrap(), "SASL_PLAINTEXT", "PLAIN");
    works(&settings).await;
    settings.sasl_password = Some("wrong".to_owned());
    is_refused_for(&settings, "authentication").await;
}

#[cfg(feature = "kafka-tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_with_scram_it_works_and_another_authority_is_refused() {
    use test_servers::certificates::Certificates;

    let certificates = Certificates::new();
    let options = Options::default().sasl(NAME, PASSWORD).tls(&certificates);
    let Some(broker) = Broker::start_with(&options).await else {
        return;
    };
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] {
        let mut settings = settings(broker.tls_bootstrap(), "SASL_SSL", mechanism);
        settings.ca_file = Some(certificates.authority());
        works(&settings).await;
    }
    works(&settings(
        broker.sasl_bootstrap(),
        "SASL_PLAINTEXT",
        "SCRAM-SHA-256",
    ))
    .await;
    let mut settings = settings(broker.tls_bootstrap(), "SASL_SSL", "SCRAM-SHA-256");
    settings.ca_file = Some(Certificates::new().authority());
    is_refused_for(&settings, "certificate").await;
}
