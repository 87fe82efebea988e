//! Records that can never be applied: the latest of them, for a person to look at.

use crate::error::{Failure, storable};
use sqlx::PgConnection;
use storage::StorageError;
use storage::event_log::Topic;
use storage::report_store::SetAside;

pub(crate) async fn add(
    connection: &mut PgConnection,
    set_aside: &[SetAside],
    now_ms: i64,
) -> Result<(), Failure> {
    if set_aside.is_empty() {
        return Ok(());
    }
    let kept = &set_aside[set_aside.len().saturating_sub(SetAside::KEPT as usize)..];
    let value = |one: &SetAside| one.value[..one.value.len().min(SetAside::VALUE_BYTES)].to_vec();
    sqlx::query(
        "INSERT INTO report_set_aside (topic, partition, record_offset, reason, value, at_ms) \
         SELECT topic, partition, record_offset, reason, value, $6 \
         FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::BYTEA[]) \
           WITH ORDINALITY AS one (topic, partition, record_offset, reason, value, number) ORDER BY number",
    )
    .bind(kept.iter().map(|one| one.topic.name()).collect::<Vec<&str>>())
    .bind(
        kept.iter()
            .map(|one| i64::from(one.partition))
            .collect::<Vec<i64>>(),
    )
    .bind(kept.iter().map(|one| one.offset).collect::<Vec<i64>>())
    .bind(kept.iter().map(|one| storable(&one.reason)).collect::<Vec<_>>())
    .bind(kept.iter().map(value).collect::<Vec<Vec<u8>>>())
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM report_set_aside WHERE sequence <= (SELECT max(sequence) FROM report_set_aside) - $1",
    )
    .bind(i64::from(SetAside::KEPT))
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn latest(
    connection: &mut PgConnection,
    limit: u32,
) -> Result<Vec<(i64, SetAside)>, Failure> {
    let rows: Vec<(i64, String, i64, i64, String, Vec<u8>)> = sqlx::query_as(
        "SELECT at_ms, topic, partition, record_offset, reason, value FROM report_set_aside \
         ORDER BY sequence DESC LIMIT $1",
    )
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(at_ms, topic, partition, offset, reason, value)| {
            let corrupt = |what: String| Failure::Port(StorageError::Corrupt(what));
            let set_aside = SetAside {
                topic: Topic::named(&topic).ok_or_else(|| corrupt(format!("there is no topic {topic}")))?,
                partition: u32::try_from(partition).map_err(|error| corrupt(error.to_string()))?,
                offset,
                reason,
                value,
            };
            Ok((at_ms, set_aside))
        })
        .collect()
}
