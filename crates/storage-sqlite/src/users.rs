//! [`UserStates`]: frequency counters, audience members and links.

use crate::error::storage_error;
use crate::store::SqliteStore;
use async_trait::async_trait;
use sqlx::SqliteConnection;
use storage::user_states::{CounterKey, UserState};
use storage::{StorageError, UserStates};

/// At least the longest window, a month of thirty days: as long as the repeat of an event could count twice.
const EVENT_ID_HOLD_MS: i64 = 31 * 24 * 60 * 60 * 1_000;

#[async_trait]
impl UserStates for SqliteStore {
    async fn read(&self, user_key: &str, now_ms: i64) -> Result<UserState, StorageError> {
        let user_key = user_key.to_owned();
        let rows: Vec<(i64, String, i64, i64)> = self
            .run_read(move |connection| {
                Box::pin(async move {
                    sqlx::query_as(
                    "WITH link AS (SELECT linked_to FROM user_links WHERE user_key = ?1 AND ends_ms > ?2), \
                     who AS (SELECT coalesce((SELECT linked_to FROM link), ?1) AS user_key) \
                     SELECT 0, scope_id, window_ms, impressions FROM user_counters \
                       WHERE user_key = (SELECT user_key FROM who) AND ends_ms > ?2 \
                     UNION ALL SELECT 1, audience_id, 0, 0 FROM audience_members \
                       WHERE user_key = (SELECT user_key FROM who) AND ends_ms > ?2 \
                     UNION ALL SELECT 2, linked_to, 0, 0 FROM link",
                )
                .bind(user_key)
                .bind(now_ms)
                .fetch_all(connection)
                .await
                .map_err(storage_error)
                })
            })
            .await?;
        let mut state = UserState::default();
        for (what, id, window_ms, impressions) in rows {
            match what {
                0 => state.counters.push((
                    CounterKey {
                        scope_id: id,
                        window_ms,
                    },
                    u32::try_from(impressions).unwrap_or(u32::MAX),
                )),
                1 => state.audiences.push(id),
                _ => state.linked_to = Some(id),
            }
        }
        Ok(state)
    }

    async fn count(
        &self,
        event_id: &str,
        user_key: &str,
        counters: &[CounterKey],
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let (event_id, user_key) = (event_id.to_owned(), user_key.to_owned());
        let counters = counters.to_vec();
        self.run_write(move |connection| Box::pin(count(connection, event_id, user_key, counters, now_ms)))
            .await
    }

    async fn set_members(
        &self,
        audience_id: &str,
        add: &[String],
        remove: &[String],
        until_ms: i64,
        _now_ms: i64,
    ) -> Result<(), StorageError> {
        let audience_id = audience_id.to_owned();
        let (add, remove) = (serde_json::to_string(add)?, serde_json::to_string(remove)?);
        self.run_write(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    // `WHERE true`: without it SQLite takes ON for a join's.
                    "INSERT INTO audience_members (user_key, audience_id, ends_ms) \
                     SELECT value, ?, ? FROM json_each(?) WHERE true \
                     ON CONFLICT (user_key, audience_id) DO UPDATE SET ends_ms = max(ends_ms, excluded.ends_ms)",
                )
                .bind(&audience_id)
                .bind(until_ms)
                .bind(add)
                .execute(&mut *connection)
                .await
                .map_err(storage_error)?;
                sqlx::query(
                    "DELETE FROM audience_members \
                     WHERE audience_id = ? AND user_key IN (SELECT value FROM json_each(?))",
                )
                .bind(&audience_id)
                .bind(remove)
                .execute(connection)
                .await
                .map_err(storage_error)?;
                Ok(())
            })
        })
        .await
    }

    async fn link(&self, user_key: &str, to: &str, until_ms: i64, _now_ms: i64) -> Result<(), StorageError> {
        let (user_key, to) = (user_key.to_owned(), to.to_owned());
        self.run_write(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT OR REPLACE INTO user_links (user_key, linked_to, ends_ms) VALUES (?, ?, ?)",
                )
                .bind(user_key)
                .bind(to)
                .bind(until_ms)
                .execute(connection)
                .await
                .map(drop)
                .map_err(storage_error)
            })
        })
        .await
    }

    async fn erase(&self, user_key: &str, now_ms: i64) -> Result<(), StorageError> {
        let user_key = user_key.to_owned();
        self.run_write(move |connection| {
            Box::pin(async move {
                // The link goes last: the others look whom it leads to.
                for sql in [
                    "DELETE FROM user_counters WHERE user_key = ?1 OR user_key = \
                     (SELECT linked_to FROM user_links WHERE user_key = ?1 AND ends_ms > ?2)",
                    "DELETE FROM audience_members WHERE user_key = ?1 OR user_key = \
                     (SELECT linked_to FROM user_links WHERE user_key = ?1 AND ends_ms > ?2)",
                    "DELETE FROM user_links WHERE user_key = ?1 AND ?2 = ?2",
                ] {
                    sqlx::query(sql)
                        .bind(&user_key)
                        .bind(now_ms)
                        .execute(&mut *connection)
                        .await
                        .map_err(storage_error)?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn expire(&self, now_ms: i64) -> Result<(), StorageError> {
        self.run_write(move |connection| {
            Box::pin(async move {
                for sql in [
                    "DELETE FROM user_counters WHERE ends_ms <= ?",
                    "DELETE FROM user_event_ids WHERE forgotten_ms <= ?",
                    "DELETE FROM audience_members WHERE ends_ms <= ?",
                    "DELETE FROM user_links WHERE ends_ms <= ?",
                ] {
                    sqlx::query(sql)
                        .bind(now_ms)
                        .execute(&mut *connection)
                        .await
                        .map_err(storage_error)?;
                }
                Ok(())
            })
        })
        .await
    }
}

async fn count(
    connection: &mut SqliteConnection,
    event_id: String,
    user_key: String,
    counters: Vec<CounterKey>,
    now_ms: i64,
) -> Result<(), StorageError> {
    let longest_ms = counters
        .iter()
        .map(|counter| counter.window_ms)
        .max()
        .unwrap_or(0);
    let fresh = sqlx::query("INSERT OR IGNORE INTO user_event_ids (event_id, forgotten_ms) VALUES (?, ?)")
        .bind(event_id)
        .bind(now_ms.saturating_add(EVENT_ID_HOLD_MS.max(longest_ms)))
        .execute(&mut *connection)
        .await
        .map_err(storage_error)?;
    if fresh.rows_affected() == 0 {
        return Ok(());
    }
    for counter in counters {
        sqlx::query(
            "INSERT INTO user_counters (user_key, scope_id, window_ms, ends_ms, impressions) VALUES (?1, ?2, ?3, ?4, 1) \
             ON CONFLICT (user_key, scope_id, window_ms) DO UPDATE SET \
               impressions = iif(ends_ms > ?5, impressions + 1, 1), ends_ms = iif(ends_ms > ?5, ends_ms, ?4)",
        )
        .bind(&user_key)
        .bind(&counter.scope_id)
        .bind(counter.window_ms)
        .bind(now_ms.saturating_add(counter.window_ms))
        .bind(now_ms)
        .execute(&mut *connection)
        .await
        .map_err(storage_error)?;
    }
    Ok(())
}
