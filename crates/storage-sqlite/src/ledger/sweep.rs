//! What the clock ends: leases, pending wins, and the memory of both.

use crate::error::storage_error;
use sqlx::SqliteConnection;
use storage::StorageError;

/// Rows forgotten in one transaction, so that forgetting does not hold up writers.
const FORGET_STEP: i64 = 5_000;

/// Frees every lease and pending win whose time is over, of all campaigns: one look at two indexes when none is.
pub(super) async fn free_what_ended(
    connection: &mut SqliteConnection,
    now_ms: i64,
) -> Result<(), StorageError> {
    let (leases, pending): (bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM ledger_leases WHERE leased_nanos > 0 AND expires_ms <= ?1), \
                EXISTS (SELECT 1 FROM ledger_bids WHERE state = 'pending' AND until_ms <= ?1)",
    )
    .bind(now_ms)
    .fetch_one(&mut *connection)
    .await
    .map_err(storage_error)?;
    if leases {
        // Row value '' is the lifetime: each amount returns to free in both accounts.
        run(
            connection,
            now_ms,
            [
                "UPDATE ledger_accounts SET leased_nanos = leased_nanos - ended.nanos FROM \
                   (SELECT l.campaign_id, d.value AS date, sum(l.leased_nanos) AS nanos \
                    FROM ledger_leases AS l, json_each(json_array('', l.date)) AS d \
                    WHERE l.leased_nanos > 0 AND l.expires_ms <= ?1 GROUP BY 1, 2) AS ended \
                 WHERE ledger_accounts.campaign_id = ended.campaign_id AND ledger_accounts.date = ended.date",
                "UPDATE ledger_leases SET leased_nanos = 0, sequence = sequence + 1 \
                 WHERE leased_nanos > 0 AND expires_ms <= ?1",
            ],
        )
        .await?;
    }
    if pending {
        run(
            connection,
            now_ms,
            [
                "UPDATE ledger_accounts SET pending_nanos = pending_nanos - ended.nanos FROM \
                   (SELECT b.campaign_id, d.value AS date, sum(b.pending_nanos) AS nanos \
                    FROM ledger_bids AS b, json_each(json_array('', b.date)) AS d \
                    WHERE b.state = 'pending' AND b.until_ms <= ?1 GROUP BY 1, 2) AS ended \
                 WHERE ledger_accounts.campaign_id = ended.campaign_id AND ledger_accounts.date = ended.date",
                "UPDATE ledger_bids SET state = 'expired', pending_nanos = 0 \
                 WHERE state = 'pending' AND until_ms <= ?1",
            ],
        )
        .await?;
    }
    Ok(())
}

/// Forgets a step of what ended before the instant; `true` while there may be more.
pub(super) async fn forget_some(
    connection: &mut SqliteConnection,
    before_ms: i64,
) -> Result<bool, StorageError> {
    let bids = sqlx::query(
        "DELETE FROM ledger_bids WHERE bid_id IN \
           (SELECT bid_id FROM ledger_bids WHERE state <> 'pending' AND until_ms < ? LIMIT ?)",
    )
    .bind(before_ms)
    .bind(FORGET_STEP)
    .execute(&mut *connection)
    .await
    .map_err(storage_error)?;
    // A day goes only once nothing is out on it, so that lifetime and days stay equal to their leases.
    run(
        connection,
        before_ms,
        [
            "DELETE FROM ledger_leases WHERE (campaign_id, date) IN (SELECT campaign_id, date FROM ledger_accounts \
               WHERE date <> '' AND end_ms < ?1 AND leased_nanos = 0 AND pending_nanos = 0)",
            "DELETE FROM ledger_accounts \
             WHERE date <> '' AND end_ms < ?1 AND leased_nanos = 0 AND pending_nanos = 0",
        ],
    )
    .await?;
    Ok(bids.rows_affected() == FORGET_STEP.unsigned_abs())
}

async fn run(
    connection: &mut SqliteConnection,
    instant_ms: i64,
    statements: [&'static str; 2],
) -> Result<(), StorageError> {
    for sql in statements {
        sqlx::query(sql)
            .bind(instant_ms)
            .execute(&mut *connection)
            .await
            .map_err(storage_error)?;
    }
    Ok(())
}
