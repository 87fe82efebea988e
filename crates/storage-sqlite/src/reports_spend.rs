//! What campaigns have spent by the events of topic `spend`, as of the readers' offsets.

use crate::error::storage_error;
use domain::event::{CheckpointDay, SpentTotals};
use domain::id::{AdvertiserId, CampaignId};
use domain::period::Day;
use sqlx::{FromRow, SqliteConnection};
use std::collections::BTreeMap;
use storage::StorageError;
use storage::event_log::Topic;
use storage::report_store::{Books, CampaignSpend, SpendPage};

/// Adds to days and lifetimes; the writer's lock keeps marks in the order of commits.
pub(crate) async fn add(
    connection: &mut SqliteConnection,
    books: &BTreeMap<&CampaignId, Books<'_>>,
) -> Result<(), StorageError> {
    if books.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = books
        .iter()
        .flat_map(|(campaign_id, books)| {
            let row = move |date, start_ms: i64, end_ms: i64, totals: SpentTotals| {
                (campaign_id, date, books.advertiser_id, start_ms, end_ms, totals)
            };
            let days = books
                .days
                .iter()
                .map(move |(date, day)| row(*date, day.start_ms, day.end_ms, day.totals));
            days.chain([row("", 0, 0, books.lifetime)])
        })
        .collect();
    sqlx::query(
        "INSERT INTO ledger_spend (campaign_id, date, advertiser_id, start_ms, end_ms, spent_nanos, \
           over_delivery_nanos, settled_bids, changed) \
         SELECT value ->> '$[0]', value ->> '$[1]', value ->> '$[2]', value ->> '$[3]', value ->> '$[4]', \
           value ->> '$[5].spent_nanos', value ->> '$[5].over_delivery_nanos', value ->> '$[5].settled_bids', \
           (SELECT coalesce(max(changed), 0) + 1 FROM ledger_spend WHERE date = '') \
         FROM json_each(?) WHERE true ON CONFLICT DO UPDATE SET \
           start_ms = max(start_ms, excluded.start_ms), end_ms = max(end_ms, excluded.end_ms), \
           spent_nanos = spent_nanos + excluded.spent_nanos, \
           over_delivery_nanos = over_delivery_nanos + excluded.over_delivery_nanos, \
           settled_bids = settled_bids + excluded.settled_bids, changed = excluded.changed",
    )
    .bind(serde_json::to_string(&rows)?)
    .execute(connection)
    .await
    .map_err(storage_error)?;
    Ok(())
}

#[derive(FromRow)]
struct BooksRow {
    campaign_id: String,
    date: String,
    advertiser_id: String,
    start_ms: i64,
    end_ms: i64,
    spent_nanos: i64,
    over_delivery_nanos: i64,
    settled_bids: i64,
}

impl BooksRow {
    fn totals(&self) -> SpentTotals {
        SpentTotals {
            spent_nanos: self.spent_nanos,
            over_delivery_nanos: self.over_delivery_nanos,
            settled_bids: self.settled_bids,
        }
    }
}

/// Precondition: the connection reads one state of the store.
pub(crate) async fn page(
    connection: &mut SqliteConnection,
    changed_since: Option<i64>,
    after: String,
    days_from_ms: i64,
    limit: u32,
) -> Result<SpendPage, StorageError> {
    let offsets: Vec<(u32, i64)> = sqlx::query_as(
        "SELECT partition, next_offset FROM report_offsets WHERE topic = ? ORDER BY partition",
    )
    .bind(Topic::Spend.name())
    .fetch_all(&mut *connection)
    .await
    .map_err(storage_error)?;
    let mark: i64 =
        sqlx::query_scalar("SELECT coalesce(max(changed), 0) + 1 FROM ledger_spend WHERE date = ''")
            .fetch_one(&mut *connection)
            .await
            .map_err(storage_error)?;
    let rows: Vec<BooksRow> = sqlx::query_as(
        "SELECT s.* FROM (SELECT campaign_id FROM ledger_spend WHERE date = '' AND changed >= ?1 AND campaign_id > ?2 \
           ORDER BY campaign_id LIMIT ?4) AS c \
         JOIN ledger_spend AS s ON s.campaign_id = c.campaign_id AND (s.date = '' OR s.end_ms > ?3) \
         ORDER BY s.campaign_id, s.date <> '', s.start_ms, s.date",
    )
    .bind(changed_since.unwrap_or(0))
    .bind(after)
    .bind(days_from_ms)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(storage_error)?;
    Ok(SpendPage {
        offsets,
        campaigns: campaigns(rows),
        mark,
    })
}

/// Each campaign's lifetime comes before its days.
fn campaigns(rows: Vec<BooksRow>) -> Vec<CampaignSpend> {
    let mut campaigns: Vec<CampaignSpend> = Vec::new();
    for row in rows {
        let totals = row.totals();
        if row.date.is_empty() {
            campaigns.push(CampaignSpend {
                advertiser_id: AdvertiserId(row.advertiser_id),
                campaign_id: CampaignId(row.campaign_id),
                days: Vec::new(),
                lifetime: totals,
            });
        } else if let Some(campaign) = campaigns.last_mut() {
            let day = Day {
                date: row.date,
                start_ms: row.start_ms,
                end_ms: row.end_ms,
            };
            campaign.days.push(CheckpointDay { day, totals });
        }
    }
    campaigns
}
