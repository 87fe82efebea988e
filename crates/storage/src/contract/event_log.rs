//! Laws of [`EventLog`], for any number of partitions.
#![expect(clippy::unwrap_used, reason = "test code: a law that fails panics")]

use super::run_laws;
use crate::EventLog;
use crate::event_log::{NewRecord, Record, Topic};
use std::collections::BTreeMap;
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
