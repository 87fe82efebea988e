//! [`EventLog`]: a topic is one partition, its offsets in the order of commit.

use crate::batches::Batches;
use crate::error::storage_error;
use crate::store::SqliteStore;
use crate::writer::Writer;
use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use std::collections::HashSet;
use std::time::Duration;
use storage::event_log::{AllPartitions, Batch, Membership, NewRecord, Record, Topic};
use storage::{EventLog, StorageError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Records of one INSERT: its statement is prepared once.
const ROWS_PER_INSERT: usize = 100;
/// How often a waiting reader looks for what other processes appended.
const POLL: Duration = Duration::from_millis(50);
/// How long a tombstone stays, for readers that are behind to see it.
const TOMBSTONE_HOLD_MS: i64 = 24 * 60 * 60 * 1_000;
/// Records removed in one transaction, so that trimming does not hold up writers.
const TRIM_STEP: i64 = 10_000;

#[async_trait]
impl EventLog for SqliteStore {
    async fn append(
        &self,
        topic: Topic,
        mut records: Vec<NewRecord>,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        if records.is_empty() {
            return Ok(());
        }
        if topic.is_compacted() {
            keep_last_of_each_key(&mut records);
        }
        let records = records.into_iter().map(|record| (record, now_ms)).collect();
        self.shared.appends.run(Append { topic, records }).await?;
        self.appended(topic).notify_waiters();
        Ok(())
    }

    async fn partitions(&self, _topic: Topic) -> Result<u32, StorageError> {
        Ok(1)
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from_offset: i64,
        limit: u32,
        wait: Duration,
    ) -> Result<Batch, StorageError> {
        let until = Instant::now() + wait;
        loop {
            // Enabled before the look, or an append between look and wait would be missed.
            let mut appended = std::pin::pin!(self.appended(topic).notified());
            appended.as_mut().enable();
            // Read before the records: what is below it is committed, so nothing can be skipped.
            let end_offset = self.end_offset(topic, partition).await?;
            if end_offset > from_offset && limit > 0 {
                let batch = self.batch(topic, from_offset, end_offset, limit).await?;
                if !batch.records.is_empty() || Instant::now() >= until {
                    return Ok(batch);
                }
            }
            let now = Instant::now();
            if now >= until {
                return Ok(Batch {
                    records: Vec::new(),
                    next_offset: from_offset,
                });
            }
            // Either way the loop looks again.
            let _ = tokio::time::timeout_at(until.min(now + POLL), appended).await;
        }
    }

    async fn end_offset(&self, topic: Topic, partition: u32) -> Result<i64, StorageError> {
        if partition != 0 {
            return Err(StorageError::Conflict(format!(
                "topic {} has no partition {partition}",
                topic.name()
            )));
        }
        self.run_read(move |connection| {
            Box::pin(async move {
                let next: Option<i64> = sqlx::query_scalar("SELECT next_offset FROM topics WHERE topic = ?")
                    .bind(topic.name())
                    .fetch_optional(connection)
                    .await
                    .map_err(storage_error)?;
                Ok(next.unwrap_or(0))
            })
        })
        .await
    }

    async fn offset_at(&self, topic: Topic, partition: u32, at_ms: i64) -> Result<i64, StorageError> {
        let end_offset = self.end_offset(topic, partition).await?;
        self.run_read(move |connection| {
            Box::pin(async move {
                let first: Option<i64> = sqlx::query_scalar(
                    "SELECT record_offset FROM records WHERE topic = ? AND at_ms >= ? ORDER BY record_offset LIMIT 1",
                )
                .bind(topic.name())
                .bind(at_ms)
                .fetch_optional(connection)
                .await
                .map_err(storage_error)?;
                Ok(first.unwrap_or(end_offset))
            })
        })
        .await
    }

    async fn join(&self, _group: &str, topics: &[Topic]) -> Result<Box<dyn Membership>, StorageError> {
        let all = topics.iter().map(|topic| (*topic, 0)).collect();
        Ok(Box::new(AllPartitions(Some(all))))
    }

    async fn trim(&self, now_ms: i64) -> Result<(), StorageError> {
        for topic in Topic::ALL {
            if let Some(retention) = topic.retention() {
                let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
                self.trim_older(topic, now_ms.saturating_sub(retention_ms))
                    .await?;
            } else {
                self.trim_tombstones(topic, now_ms.saturating_sub(TOMBSTONE_HOLD_MS))
                    .await?;
            }
        }
        Ok(())
    }
}

pub(crate) type AppendBatches = Batches<Append, ()>;

/// One call's records, each with its time, Unix milliseconds.
pub(crate) struct Append {
    topic: Topic,
    records: Vec<(NewRecord, i64)>,
}

/// Appends that wait at the same time are one for each topic, in the order of their calls.
pub(crate) fn batches(writer: &Writer) -> AppendBatches {
    Batches::start(writer.clone(), |connection, appends: Vec<Append>| {
        Box::pin(async move {
            let answers = appends.iter().map(|_| Ok(())).collect();
            let mut joined: Vec<Append> = Vec::new();
            for append in appends {
                // Records of a compacted topic replace each other: those of each call stay apart.
                let same = |of: &&mut Append| of.topic == append.topic && !of.topic.is_compacted();
                match joined.iter_mut().find(same) {
                    Some(of) => of.records.extend(append.records),
                    None => joined.push(append),
                }
            }
            for of in joined {
                self::append(connection, of.topic, of.records).await?;
            }
            Ok(answers)
        })
    })
}

impl SqliteStore {
    fn appended(&self, topic: Topic) -> &Notify {
        // `Topic::ALL` lists the variants in their order.
        &self.shared.appended[topic as usize]
    }

    async fn batch(
        &self,
        topic: Topic,
        from_offset: i64,
        end_offset: i64,
        limit: u32,
    ) -> Result<Batch, StorageError> {
        let rows: Vec<(i64, String, Option<Vec<u8>>)> = self.run_read(move |connection| {
            Box::pin(async move {
                sqlx::query_as(
                    "SELECT record_offset, key, value FROM records \
                     WHERE topic = ? AND record_offset >= ? AND record_offset < ? ORDER BY record_offset LIMIT ?",
                )
                .bind(topic.name())
                .bind(from_offset)
                .bind(end_offset)
                .bind(limit)
                .fetch_all(connection)
                .await
                .map_err(storage_error)
            })
        })
        .await?;
        let next_offset = match rows.last() {
            Some((last, ..)) if rows.len() >= limit as usize => last.saturating_add(1),
            _ => end_offset,
        };
        let record = |(offset, key, value)| Record { offset, key, value };
        Ok(Batch {
            records: rows.into_iter().map(record).collect(),
            next_offset,
        })
    }

    async fn trim_older(&self, topic: Topic, before_ms: i64) -> Result<(), StorageError> {
        loop {
            let removed = self
                .run_write(move |connection| {
                    Box::pin(async move {
                        // Records are in the order of time, but for clocks that differ by moments: the old ones lead.
                        sqlx::query(
                            "DELETE FROM records WHERE topic = ?1 AND record_offset IN (SELECT record_offset FROM \
                               (SELECT record_offset, at_ms FROM records WHERE topic = ?1 \
                                ORDER BY record_offset LIMIT ?3) WHERE at_ms < ?2)",
                        )
                        .bind(topic.name())
                        .bind(before_ms)
                        .bind(TRIM_STEP)
                        .execute(connection)
                        .await
                        .map_err(storage_error)
                    })
                })
                .await?;
            if removed.rows_affected() == 0 {
                return Ok(());
            }
        }
    }

    async fn trim_tombstones(&self, topic: Topic, before_ms: i64) -> Result<(), StorageError> {
        self.run_write(move |connection| {
            Box::pin(async move {
                sqlx::query("DELETE FROM records WHERE topic = ? AND value IS NULL AND at_ms < ?")
                    .bind(topic.name())
                    .bind(before_ms)
                    .execute(connection)
                    .await
                    .map_err(storage_error)?;
                Ok(())
            })
        })
        .await
    }
}

fn keep_last_of_each_key(records: &mut Vec<NewRecord>) {
    let mut seen = HashSet::with_capacity(records.len());
    records.reverse();
    records.retain(|record| seen.insert(record.key.clone()));
    records.reverse();
}

async fn append(
    connection: &mut SqliteConnection,
    topic: Topic,
    records: Vec<(NewRecord, i64)>,
) -> Result<(), StorageError> {
    if topic.is_compacted() {
        remove_keys(connection, topic, &records).await?;
    }
    let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
    let next_offset: i64 = sqlx::query_scalar(
        "INSERT INTO topics (topic, next_offset) VALUES (?1, ?2) \
         ON CONFLICT (topic) DO UPDATE SET next_offset = next_offset + ?2 RETURNING next_offset",
    )
    .bind(topic.name())
    .bind(count)
    .fetch_one(&mut *connection)
    .await
    .map_err(storage_error)?;
    let mut offsets = next_offset.saturating_sub(count)..next_offset;
    let mut waiting = records.into_iter().peekable();
    while waiting.peek().is_some() {
        let rows = waiting.by_ref().take(ROWS_PER_INSERT).zip(offsets.by_ref());
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO records (topic, record_offset, key, value, at_ms, compacted) ",
        );
        sql.push_values(rows, |mut row, ((record, at_ms), offset)| {
            row.push_bind(topic.name())
                .push_bind(offset)
                .push_bind(record.key)
                .push_bind(record.value)
                .push_bind(at_ms)
                .push_bind(topic.is_compacted());
        });
        sql.build()
            .execute(&mut *connection)
            .await
            .map_err(storage_error)?;
    }
    Ok(())
}

/// Left to itself SQLite goes through the whole topic by its primary key.
pub(crate) const REMOVE_KEYS: &str = "DELETE FROM records INDEXED BY records_key \
     WHERE compacted = 1 AND topic = ? AND key IN (SELECT value FROM json_each(?))";

async fn remove_keys(
    connection: &mut SqliteConnection,
    topic: Topic,
    records: &[(NewRecord, i64)],
) -> Result<(), StorageError> {
    let keys: Vec<&str> = records.iter().map(|(record, _)| record.key.as_str()).collect();
    sqlx::query(REMOVE_KEYS)
        .bind(topic.name())
        .bind(serde_json::to_string(&keys)?)
        .execute(connection)
        .await
        .map_err(storage_error)?;
    Ok(())
}
