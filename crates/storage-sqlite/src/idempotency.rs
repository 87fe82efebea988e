//! The first answer to a keyed request.

use crate::error::storage_error;
use sqlx::SqliteConnection;
use storage::StorageError;
use storage::campaign_store::Idempotent;

const HOLD_MS: i64 = 24 * 60 * 60 * 1_000;

pub(crate) async fn kept_answer(
    connection: &mut SqliteConnection,
    key: String,
    now_ms: i64,
) -> Result<Option<Idempotent>, StorageError> {
    let row: Option<(String, String)> =
        sqlx::query_as("SELECT request_hash, answer FROM idempotency WHERE key = ? AND expires_at_ms > ?")
            .bind(&key)
            .bind(now_ms)
            .fetch_optional(connection)
            .await
            .map_err(storage_error)?;
    row.map(|(request_hash, answer)| {
        Ok(Idempotent {
            key,
            request_hash,
            answer: serde_json::from_str(&answer)?,
        })
    })
    .transpose()
}

/// Forgets what has expired, too.
pub(crate) async fn keep_answer(
    connection: &mut SqliteConnection,
    idempotent: &Idempotent,
    now_ms: i64,
) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM idempotency WHERE expires_at_ms <= ?")
        .bind(now_ms)
        .execute(&mut *connection)
        .await
        .map_err(storage_error)?;
    sqlx::query("INSERT INTO idempotency (key, request_hash, answer, expires_at_ms) VALUES (?, ?, ?, ?)")
        .bind(&idempotent.key)
        .bind(&idempotent.request_hash)
        .bind(idempotent.answer.to_string())
        .bind(now_ms.saturating_add(HOLD_MS))
        .execute(connection)
        .await
        .map_err(storage_error)?;
    Ok(())
}
