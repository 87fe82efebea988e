//! What the clock ends: leases, pending wins, and the memory of both.

use crate::error::storage_error;
use sqlx::SqliteConnection;
use storage::StorageError;

/// Rows forgotten in one transaction, so that forgetting does not hold up writers.
const FORGET_STEP: i64 = 5_000;

// Row value '' is the lifetime: each amount returns to free in both accounts. INDEXED BY: for the sake of the
// grouping SQLite would read every lease and every remembered bid, of which there are millions.
const END_LEASES: [&str; 2] = [
    "UPDATE ledger_accounts SET leased_nanos = leased_nanos - ended.nanos FROM \
       (SELECT l.campaign_id, d.value AS date, sum(l.leased_nanos) AS nanos \
        FROM ledger_leases AS l INDEXED BY ledger_leases_due, json_each(json_array('', l.date)) AS d \
        WHERE l.leased_nanos > 0 AND l.expires_ms <= ?1 GROUP BY 1, 2) AS ended \
     WHERE ledger_accounts.campaign_id = ended.campaign_id AND ledger_accounts.date = ended.date",
    "UPDATE ledger_leases SET leased_nanos = 0, sequence = sequence + 1 \
     WHERE leased_nanos > 0 AND expires_ms <= ?1",
];
const END_PENDING_WINS: [&str; 2] = [
    "UPDATE ledger_accounts SET pending_nanos = pending_nanos - ended.nanos FROM \
       (SELECT b.campaign_id, d.value AS date, sum(b.pending_nanos) AS nanos \
        FROM ledger_bids AS b INDEXED BY ledger_bids_due, json_each(json_array('', b.date)) AS d \
        WHERE b.state = 'pending' AND b.until_ms <= ?1 GROUP BY 1, 2) AS ended \
     WHERE ledger_accounts.campaign_id = ended.campaign_id AND ledger_accounts.date = ended.date",
    "UPDATE ledger_bids SET state = 'expired', pending_nanos = 0 \
     WHERE state = 'pending' AND until_ms <= ?1",
];

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
    let ended = [(leases, END_LEASES), (pending, END_PENDING_WINS)];
    for sql in ended
        .into_iter()
        .filter(|(any, _)| *any)
        .flat_map(|(_, steps)| steps)
    {
        sqlx::query(sql)
            .bind(now_ms)
            .execute(&mut *connection)
            .await
            .map_err(storage_error)?;
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
    let days: Vec<(String, String)> = sqlx::query_as(
        "SELECT campaign_id, date FROM ledger_accounts \
         WHERE date <> '' AND end_ms < ? AND leased_nanos = 0 AND pending_nanos = 0 LIMIT ?",
    )
    .bind(before_ms)
    .bind(FORGET_STEP)
    .fetch_all(&mut *connection)
    .await
    .map_err(storage_error)?;
    let keys = serde_json::to_string(&days)?;
    for sql in [
        "DELETE FROM ledger_leases WHERE (campaign_id, date) IN \
           (SELECT value ->> 0, value ->> 1 FROM json_each(?))",
        "DELETE FROM ledger_accounts WHERE (campaign_id, date) IN \
           (SELECT value ->> 0, value ->> 1 FROM json_each(?))",
    ] {
        sqlx::query(sql)
            .bind(&keys)
            .execute(&mut *connection)
            .await
            .map_err(storage_error)?;
    }
    let step = FORGET_STEP.unsigned_abs();
    Ok(bids.rows_affected() == step || days.len() as u64 == step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteStore;
    use domain::id::{AdvertiserId, BidderId, CampaignId};
    use domain::period::{Day, Limits};
    use sqlx::{AssertSqlSafe, Row};
    use std::sync::Arc;
    use storage::SpendLedger;
    use storage::spend_ledger::{BalancesOf, LeaseRequest};

    const NOW_MS: i64 = 1_800_000_000_000;

    async fn store() -> SqliteStore {
        SqliteStore::open("sqlite::memory:", Arc::new(|| NOW_MS))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn what_ended_is_found_without_reading_what_has_not() {
        let store = store().await;
        for sql in END_LEASES.into_iter().chain(END_PENDING_WINS) {
            let explained = store.run_write(move |connection| {
                Box::pin(async move {
                    sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                        .bind(NOW_MS)
                        .fetch_all(connection)
                        .await
                        .map_err(storage_error)
                })
            });
            let steps: Vec<String> = explained
                .await
                .unwrap()
                .iter()
                .map(|row| row.get("detail"))
                .collect();
            let reads_all = |step: &String| {
                let step = step.trim_start();
                ["SCAN l", "SCAN b"].iter().any(|scan| step.starts_with(scan))
            };
            assert!(!steps.iter().any(reads_all), "{sql}: {steps:?}");
        }
    }

    #[tokio::test]
    async fn more_days_than_one_step_takes_are_all_forgotten() {
        let store = store().await;
        let request = |number: i64| LeaseRequest {
            advertiser_id: AdvertiserId::from("adv"),
            campaign_id: CampaignId(format!("cmp_{number}")),
            generation: 1,
            revision: 1,
            day: Day {
                date: "2027-01-14".to_owned(),
                start_ms: NOW_MS - 2_000,
                end_ms: NOW_MS - 1_000,
            },
            limits: Limits::default(),
            wanted_nanos: 0,
            bid_nanos: 1,
            opportunities: 0,
            bids: 0,
            renewal: 0,
        };
        let requests: Vec<LeaseRequest> = (0..=FORGET_STEP).map(request).collect();
        store.renew(0, &BidderId::from("b1"), 0, &requests).await.unwrap();
        store.forget(NOW_MS).await.unwrap();
        let all = BalancesOf::All {
            after: None,
            limit: u32::MAX,
        };
        let left = store.balances(all).await.unwrap();
        assert_eq!(left.len(), requests.len());
        assert!(left.iter().all(|of| of.day.is_none()), "a day was left");
    }
}
