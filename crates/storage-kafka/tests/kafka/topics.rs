//! Topics as the command makes and corrects them, and what their settings do to readers.

use crate::broker::{fresh_log, settings, shared};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use storage::contract::event_log::{read_all, record};
use storage::event_log::Topic;
use storage::{EventLog, StorageError};
use storage_kafka::{KafkaLog, Settings, TopicState, partitions_of};
use test_servers::kafka::Broker;

const NOW_MS: i64 = 1_800_000_000_000;

fn admin(broker: &Broker) -> AdminClient<DefaultClientContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    config.create().unwrap()
}

async fn make(broker: &Broker, name: String, partitions: i32, config: &[(&str, &str)]) {
    let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    for (setting, value) in config {
        topic = topic.set(setting, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    let made = admin(broker).create_topics([&topic], &options).await.unwrap();
    made.into_iter().for_each(|made| drop(made.unwrap()));
}

async fn described(broker: &Broker, name: &str) -> BTreeMap<String, String> {
    let topic = ResourceSpecifier::Topic(name);
    let described = admin(broker)
        .describe_configs([&topic], &AdminOptions::new())
        .await
        .unwrap();
    let resources = described
        .into_iter()
        .flat_map(|resource| resource.unwrap().entries);
    resources
        .map(|entry| (entry.name, entry.value.unwrap_or_default()))
        .collect()
}

fn states(changes: Vec<storage_kafka::TopicChange>, settings: &Settings) -> BTreeMap<String, TopicState> {
    let short = |name: String| name.strip_prefix(&settings.topic_prefix).unwrap().to_owned();
    changes
        .into_iter()
        .map(|change| (short(change.topic), change.state))
        .collect()
}

async fn eventually<T>(what: &str, mut tried: impl AsyncFnMut() -> Result<T, StorageError>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match tried().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < deadline, "{what}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_made_once_and_then_left_alone() {
    let Some(broker) = shared().await else { return };
    let settings = settings(broker);
    let log = KafkaLog::new(&settings).unwrap();
    let made = states(log.create_topics(1, 1).await.unwrap(), &settings);
    assert_eq!(made.len(), Topic::ALL.len());
    for topic in Topic::ALL {
        let partitions = partitions_of(topic);
        assert_eq!(made[topic.name()], TopicState::Created { partitions });
        assert_eq!(log.partitions(topic).await.unwrap(), partitions);
    }
    let again = states(log.create_topics(1, 1).await.unwrap(), &settings);
    assert!(
        again.values().all(|state| *state == TopicState::Unchanged),
        "{again:?}"
    );
    let refused = log.create_topics(1, 2).await;
    assert!(matches!(refused, Err(StorageError::Conflict(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_of_another_shape_is_corrected() {
    let Some(broker) = shared().await else { return };
    let settings = settings(broker);
    let name = |topic: Topic| format!("{}{}", settings.topic_prefix, topic.name());
    let by_hand = [("retention.ms", "1000"), ("flush.messages", "12345")];
    make(broker, name(Topic::Spend), 3, &by_hand).await;
    make(broker, name(Topic::Deals), 2, &[]).await;
    make(broker, name(Topic::Campaigns), 2, &[]).await;
    let log = KafkaLog::new(&settings).unwrap();
    let campaign = vec![record("c", "v")];
    eventually("append", async || {
        log.append(Topic::Campaigns, campaign.clone(), NOW_MS / 2).await
    })
    .await;

    let changes = states(log.create_topics(1, 1).await.unwrap(), &settings);

    let TopicState::Corrected {
        partitions,
        settings: changed,
    } = &changes["spend"]
    else {
        panic!("{:?}", changes["spend"]);
    };
    assert_eq!(*partitions, Some((3, 24)));
    let retention = changed
        .iter()
        .find(|(setting, ..)| setting == "retention.ms")
        .unwrap();
    let thirty_five_days = "3024000000".to_owned();
    assert_eq!(
        *retention,
        (
            "retention.ms".to_owned(),
            Some("1000".to_owned()),
            thirty_five_days.clone()
        )
    );
    let spend = described(broker, &name(Topic::Spend)).await;
    assert_eq!(spend["retention.ms"], thirty_five_days);
    assert_eq!(
        spend["flush.messages"], "12345",
        "what an operator set beside stays"
    );
    assert_eq!(log.partitions(Topic::Spend).await.unwrap(), 24);

    assert!(matches!(
        changes["deals"],
        TopicState::Corrected {
            partitions: Some((2, 6)),
            ..
        }
    ));
    // It holds a record: grown, the next version of that key could land in another partition.
    assert_eq!(
        changes["campaigns"],
        TopicState::TooFewPartitions {
            partitions: 2,
            wanted: 6
        }
    );
    assert_eq!(
        described(broker, &name(Topic::Campaigns)).await["cleanup.policy"],
        "compact"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_topic_is_told_and_not_made() {
    let Some(broker) = shared().await else { return };
    let log = KafkaLog::new(&settings(broker)).unwrap();
    let absent = |error: StorageError| {
        let told = matches!(&error, StorageError::Unavailable(text) if text.contains("`adplatform topics`"));
        assert!(told, "{error}");
    };
    // The broker would make one for whoever asks by the way.
    absent(
        log.append(Topic::Spend, vec![record("k", "v")], NOW_MS)
            .await
            .unwrap_err(),
    );
    absent(log.partitions(Topic::Spend).await.unwrap_err());
    absent(log.join("group", &[Topic::Spend]).await.err().unwrap());
    absent(log.partitions(Topic::Spend).await.unwrap_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_what_retention_removed_begins_at_the_first_record_left() {
    let Some(broker) = shared().await else { return };
    let settings = settings(broker);
    let log = crate::broker::log_with_topics(&settings).await;
    let ten = (0..10).map(|n| record("k", &n.to_string())).collect();
    log.append(Topic::Status, ten, NOW_MS).await.unwrap();
    let remove_below = async |offset: i64| {
        let mut list = TopicPartitionList::new();
        let name = format!("{}status", settings.topic_prefix);
        list.add_partition_offset(&name, 0, Offset::Offset(offset))
            .unwrap();
        admin(broker)
            .delete_records(&list, &AdminOptions::new())
            .await
            .unwrap();
    };
    let read = async |from| {
        let batch = log
            .read(Topic::Status, 0, from, 100, Duration::ZERO)
            .await
            .unwrap();
        let offsets: Vec<i64> = batch.records.iter().map(|record| record.offset).collect();
        (offsets, batch.next_offset)
    };
    assert_eq!(read(0).await.1, 10);
    remove_below(5).await;
    assert_eq!(read(0).await, ((5..10).collect(), 10));
    assert_eq!(read(2).await, ((5..10).collect(), 10));
    remove_below(10).await;
    assert_eq!(
        read(3).await,
        (vec![], 10),
        "nothing is left, and the reader stands at the end"
    );
    let beyond = log.read(Topic::Status, 0, 11, 100, Duration::ZERO).await;
    assert!(matches!(beyond, Err(StorageError::Unavailable(_))), "{beyond:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_topic_is_read_over_its_gaps() {
    let Some(broker) = shared().await else { return };
    let settings = settings(broker);
    let name = format!("{}ledger_checkpoints", settings.topic_prefix);
    let quickly = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "1000"),
        ("min.cleanable.dirty.ratio", "0.001"),
    ];
    make(broker, name, 2, &quickly).await;
    let log = KafkaLog::new(&settings).unwrap();
    let past_ms = 1_700_000_000_000;
    // One key, so one partition; each round begins a segment.
    for round in 0..30 {
        let batch = vec![
            record("k", &format!("{round}")),
            record("k", &format!("{round} again")),
        ];
        let at_ms = past_ms + round * 5_000;
        eventually("append", async || {
            log.append(Topic::LedgerCheckpoints, batch.clone(), at_ms).await
        })
        .await;
    }
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        // A reader of its own each time: it begins with nothing fetched.
        let fresh = KafkaLog::new(&settings).unwrap();
        let records = read_all(&fresh, Topic::LedgerCheckpoints).await;
        assert_eq!(
            records.last().unwrap().value.as_deref(),
            Some(b"29 again".as_slice())
        );
        if records.len() < 20 {
            return;
        }
        assert!(Instant::now() < deadline, "nothing is compacted");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_where_java_clients_put_them() {
    let Some(broker) = shared().await else { return };
    let log = fresh_log(broker).await;
    // Hashes of Kafka's own tests of its clients.
    let hashes: [(&str, i32); 4] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
    ];
    for (key, hash) in hashes {
        log.append(Topic::Bids, vec![record(key, key)], NOW_MS)
            .await
            .unwrap();
        let partition = u32::try_from((hash & 0x7fff_ffff) % 24).unwrap();
        let batch = log.read(Topic::Bids, partition, 0, 10, Duration::ZERO).await;
        let end = log.end_offset(Topic::Bids, partition).await.unwrap();
        let batch = match batch.unwrap() {
            batch if batch.records.is_empty() => log
                .read(Topic::Bids, partition, 0, 10, Duration::from_secs(5))
                .await
                .unwrap(),
            batch => batch,
        };
        assert!(
            end > 0 && batch.records.iter().any(|record| record.key == key),
            "{key}"
        );
    }
}
