//! [`ReportStore`]: rollups, the event ids in them and the offsets they came from, in one transaction.
//!
//! Several readers apply at once, each its partitions. They lock rows in one order (offsets, ids, sites, rollups, each
//! sorted), so that they wait for each other and do not deadlock.

use crate::campaigns::in_transaction;
use crate::error::{Failure, storable};
use crate::store::PostgresStore;
use crate::{report_sites, reports_query, reports_set_aside, reports_spend, rollups};
use async_trait::async_trait;
use domain::id::CampaignId;
use sqlx::PgConnection;
use std::collections::HashSet;
use std::sync::Arc;
use storage::event_log::Topic;
use storage::report_store::{
    Advance, Applied, CONVERSION_IDS_KEPT_MS, Contribution, ReportBatch, ReportQuery, ReportRow, SetAside,
    SpendPage, fresh,
};
use storage::{ReportStore, StorageError};

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Rows forgotten in one transaction: well below its time limit.
const FORGOTTEN_AT_ONCE: i64 = 20_000;

#[async_trait]
impl ReportStore for PostgresStore {
    async fn apply(&self, batch: Arc<ReportBatch>, now_ms: i64) -> Result<Applied, StorageError> {
        let days = rollups::days_of(&batch.contributions, now_ms);
        self.primary
            .tried(async || {
                self.attach_days(&days).await?;
                let mut transaction = self.primary.write().await?;
                let outcome = apply(&mut transaction, &batch, now_ms).await;
                if outcome.as_ref().is_err_and(Failure::lacks_partition) {
                    self.known_days.forget();
                }
                transaction.finish(outcome).await
            })
            .await
            .map_err(StorageError::from)
    }

    async fn offsets(&self, partitions: &[(Topic, u32)]) -> Result<Vec<i64>, StorageError> {
        in_transaction!(self.primary, read, |connection| async {
            let offsets = sqlx::query_scalar(
                "SELECT coalesce(stored.next_offset, 0) \
                 FROM unnest($1::TEXT[], $2::BIGINT[]) WITH ORDINALITY AS wanted (topic, partition, number) \
                 LEFT JOIN report_offsets AS stored USING (topic, partition) ORDER BY wanted.number",
            );
            Ok(offsets
                .bind(partitions.iter().map(|of| of.0.name()).collect::<Vec<&str>>())
                .bind(partitions.iter().map(|of| i64::from(of.1)).collect::<Vec<i64>>())
                .fetch_all(connection)
                .await?)
        })
    }

    async fn query(&self, query: &ReportQuery) -> Result<Vec<ReportRow>, StorageError> {
        if let Some(replica) = self.replica.as_ref().filter(|replica| replica.may_be_there())
            && replica.keeps_up(&self.primary).await
        {
            let database = &replica.database;
            let answer = in_transaction!(database, read, |connection| reports_query::query(
                connection, query
            ));
            if replica.has_answered(&answer) {
                return answer;
            }
        }
        in_transaction!(self.primary, read, |connection| reports_query::query(
            connection, query
        ))
    }

    async fn spend(
        &self,
        changed_since: Option<i64>,
        after: Option<&CampaignId>,
        days_from_ms: i64,
        limit: u32,
    ) -> Result<SpendPage, StorageError> {
        let after = after.map_or("", |id| id.as_str());
        in_transaction!(self.primary, read, |connection| reports_spend::page(
            connection,
            changed_since,
            after,
            days_from_ms,
            limit
        ))
    }

    async fn set_aside(&self, limit: u32) -> Result<Vec<(i64, SetAside)>, StorageError> {
        in_transaction!(self.primary, read, |connection| reports_set_aside::latest(
            connection, limit
        ))
    }

    /// In steps of one transaction each: one that fails has forgotten a part, and is repeated.
    async fn forget_event_ids(&self, before_ms: i64) -> Result<(), StorageError> {
        // A day whose events can no longer repeat gains no values either.
        let whole_days_before_ms = before_ms.saturating_sub(DAY_MS);
        let steps = [
            (
                "DELETE FROM report_event_ids WHERE event_id = ANY(ARRAY(SELECT event_id FROM report_event_ids \
                 WHERE applied_at_ms < $1 AND event_id NOT LIKE 'conversion:%' \
                 ORDER BY applied_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED))",
                before_ms,
            ),
            (
                "DELETE FROM report_event_ids WHERE event_id = ANY(ARRAY(SELECT event_id FROM report_event_ids \
                 WHERE applied_at_ms < $1 ORDER BY applied_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED))",
                before_ms.saturating_sub(CONVERSION_IDS_KEPT_MS),
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
            (
                "DELETE FROM report_set_aside WHERE sequence = ANY(ARRAY(SELECT sequence FROM report_set_aside \
                 WHERE at_ms < $1 ORDER BY sequence LIMIT $2 FOR UPDATE SKIP LOCKED))",
                before_ms,
            ),
            (
                "DELETE FROM ledger_spend WHERE ctid = ANY(ARRAY(SELECT ctid FROM ledger_spend \
                 WHERE date <> '' AND end_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
                before_ms,
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

    async fn forget_rollups(&self, before_ms: i64) -> Result<u64, StorageError> {
        self.drop_rollups_before(before_ms).await
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

async fn apply(connection: &mut PgConnection, batch: &ReportBatch, now_ms: i64) -> Result<Applied, Failure> {
    move_offsets(connection, &batch.advances).await?;
    let fresh_ids = remember_ids(connection, &batch.contributions, now_ms).await?;
    let fresh = fresh(&batch.contributions, |id| fresh_ids.contains(&*storable(id)))?;
    let rollups = report_sites::bound(connection, rollups::storable_sums(fresh.rollups)?).await?;
    rollups::write(connection, &rollups).await?;
    reports_spend::add(connection, &fresh.books).await?;
    reports_set_aside::add(connection, &batch.set_aside, now_ms).await?;
    Ok(fresh.applied)
}

/// Those that must stand at 0 may have no row yet.
const FIRST_STEPS: &str = "INSERT INTO report_offsets AS stored (topic, partition, next_offset) \
    SELECT topic, partition, to_offset \
    FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[]) AS step (topic, partition, from_offset, to_offset) \
    ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset WHERE stored.next_offset = 0";
const LATER_STEPS: &str = "UPDATE report_offsets AS stored SET next_offset = step.to_offset \
    FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[]) AS step (topic, partition, from_offset, to_offset) \
    WHERE stored.topic = step.topic AND stored.partition = step.partition AND stored.next_offset = step.from_offset";

/// Each statement waits for a rival that holds a row, and then looks at what the rival left. Two members that hold the
/// same partitions for a moment may lock them in different orders: the deadlock undoes one, which is begun again.
async fn move_offsets(connection: &mut PgConnection, advances: &[Advance]) -> Result<(), Failure> {
    let mut sorted: Vec<&Advance> = advances.iter().collect();
    sorted.sort_unstable_by_key(|step| (step.topic.name(), step.partition));
    let (first, later): (Vec<&Advance>, Vec<&Advance>) =
        sorted.into_iter().partition(|step| step.from_offset == 0);
    for (sql, steps) in [(FIRST_STEPS, first), (LATER_STEPS, later)] {
        if steps.is_empty() {
            continue;
        }
        let moved = sqlx::query(sql)
            .bind(steps.iter().map(|step| step.topic.name()).collect::<Vec<&str>>())
            .bind(
                steps
                    .iter()
                    .map(|step| i64::from(step.partition))
                    .collect::<Vec<i64>>(),
            )
            .bind(steps.iter().map(|step| step.from_offset).collect::<Vec<i64>>())
            .bind(steps.iter().map(|step| step.to_offset).collect::<Vec<i64>>())
            .execute(&mut *connection)
            .await?
            .rows_affected();
        if moved != steps.len() as u64 {
            let why = format!(
                "{moved} of {} partitions stand where their steps begin",
                steps.len()
            );
            return Err(StorageError::Conflict(why).into());
        }
    }
    Ok(())
}

/// The ids among the contributions that were not known.
async fn remember_ids(
    connection: &mut PgConnection,
    contributions: &[Contribution],
    now_ms: i64,
) -> Result<HashSet<String>, Failure> {
    if contributions.is_empty() {
        return Ok(HashSet::new());
    }
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
