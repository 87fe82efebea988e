//! The partitions of `rollups`: one a UTC day, attached before its first row, dropped whole when it is too old.

use crate::campaigns::{in_transaction, tried_in_transaction};
use crate::error::Failure;
use crate::reports::DAY_MS;
use crate::store::PostgresStore;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use storage::StorageError;

/// "ads\0days" as a number: who attaches or drops a partition holds this lock.
const PARTITIONS_LOCK: i64 = 0x6164_7300_6461_7973;

/// Dropping locks the whole of `rollups`: while it waits for a report to end, those who come after it wait behind it.
const LOCK_BRIEFLY: &str = "SET LOCAL lock_timeout = '100ms'";

/// Days whose partition this process has seen. A hint only: another process may drop one, and inserting says so.
#[derive(Default)]
pub(crate) struct KnownDays(Mutex<BTreeSet<i64>>);

impl KnownDays {
    fn missing(&self, days: &BTreeSet<i64>) -> BTreeSet<i64> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        days.difference(&known).copied().collect()
    }

    fn remember(&self, days: BTreeSet<i64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(days);
    }

    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl PostgresStore {
    /// Drops the rollups of every UTC day that ended at or before the instant; how many days. A day that is in use stays for
    /// the next time. Repeat it daily.
    pub async fn drop_rollups_before(&self, before_ms: i64) -> Result<u64, StorageError> {
        let partitions: Vec<String> = in_transaction!(self.primary, read, |connection| async {
            let names = sqlx::query_scalar(
                "SELECT c.relname::TEXT FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid \
                 WHERE i.inhparent = 'rollups'::REGCLASS",
            );
            Ok(names.fetch_all(connection).await?)
        })?;
        let mut dropped = 0;
        for day in partitions.iter().filter_map(|name| day_named(name)) {
            if day.saturating_add(1).saturating_mul(DAY_MS) <= before_ms {
                match tried_in_transaction!(self.primary, write, |connection| drop_day(connection, day)) {
                    Err(failure) if failure.is_lock_timeout() => {}
                    outcome => {
                        outcome?;
                        dropped += 1;
                    }
                }
            }
        }
        self.known_days.forget();
        Ok(dropped)
    }

    /// A transaction of its own, before the one that inserts: attaching waits for no reader and no other writer.
    pub(crate) async fn attach_days(&self, days: &BTreeSet<i64>) -> Result<(), Failure> {
        let missing = self.known_days.missing(days);
        if missing.is_empty() {
            return Ok(());
        }
        let mut transaction = self.primary.write().await?;
        let attached = attach(&mut transaction, &missing).await;
        transaction.finish(attached).await?;
        self.known_days.remember(missing);
        Ok(())
    }
}

fn partition_name(day: i64) -> String {
    // Days before 1970 come from broken clocks alone, but a name must be one.
    let sign = if day < 0 { "before_" } else { "" };
    format!("rollups_day_{sign}{}", day.unsigned_abs())
}

fn day_named(partition: &str) -> Option<i64> {
    let number = partition.strip_prefix("rollups_day_")?;
    match number.strip_prefix("before_") {
        Some(number) => number.parse::<i64>().ok()?.checked_neg(),
        None => number.parse().ok(),
    }
}

async fn lock(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(PARTITIONS_LOCK)
        .execute(connection)
        .await?;
    Ok(())
}

async fn attach(connection: &mut PgConnection, days: &BTreeSet<i64>) -> Result<(), Failure> {
    lock(connection).await?;
    for day in days {
        let name = partition_name(*day);
        let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&name)
            .fetch_one(&mut *connection)
            .await?;
        if exists {
            continue;
        }
        let (from_ms, to_ms) = (
            day.saturating_mul(DAY_MS),
            day.saturating_add(1).saturating_mul(DAY_MS),
        );
        // CREATE TABLE … PARTITION OF would lock readers out of the whole table; ATTACH does not. The name and the
        // bounds are made of numbers alone.
        let sql = format!(
            "CREATE TABLE {name} (LIKE rollups INCLUDING DEFAULTS INCLUDING CONSTRAINTS); \
             ALTER TABLE rollups ATTACH PARTITION {name} FOR VALUES FROM ({from_ms}) TO ({to_ms})"
        );
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn drop_day(connection: &mut PgConnection, day: i64) -> Result<(), Failure> {
    lock(connection).await?;
    let sql = format!("{LOCK_BRIEFLY}; DROP TABLE IF EXISTS {}", partition_name(day));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_s_name_says_its_day() {
        for day in [0, 1, 20_833, -1, i64::MAX] {
            assert_eq!(day_named(&partition_name(day)), Some(day));
        }
        for other in ["rollups", "rollups_day_", "rollups_day_x", "rollups_default"] {
            assert_eq!(day_named(other), None);
        }
    }
}
