//! An event log in memory, which keeps every record: a simulation of many seeds has no time for files.

use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;
use storage::event_log::{AllPartitions, Batch, Membership, NewRecord, Record, Topic};
use storage::{EventLog, StorageError};

const PARTITIONS: u32 = 3;

/// When it was appended, and the record.
type Kept = (i64, Record);

/// By topic and partition: records in the order of their offsets, each with the time it was appended.
#[derive(Default)]
pub(crate) struct MemoryLog {
    records: Mutex<HashMap<(Topic, u32), Vec<Kept>>>,
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(&self, topic: Topic, new: Vec<NewRecord>, now_ms: i64) -> Result<(), StorageError> {
        let mut records = self.records.lock().unwrap();
        for NewRecord { key, value } in new {
            let partition = key.bytes().map(u32::from).sum::<u32>() % PARTITIONS;
            let of = records.entry((topic, partition)).or_default();
            let offset = i64::try_from(of.len()).unwrap();
            of.push((now_ms, Record { offset, key, value }));
        }
        Ok(())
    }

    async fn partitions(&self, _: Topic) -> Result<u32, StorageError> {
        Ok(PARTITIONS)
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from_offset: i64,
        limit: u32,
        _: Duration,
    ) -> Result<Batch, StorageError> {
        let records = self.records.lock().unwrap();
        let of = records.get(&(topic, partition)).map_or(&[][..], Vec::as_slice);
        let later = of.iter().skip(usize::try_from(from_offset).unwrap());
        let records: Vec<Record> = later
            .take(limit as usize)
            .map(|(_, record)| record.clone())
            .collect();
        let next_offset = records.last().map_or(from_offset, |last| last.offset + 1);
        Ok(Batch { records, next_offset })
    }

    async fn end_offset(&self, topic: Topic, partition: u32) -> Result<i64, StorageError> {
        let records = self.records.lock().unwrap();
        let count = records.get(&(topic, partition)).map_or(0, Vec::len);
        Ok(i64::try_from(count).unwrap())
    }

    async fn offset_at(&self, topic: Topic, partition: u32, at_ms: i64) -> Result<i64, StorageError> {
        let records = self.records.lock().unwrap();
        let of = records.get(&(topic, partition)).map_or(&[][..], Vec::as_slice);
        let count = of.partition_point(|(of_ms, _)| *of_ms < at_ms);
        Ok(i64::try_from(count).unwrap())
    }

    async fn join(&self, _: &str, _: &[Topic]) -> Result<Box<dyn Membership>, StorageError> {
        Ok(Box::new(AllPartitions(Some(Vec::new()))))
    }

    async fn trim(&self, _: i64) -> Result<(), StorageError> {
        Ok(())
    }
}
