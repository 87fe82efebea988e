//! One bidder's heartbeat. Runs inside the writer's transaction.

use super::books::Books;
use super::sweep;
use crate::error::storage_error;
use domain::id::BidderId;
use sqlx::SqliteConnection;
use std::collections::{HashMap, HashSet};
use storage::StorageError;
use storage::spend_ledger::{Grant, LeaseRequest};

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    now_ms: i64,
    bidder_id: BidderId,
    hold_ms: i64,
    requests: Vec<LeaseRequest>,
) -> Result<Vec<Grant>, StorageError> {
    sweep::free_what_ended(connection, now_ms).await?;
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<(&str, &str)> = requests
        .iter()
        .map(|request| (request.campaign_id.as_str(), request.day.date.as_str()))
        .collect();
    let others = other_bidders(connection, &bidder_id, &keys).await?;
    let of_bidder: HashSet<(&str, &str, &str)> = keys
        .iter()
        .map(|(campaign_id, date)| (*campaign_id, *date, bidder_id.as_str()))
        .collect();
    let mut books = Books::load(connection, &of_bidder).await?;
    let expires_ms = now_ms.saturating_add(hold_ms.max(0));
    let mut grants = Vec::with_capacity(requests.len());
    for request in &requests {
        let mut page = books.page(&request.campaign_id, &request.day, &bidder_id);
        page.renew(request, expires_ms)?;
        let key = (request.campaign_id.0.clone(), request.day.date.clone());
        grants.push(page.grant(others.get(&key).copied().unwrap_or(0)));
    }
    books.store(connection).await?;
    Ok(grants)
}

/// How many bidders besides this one hold a lease on each campaign's day.
async fn other_bidders(
    connection: &mut SqliteConnection,
    bidder_id: &BidderId,
    keys: &[(&str, &str)],
) -> Result<HashMap<(String, String), u32>, StorageError> {
    let counts: Vec<(String, String, u32)> = sqlx::query_as(
        "SELECT l.campaign_id, l.date, count(DISTINCT l.bidder_id) FROM json_each(?1) AS k \
           CROSS JOIN ledger_leases AS l ON l.campaign_id = k.value ->> 0 AND l.date = k.value ->> 1 \
         WHERE l.leased_nanos > 0 AND l.bidder_id <> ?2 GROUP BY l.campaign_id, l.date",
    )
    .bind(serde_json::to_string(keys)?)
    .bind(bidder_id.as_str())
    .fetch_all(connection)
    .await
    .map_err(storage_error)?;
    Ok(counts
        .into_iter()
        .map(|(campaign_id, date, bidders)| ((campaign_id, date), bidders))
        .collect())
}
