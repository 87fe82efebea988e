//! Laws of [`EventLog`], for any number of partitions.
#![expect(clippy::unwrap_used, reason = "test code: a law that fails panics")]

use super::run_laws;
use crate::EventLog;
use crate::event_log::{Membership, NewRecord, Record, Topic};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const NOW_MS: i64 = 1_800_000_000_000;
/// Long enough for any store; a law that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn all<F: AsyncFn() -> Arc<dyn EventLog>>(fresh: F) {
    run_laws!(fresh;
        an_empty_topic_reads_as_nothing,
        records_read_back_in_the_order_of_their_keys,
        topics_do_not_mix,
        a_read_goes_on_where_the_last_one_ended,
        a_waiting_read_wakes_with_an_append,
        a_read_gives_up_after_its_wait,
        a_fold_of_a_compacted_topic_gives_the_last_of_each_key,
        concurrent_appends_lose_nothing,
        keys_and_values_of_any_kind_read_back,
        a_tombstone_reads_back_without_a_value,
        readers_at_different_places_do_not_disturb_each_other,
        the_offset_of_an_instant_is_that_of_the_first_record_since,
        members_share_every_partition_and_take_over_from_one_who_leaves,
    );
}

pub fn record(key: &str, value: &str) -> NewRecord {
    NewRecord {
        key: key.to_owned(),
        value: Some(value.as_bytes().to_vec()),
    }
}

/// Every record of the topic, partition by partition, two at a time.
pub async fn read_all(log: &dyn EventLog, topic: Topic) -> Vec<Record> {
    let mut records = Vec::new();
    for partition in 0..log.partitions(topic).await.unwrap() {
        let mut offset = 0;
        while offset < log.end_offset(topic, partition).await.unwrap() {
            let batch = log
                .read(topic, partition, offset, 2, Duration::ZERO)
                .await
                .unwrap();
            assert!(batch.records.len() <= 2);
            assert!(batch.next_offset > offset, "a read below the end must get on");
            for record in batch.records {
                assert!(offset <= record.offset && record.offset < batch.next_offset);
                offset = record.offset + 1;
                records.push(record);
            }
            offset = batch.next_offset;
        }
    }
    records
}

fn values_of(records: &[Record], key: &str) -> Vec<String> {
    let of_key = records.iter().filter(|record| record.key == key);
    of_key
        .map(|record| String::from_utf8(record.value.clone().unwrap()).unwrap())
        .collect()
}

pub async fn an_empty_topic_reads_as_nothing(log: Arc<dyn EventLog>) {
    assert!(log.partitions(Topic::Bids).await.unwrap() > 0);
    let batch = log.read(Topic::Bids, 0, 0, 10, Duration::ZERO).await.unwrap();
    assert!(batch.records.is_empty());
    assert_eq!(batch.next_offset, log.end_offset(Topic::Bids, 0).await.unwrap());
}

pub async fn records_read_back_in_the_order_of_their_keys(log: Arc<dyn EventLog>) {
    for round in 0..3 {
        let batch = ["a", "b"].map(|key| record(key, &format!("{key}{round}")));
        log.append(Topic::Spend, batch.to_vec(), NOW_MS).await.unwrap();
    }
    let many: Vec<NewRecord> = (0..250).map(|n| record("many", &n.to_string())).collect();
    log.append(Topic::Spend, many, NOW_MS).await.unwrap();
    let records = read_all(&*log, Topic::Spend).await;
    assert_eq!(values_of(&records, "a"), ["a0", "a1", "a2"]);
    assert_eq!(values_of(&records, "b"), ["b0", "b1", "b2"]);
    assert_eq!(
        values_of(&records, "many"),
        (0..250).map(|n| n.to_string()).collect::<Vec<_>>()
    );
}

pub async fn topics_do_not_mix(log: Arc<dyn EventLog>) {
    log.append(Topic::Wins, vec![record("a", "win")], NOW_MS)
        .await
        .unwrap();
    log.append(Topic::Losses, vec![record("a", "loss")], NOW_MS)
        .await
        .unwrap();
    assert_eq!(values_of(&read_all(&*log, Topic::Wins).await, "a"), ["win"]);
}

pub async fn a_read_goes_on_where_the_last_one_ended(log: Arc<dyn EventLog>) {
    let ten: Vec<NewRecord> = (0..10).map(|n| record("k", &n.to_string())).collect();
    log.append(Topic::Clicks, ten, NOW_MS).await.unwrap();
    // `read_all` checks offsets; one key is in one partition, so all ten come in order.
    let records = read_all(&*log, Topic::Clicks).await;
    assert_eq!(records.len(), 10);
    assert!(records.is_sorted_by(|one, next| one.offset < next.offset));
}

pub async fn a_waiting_read_wakes_with_an_append(log: Arc<dyn EventLog>) {
    log.append(Topic::Impressions, vec![record("k", "first")], NOW_MS)
        .await
        .unwrap();
    let mut partition = 0;
    while log.end_offset(Topic::Impressions, partition).await.unwrap() == 0 {
        partition += 1;
    }
    let from = log.end_offset(Topic::Impressions, partition).await.unwrap();
    let reader = log.clone();
    let waiting = tokio::spawn(async move {
        reader
            .read(Topic::Impressions, partition, from, 10, PATIENCE)
            .await
            .unwrap()
    });
    log.append(Topic::Impressions, vec![record("k", "second")], NOW_MS)
        .await
        .unwrap();
    let batch = waiting.await.unwrap();
    assert_eq!(values_of(&batch.records, "k"), ["second"]);
}

pub async fn a_read_gives_up_after_its_wait(log: Arc<dyn EventLog>) {
    let read = log.read(Topic::Status, 0, 0, 10, Duration::from_millis(120));
    let batch = tokio::time::timeout(PATIENCE, read)
        .await
        .expect("gives up")
        .unwrap();
    assert!(batch.records.is_empty());
}

pub async fn a_fold_of_a_compacted_topic_gives_the_last_of_each_key(log: Arc<dyn EventLog>) {
    let tombstone = NewRecord {
        key: "gone".to_owned(),
        value: None,
    };
    let batches = [
        vec![record("kept", "1"), record("gone", "1"), record("kept", "2")],
        vec![record("other", "1"), tombstone, record("kept", "3")],
    ];
    for batch in batches {
        log.append(Topic::Campaigns, batch, NOW_MS).await.unwrap();
    }
    let records = read_all(&*log, Topic::Campaigns).await;
    let folded: BTreeMap<String, Option<Vec<u8>>> = records
        .into_iter()
        .map(|record| (record.key, record.value))
        .collect();
    assert_eq!(folded.get("kept"), Some(&Some(b"3".to_vec())));
    assert_eq!(folded.get("other"), Some(&Some(b"1".to_vec())));
    assert_eq!(folded.get("gone").cloned().flatten(), None);
}

pub async fn concurrent_appends_lose_nothing(log: Arc<dyn EventLog>) {
    let mut appends = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let log = log.clone();
        appends.spawn(async move {
            for n in 0..20 {
                let batch = vec![record(&format!("w{writer}"), &n.to_string())];
                log.append(Topic::Conversions, batch, NOW_MS).await.unwrap();
            }
        });
    }
    while let Some(done) = appends.join_next().await {
        done.unwrap();
    }
    let records = read_all(&*log, Topic::Conversions).await;
    let in_order: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    for writer in 0..8 {
        assert_eq!(values_of(&records, &format!("w{writer}")), in_order);
    }
}

pub async fn keys_and_values_of_any_kind_read_back(log: Arc<dyn EventLog>) {
    let large = "x".repeat(3 << 20);
    let long = "k".repeat(300);
    let appended = [
        ("", "empty key"),
        ("ключ", "значение"),
        ("empty", ""),
        ("large", &large),
        (&long, "long"),
    ];
    let batch = appended.map(|(key, value)| record(key, value));
    log.append(Topic::Deals, batch.to_vec(), NOW_MS).await.unwrap();
    let records = read_all(&*log, Topic::Deals).await;
    assert_eq!(records.len(), appended.len());
    for (key, value) in appended {
        assert!(
            values_of(&records, key) == [value],
            "{} bytes of {key}",
            value.len()
        );
    }
}

pub async fn a_tombstone_reads_back_without_a_value(log: Arc<dyn EventLog>) {
    let tombstone = NewRecord {
        key: "gone".to_owned(),
        value: None,
    };
    log.append(Topic::Exchanges, vec![tombstone], NOW_MS)
        .await
        .unwrap();
    let records = read_all(&*log, Topic::Exchanges).await;
    let read: Vec<_> = records
        .iter()
        .map(|record| (record.key.as_str(), &record.value))
        .collect();
    assert_eq!(read, [("gone", &None)]);
}

/// The partition of a key, which has records in no other, and where it begins and ends.
async fn partition_in_use(log: &dyn EventLog, topic: Topic) -> (u32, i64) {
    for partition in 0..log.partitions(topic).await.unwrap() {
        let end = log.end_offset(topic, partition).await.unwrap();
        if end > 0 {
            return (partition, end);
        }
    }
    panic!("nothing is in topic {}", topic.name());
}

pub async fn readers_at_different_places_do_not_disturb_each_other(log: Arc<dyn EventLog>) {
    let many: Vec<NewRecord> = (0..60).map(|n| record("k", &n.to_string())).collect();
    log.append(Topic::Spend, many, NOW_MS).await.unwrap();
    let (partition, end) = partition_in_use(&*log, Topic::Spend).await;
    let mut readers = tokio::task::JoinSet::new();
    for begin in [0, 20, 0, 40, 50, 10] {
        let log = log.clone();
        readers.spawn(async move {
            let mut offset = begin;
            let mut read = Vec::new();
            while offset < end {
                let batch = log
                    .read(Topic::Spend, partition, offset, 7, PATIENCE)
                    .await
                    .unwrap();
                read.extend(values_of(&batch.records, "k"));
                offset = batch.next_offset;
            }
            // One key: its records are one after the other, from the partition's first offset on.
            assert_eq!(read, (begin..60).map(|n| n.to_string()).collect::<Vec<_>>());
        });
    }
    while let Some(read) = readers.join_next().await {
        read.unwrap();
    }
}

pub async fn the_offset_of_an_instant_is_that_of_the_first_record_since(log: Arc<dyn EventLog>) {
    let quiet = log.offset_at(Topic::Wins, 0, NOW_MS).await.unwrap();
    assert_eq!(quiet, log.end_offset(Topic::Wins, 0).await.unwrap());
    let times = [NOW_MS, NOW_MS + 1_000, NOW_MS + 2_000];
    for at_ms in times {
        let batch = vec![record("k", "first"), record("k", "second")];
        log.append(Topic::Wins, batch, at_ms).await.unwrap();
    }
    let (partition, end) = partition_in_use(&*log, Topic::Wins).await;
    let records = read_all(&*log, Topic::Wins).await;
    let expected = [
        (NOW_MS - 1, records[0].offset),
        (NOW_MS, records[0].offset),
        (NOW_MS + 1, records[2].offset),
        (NOW_MS + 1_000, records[2].offset),
        (NOW_MS + 2_000, records[4].offset),
        (NOW_MS + 2_001, end),
        (i64::MAX, end),
        (i64::MIN, records[0].offset),
    ];
    for (at_ms, offset) in expected {
        let found = log.offset_at(Topic::Wins, partition, at_ms).await.unwrap();
        assert_eq!(
            found,
            offset,
            "{} ms after the first",
            at_ms.saturating_sub(NOW_MS)
        );
    }
}

pub async fn members_share_every_partition_and_take_over_from_one_who_leaves(log: Arc<dyn EventLog>) {
    let topics = [Topic::Bids, Topic::Spend];
    let mut all = BTreeSet::new();
    for topic in topics {
        all.extend((0..log.partitions(topic).await.unwrap()).map(|partition| (topic, partition)));
    }
    let mut first = Member::join(&*log, &topics).await;
    first.until("one member holds all", |held| *held == all).await;
    let mut second = Member::join(&*log, &topics).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    // Both hold something, and together everything.
    while second.held.is_empty() || first.held.union(&second.held).cloned().collect::<BTreeSet<_>>() != all {
        let news = async {
            tokio::select! {
                news = first.membership.assigned() => first.held = news.unwrap().into_iter().collect(),
                news = second.membership.assigned() => second.held = news.unwrap().into_iter().collect(),
            }
        };
        let in_time = tokio::time::timeout_at(deadline, news).await;
        in_time.expect("two members share the partitions");
    }
    drop(second);
    first.until("who stays holds all", |held| *held == all).await;
}

struct Member {
    membership: Box<dyn Membership>,
    held: BTreeSet<(Topic, u32)>,
}

impl Member {
    async fn join(log: &dyn EventLog, topics: &[Topic]) -> Self {
        Self {
            membership: log.join("law", topics).await.unwrap(),
            held: BTreeSet::new(),
        }
    }

    async fn until(&mut self, what: &str, is_so: impl Fn(&BTreeSet<(Topic, u32)>) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !is_so(&self.held) {
            let news = tokio::time::timeout_at(deadline, self.membership.assigned()).await;
            self.held = news.expect(what).unwrap().into_iter().collect();
        }
    }
}
