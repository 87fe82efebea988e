//! [`ReportStore`]: rollups, the event ids in them and the offsets they came from, in one transaction.
//!
//! Several readers apply at once, each its partitions. They lock rows in one order (offsets, ids, sites, rollups, each
//! sorted), so that they wait for each other and do not deadlock.

use crate::campaigns::in_transaction;
use crate::error::{Failure, storable};
use crate::rollups::Rollups;
use crate::store::PostgresStore;
use crate::{report_sites, reports_query, rollups};
use async_trait::async_trait;
use sqlx::PgConnection;
use std::collections::HashSet;
use storage::event_log::Topic;
use storage::report_store::{Advance, Applied, Contribution, ReportQuery, ReportRow, Totals};
use storage::{ReportStore, StorageError};

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Rows forgotten in one transaction: well below its time limit.
const FORGOTTEN_AT_ONCE: i64 = 20_000;

#[async_trait]
impl ReportStore for PostgresStore {
    async fn apply(
        &self,
        advances: &[Advance],
        contributions: &[Contribution],
        now_ms: i64,
    ) -> Result<Applied, StorageError> {
        let days = rollups::days_of(contributions, now_ms);
        self.primary
            .attempt(async || {
                self.attach_days(&days).await?;
                let mut transaction = self.primary.write().await?;
                let outcome = apply(&mut transaction, advances, contributions, now_ms).await;
                if outcome.as_ref().is_err_and(Failure::lacks_partition) {
                    self.known_days.forget();
                }
                transaction.finish(outcome).await
            })
            .await
    }

    async fn offset(&self, topic: Topic, partition: u32) -> Result<i64, StorageError> {
        let next: Option<i64> = in_transaction!(self.primary, read, |connection| async {
            let next = sqlx::query_scalar(
                "SELECT next_offset FROM report_offsets WHERE topic = $1 AND partition = $2",
            );
            Ok(next
                .bind(topic.name())
                .bind(i64::from(partition))
                .fetch_optional(connection)
                .await?)
        })?;
        Ok(next.unwrap_or(0))
    }

    async fn query(&self, query: &ReportQuery) -> Result<Vec<ReportRow>, StorageError> {
        let database = self.for_reports();
        in_transaction!(database, read, |connection| reports_query::query(
            connection, query
        ))
    }

    /// In steps of one transaction each: one that fails has forgotten a part, and is repeated.
    async fn forget_event_ids(&self, before_ms: i64) -> Result<(), StorageError> {
        // A day whose events can no longer repeat gains no values either.
        let whole_days_before_ms = before_ms.saturating_sub(DAY_MS);
        let steps = [
            (
                "DELETE FROM report_event_ids WHERE event_id = ANY(ARRAY(SELECT event_id FROM report_event_ids \
                 WHERE applied_at_ms < $1 ORDER BY applied_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED))",
                before_ms,
            ),
            (
                "DELETE FROM report_sites WHERE ctid = ANY(ARRAY(SELECT ctid FROM report_sites \
                 WHERE day_start_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
                whole_days_before_ms,
            ),
            (
                "DELETE FROM report_site_counts WHERE ctid = ANY(ARRAY(SELECT ctid FROM report_site_counts \
                 WHERE day_start_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
                whole_days_before_ms,
            ),
        ];
        for (sql, limit_ms) in steps {
            while in_transaction!(self.primary, write, |connection| delete_some(
                connection, sql, limit_ms
            ))? > 0
            {}
        }
        Ok(())
    }
}

async fn delete_some(
    connection: &mut PgConnection,
    sql: &'static str,
    limit_ms: i64,
) -> Result<u64, Failure> {
    let deleted = sqlx::query(sql)
        .bind(limit_ms)
        .bind(FORGOTTEN_AT_ONCE)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}

async fn apply(
    connection: &mut PgConnection,
    advances: &[Advance],
    contributions: &[Contribution],
    now_ms: i64,
) -> Result<Applied, Failure> {
    let mut sorted: Vec<&Advance> = advances.iter().collect();
    // Stable: steps through one partition stay in their order.
    sorted.sort_by_key(|advance| (advance.topic.name(), advance.partition));
    for advance in sorted {
        move_offset(connection, advance).await?;
    }
    let mut fresh_ids = remember_ids(connection, contributions, now_ms).await?;
    let mut applied = Applied::default();
    let mut rollups = Rollups::new();
    for contribution in contributions {
        // Removed at its first use: a second one in the same batch is a repeat.
        if !fresh_ids.remove(&*storable(&contribution.event_id)) {
            applied.repeated += 1;
            continue;
        }
        applied.fresh += 1;
        for (quarter_start_ms, dimensions, totals) in &contribution.rows {
            rollups::add(
                &mut rollups,
                *quarter_start_ms,
                rollups::storable(dimensions),
                *totals,
            )?;
        }
    }
    rollups.retain(|_, totals| *totals != Totals::default());
    let rollups = report_sites::bound(connection, rollups).await?;
    rollups::write(connection, &rollups).await?;
    Ok(applied)
}

async fn move_offset(connection: &mut PgConnection, advance: &Advance) -> Result<(), Failure> {
    // Each waits for a rival that holds the row, and then looks at what the rival left. 0 is also the offset of no row.
    let sql = if advance.from_offset == 0 {
        "INSERT INTO report_offsets AS stored (topic, partition, next_offset) VALUES ($1, $2, $4) \
         ON CONFLICT (topic, partition) DO UPDATE SET next_offset = $4 WHERE stored.next_offset = $3"
    } else {
        "UPDATE report_offsets SET next_offset = $4 WHERE topic = $1 AND partition = $2 AND next_offset = $3"
    };
    let moved = sqlx::query(sql)
        .bind(advance.topic.name())
        .bind(i64::from(advance.partition))
        .bind(advance.from_offset)
        .bind(advance.to_offset)
        .execute(connection)
        .await?;
    if moved.rows_affected() > 0 {
        return Ok(());
    }
    Err(Failure::Port(StorageError::Conflict(format!(
        "topic {} partition {} does not stand at {}",
        advance.topic.name(),
        advance.partition,
        advance.from_offset
    ))))
}

/// The ids among the contributions that were not known.
async fn remember_ids(
    connection: &mut PgConnection,
    contributions: &[Contribution],
    now_ms: i64,
) -> Result<HashSet<String>, Failure> {
    let mut ids: Vec<_> = contributions.iter().map(|one| storable(&one.event_id)).collect();
    ids.sort_unstable();
    ids.dedup();
    let fresh: Vec<String> = sqlx::query_scalar(
        "INSERT INTO report_event_ids (event_id, applied_at_ms) SELECT id, $2 FROM unnest($1::TEXT[]) AS id \
         ON CONFLICT (event_id) DO NOTHING RETURNING event_id",
    )
    .bind(ids)
    .bind(now_ms)
    .fetch_all(connection)
    .await?;
    Ok(fresh.into_iter().collect())
}
