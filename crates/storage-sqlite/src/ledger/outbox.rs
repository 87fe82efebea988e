//! Verdicts on their way to topic `spend`.

use crate::error::storage_error;
use domain::id::{BidId, CampaignId};
use sqlx::{FromRow, SqliteConnection};
use storage::StorageError;
use storage::spend_ledger::Settled;

#[derive(FromRow)]
struct SettledRow {
    bid_id: Vec<u8>,
    campaign_id: String,
    date: String,
    settled_at_ms: i64,
    charge_nanos: i64,
    over_delivery_nanos: i64,
    context: String,
}

impl SettledRow {
    fn settled(self) -> Result<Settled, StorageError> {
        Ok(Settled {
            bid_id: bid_id_of(self.bid_id)?,
            campaign_id: CampaignId(self.campaign_id),
            date: self.date,
            settled_at_ms: self.settled_at_ms,
            charge_nanos: self.charge_nanos,
            over_delivery_nanos: self.over_delivery_nanos,
            context: self.context,
        })
    }
}

pub(super) fn bid_id_of(bytes: Vec<u8>) -> Result<BidId, StorageError> {
    let bytes: [u8; 16] = bytes
        .try_into()
        .map_err(|_| StorageError::Corrupt("a bid id in the ledger is not 16 bytes".to_owned()))?;
    Ok(BidId(u128::from_be_bytes(bytes)))
}

/// In their order.
pub(super) async fn add(connection: &mut SqliteConnection, settled: &[Settled]) -> Result<(), StorageError> {
    if settled.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = settled
        .iter()
        .map(|of| {
            (
                of.bid_id,
                &of.campaign_id,
                &of.date,
                of.settled_at_ms,
                of.charge_nanos,
                of.over_delivery_nanos,
                &of.context,
            )
        })
        .collect();
    sqlx::query(
        "INSERT INTO ledger_outbox (bid_id, campaign_id, date, settled_at_ms, charge_nanos, over_delivery_nanos, \
           context) SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
           value ->> 6 FROM json_each(?) ORDER BY key",
    )
    .bind(serde_json::to_string(&rows)?)
    .execute(connection)
    .await
    .map_err(storage_error)?;
    Ok(())
}

pub(super) async fn oldest(
    connection: &mut SqliteConnection,
    settled_before_ms: i64,
    limit: u32,
) -> Result<Vec<Settled>, StorageError> {
    let rows: Vec<SettledRow> = sqlx::query_as(
        "SELECT bid_id, campaign_id, date, settled_at_ms, charge_nanos, over_delivery_nanos, context \
         FROM ledger_outbox WHERE settled_at_ms <= ? ORDER BY sequence LIMIT ?",
    )
    .bind(settled_before_ms)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(storage_error)?;
    rows.into_iter().map(SettledRow::settled).collect()
}

pub(super) async fn of_bid(
    connection: &mut SqliteConnection,
    bid_id: BidId,
) -> Result<Option<Settled>, StorageError> {
    let row: Option<SettledRow> = sqlx::query_as(
        "SELECT bid_id, campaign_id, date, settled_at_ms, charge_nanos, over_delivery_nanos, context \
         FROM ledger_outbox WHERE bid_id = ?",
    )
    .bind(bid_id.0.to_be_bytes().to_vec())
    .fetch_optional(connection)
    .await
    .map_err(storage_error)?;
    row.map(SettledRow::settled).transpose()
}

pub(super) async fn remove(connection: &mut SqliteConnection, bid_ids: &[BidId]) -> Result<(), StorageError> {
    // A bid id in JSON is its 32 hex digits.
    sqlx::query("DELETE FROM ledger_outbox WHERE bid_id IN (SELECT unhex(value) FROM json_each(?))")
        .bind(serde_json::to_string(bid_ids)?)
        .execute(connection)
        .await
        .map_err(storage_error)?;
    Ok(())
}
