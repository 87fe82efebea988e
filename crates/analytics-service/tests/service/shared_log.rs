//! An event log in memory with many partitions, whose readers share them.

use crate::app::NOW_MS;
use async_trait::async_trait;
use domain::id::BidId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::event_log::{Batch, Membership, NewRecord, Record, Topic};
use storage::{EventLog, StorageError};
use tokio::sync::watch;

pub(crate) const PARTITIONS: u32 = 4;

#[derive(Default)]
struct State {
    records: BTreeMap<(Topic, u32), Vec<NewRecord>>,
    members: BTreeSet<u64>,
    joined: u64,
}

pub(crate) struct SharedLog {
    state: Arc<Mutex<State>>,
    /// Counts up with each append and each change of members.
    changes: Arc<watch::Sender<u64>>,
}

impl SharedLog {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Arc::default(),
            changes: Arc::new(watch::Sender::new(0)),
        })
    }

    /// One event of each bid, in the partition of the bid.
    pub(crate) fn append_of_bids<E: Serialize>(&self, topic: Topic, events: &[(u128, E)]) {
        let mut state = self.state.lock().unwrap();
        for (bid, event) in events {
            let record = NewRecord {
                key: BidId(*bid).to_string(),
                value: Some(serde_json::to_vec(event).unwrap()),
            };
            let partition = u32::try_from(bid % u128::from(PARTITIONS)).unwrap();
            state.records.entry((topic, partition)).or_default().push(record);
        }
        drop(state);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Values of the partition, in their order.
    pub(crate) fn values(&self, topic: Topic, partition: u32) -> Vec<Vec<u8>> {
        let state = self.state.lock().unwrap();
        let records = state.records.get(&(topic, partition)).into_iter().flatten();
        records.filter_map(|record| record.value.clone()).collect()
    }

    pub(crate) fn ends(&self, topic: Topic) -> Vec<((Topic, u32), i64)> {
        let end = |partition| i64::try_from(self.values(topic, partition).len()).unwrap();
        (0..PARTITIONS)
            .map(|partition| ((topic, partition), end(partition)))
            .collect()
    }
}

#[async_trait]
impl EventLog for SharedLog {
    async fn append(&self, topic: Topic, records: Vec<NewRecord>, _now_ms: i64) -> Result<(), StorageError> {
        let mut state = self.state.lock().unwrap();
        state.records.entry((topic, 0)).or_default().extend(records);
        drop(state);
        self.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }

    async fn partitions(&self, _topic: Topic) -> Result<u32, StorageError> {
        Ok(PARTITIONS)
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from_offset: i64,
        limit: u32,
        wait: Duration,
    ) -> Result<Batch, StorageError> {
        let mut changes = self.changes.subscribe();
        let until = tokio::time::Instant::now() + wait;
        loop {
            changes.borrow_and_update();
            let records: Vec<Record> = (0..)
                .zip(self.values(topic, partition))
                .skip(usize::try_from(from_offset).unwrap())
                .take(limit as usize)
                .map(|(offset, value)| Record {
                    offset,
                    key: String::new(),
                    value: Some(value),
                })
                .collect();
            if !records.is_empty() || tokio::time::timeout_at(until, changes.changed()).await.is_err() {
                let next_offset = records.last().map_or(from_offset, |last| last.offset + 1);
                return Ok(Batch { records, next_offset });
            }
        }
    }

    async fn end_offset(&self, topic: Topic, partition: u32) -> Result<i64, StorageError> {
        Ok(i64::try_from(self.values(topic, partition).len()).unwrap())
    }

    async fn offset_at(&self, _: Topic, _: u32, at_ms: i64) -> Result<i64, StorageError> {
        assert_eq!(at_ms, NOW_MS, "no test asks for another instant");
        Ok(0)
    }

    async fn join(&self, _group: &str, topics: &[Topic]) -> Result<Box<dyn Membership>, StorageError> {
        let mut state = self.state.lock().unwrap();
        state.joined += 1;
        let id = state.joined;
        state.members.insert(id);
        drop(state);
        let changes = self.changes.subscribe();
        self.changes.send_modify(|changes| *changes += 1);
        Ok(Box::new(Member {
            id,
            topics: topics.to_vec(),
            told: None,
            state: self.state.clone(),
            changes,
            tell: self.changes.clone(),
        }))
    }

    async fn trim(&self, _now_ms: i64) -> Result<(), StorageError> {
        Ok(())
    }
}

struct Member {
    id: u64,
    topics: Vec<Topic>,
    told: Option<Vec<(Topic, u32)>>,
    state: Arc<Mutex<State>>,
    changes: watch::Receiver<u64>,
    tell: Arc<watch::Sender<u64>>,
}

impl Member {
    fn share(&self) -> Vec<(Topic, u32)> {
        let state = self.state.lock().unwrap();
        let members = state.members.len();
        let place = state.members.iter().position(|id| *id == self.id).unwrap();
        let all = self
            .topics
            .iter()
            .flat_map(|topic| (0..PARTITIONS).map(|partition| (*topic, partition)));
        all.filter(|of| of.1 as usize % members == place).collect()
    }
}

#[async_trait]
impl Membership for Member {
    async fn assigned(&mut self) -> Result<Vec<(Topic, u32)>, StorageError> {
        loop {
            let share = self.share();
            if self.told.as_ref() != Some(&share) {
                self.told = Some(share.clone());
                return Ok(share);
            }
            self.changes.changed().await.unwrap();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.state.lock().unwrap().members.remove(&self.id);
        self.tell.send_modify(|changes| *changes += 1);
    }
}
