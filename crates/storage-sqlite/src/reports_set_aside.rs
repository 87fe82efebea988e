//! Records that can never be applied: the latest of them, for a person to look at.

use crate::error::storage_error;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use storage::StorageError;
use storage::event_log::Topic;
use storage::report_store::SetAside;

/// Well below SQLite's bound on what one statement binds.
const ROWS_PER_INSERT: usize = 500;

pub(crate) async fn add(
    connection: &mut SqliteConnection,
    set_aside: &[SetAside],
    now_ms: i64,
) -> Result<(), StorageError> {
    if set_aside.is_empty() {
        return Ok(());
    }
    let kept = set_aside.len().saturating_sub(SetAside::KEPT as usize);
    for some in set_aside[kept..].chunks(ROWS_PER_INSERT) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO report_set_aside (topic, partition, record_offset, reason, value, at_ms) ",
        );
        sql.push_values(some, |mut row, one| {
            row.push_bind(one.topic.name())
                .push_bind(one.partition)
                .push_bind(one.offset)
                .push_bind(one.reason.as_str())
                .push_bind(&one.value[..one.value.len().min(SetAside::VALUE_BYTES)])
                .push_bind(now_ms);
        });
        sql.build()
            .execute(&mut *connection)
            .await
            .map_err(storage_error)?;
    }
    sqlx::query(
        "DELETE FROM report_set_aside WHERE sequence <= (SELECT max(sequence) FROM report_set_aside) - ?",
    )
    .bind(SetAside::KEPT)
    .execute(connection)
    .await
    .map_err(storage_error)?;
    Ok(())
}

pub(crate) async fn latest(
    connection: &mut SqliteConnection,
    limit: u32,
) -> Result<Vec<(i64, SetAside)>, StorageError> {
    let rows: Vec<(i64, String, u32, i64, String, Vec<u8>)> = sqlx::query_as(
        "SELECT at_ms, topic, partition, record_offset, reason, value FROM report_set_aside \
         ORDER BY sequence DESC LIMIT ?",
    )
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(storage_error)?;
    rows.into_iter()
        .map(|(at_ms, topic, partition, offset, reason, value)| {
            let topic = Topic::named(&topic)
                .ok_or_else(|| StorageError::Corrupt(format!("there is no topic {topic}")))?;
            let set_aside = SetAside {
                topic,
                partition,
                offset,
                reason,
                value,
            };
            Ok((at_ms, set_aside))
        })
        .collect()
}
