//! The first answer to a keyed request.

use crate::error::{Failure, storable};
use sqlx::PgConnection;
use storage::campaign_store::Idempotent;

const HOLD_MS: i64 = 24 * 60 * 60 * 1_000;

pub(crate) async fn kept_answer(
    connection: &mut PgConnection,
    key: &str,
    now_ms: i64,
) -> Result<Option<Idempotent>, Failure> {
    let row: Option<(String, String)> =
        sqlx::query_as("SELECT request_hash, answer FROM idempotency WHERE key = $1 AND expires_at_ms > $2")
            .bind(storable(key))
            .bind(now_ms)
            .fetch_optional(connection)
            .await?;
    row.map(|(request_hash, answer)| {
        Ok(Idempotent {
            key: key.to_owned(),
            request_hash,
            answer: serde_json::from_str(&answer)?,
        })
    })
    .transpose()
}

/// Keeps the answer; or gives the one that was kept before. Of two requests with one key at once, the second waits
/// here for the first to commit.
pub(crate) async fn keep_or_find(
    connection: &mut PgConnection,
    idempotent: &Idempotent,
    now_ms: i64,
) -> Result<Option<Idempotent>, Failure> {
    let kept = sqlx::query(
        "INSERT INTO idempotency AS kept (key, request_hash, answer, expires_at_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (key) DO UPDATE SET request_hash = excluded.request_hash, answer = excluded.answer, \
           expires_at_ms = excluded.expires_at_ms WHERE kept.expires_at_ms <= $5",
    )
    .bind(storable(&idempotent.key))
    .bind(storable(&idempotent.request_hash))
    .bind(idempotent.answer.to_string())
    .bind(now_ms.saturating_add(HOLD_MS))
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    if kept.rows_affected() > 0 {
        forget_expired(connection, now_ms).await?;
        return Ok(None);
    }
    match kept_answer(connection, &idempotent.key, now_ms).await? {
        Some(first) => Ok(Some(first)),
        None => Err(Failure::Overtaken("the kept answer was forgotten meanwhile")),
    }
}

/// A few for each one kept, past those that another is forgetting.
async fn forget_expired(connection: &mut PgConnection, now_ms: i64) -> Result<(), Failure> {
    sqlx::query(
        "DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE expires_at_ms <= $1 \
         ORDER BY expires_at_ms LIMIT 20 FOR UPDATE SKIP LOCKED)",
    )
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(())
}
