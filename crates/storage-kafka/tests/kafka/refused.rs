//! A broker that refuses a batch and takes the one after it, as one that has just started may. A mock: no real broker does
//! so when it is told to.

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::time::Duration;
use storage::EventLog;
use storage::contract::event_log::{read_all, record};
use storage::event_log::Topic;
use storage_kafka::{KafkaLog, Settings};

/// Longer than records are held back for others to come.
const APART: Duration = Duration::from_millis(10);
/// The answer to a batch comes when those after it are ready to be sent.
const ROUND_TRIP: Duration = Duration::from_millis(100);
const RECORDS: usize = 4;
/// In different ones of two partitions.
const KEYS: [&str; 2] = ["a", "b"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_is_not_taken_for_stored_when_later_records_are() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(Topic::Spend.name(), 2, 1).unwrap();
    let settings = Settings {
        brokers: cluster.bootstrap_servers(),
        ..Settings::default()
    };
    let log = KafkaLog::new(&settings).unwrap();
    let append = async |key: &str, value: &str| log.append(Topic::Spend, vec![record(key, value)], 0).await;
    append(KEYS[0], "elsewhere").await.unwrap();

    cluster.broker_round_trip_time(1, ROUND_TRIP).unwrap();
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refusal]);
    let appends = (0..RECORDS).map(async |number| {
        tokio::time::sleep(APART * u32::try_from(number).unwrap()).await;
        append(KEYS[1], &number.to_string()).await
    });
    for appended in futures_util::future::join_all(appends).await {
        appended.unwrap();
    }
    let stored = read_all(&log, Topic::Spend).await;
    let stored = stored.into_iter().filter(|record| record.key == KEYS[1]);
    let stored: Vec<Vec<u8>> = stored.filter_map(|record| record.value).collect();
    let appended: Vec<Vec<u8>> = (0..RECORDS)
        .map(|number| number.to_string().into_bytes())
        .collect();
    assert_eq!(stored, appended);
}
