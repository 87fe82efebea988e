//! What campaigns have spent by the events of topic `spend`, as of the readers' offsets.

use crate::error::{Failure, storable};
use domain::event::{CheckpointDay, SpentTotals};
use domain::id::{AdvertiserId, CampaignId};
use domain::period::Day;
use sqlx::{FromRow, PgConnection};
use std::collections::BTreeMap;
use storage::StorageError;
use storage::event_log::Topic;
use storage::report_store::{Books, CampaignSpend, SpendPage};

/// One array a column. Rows are locked in their order.
const ADD: &str = "INSERT INTO ledger_spend AS s (campaign_id, date, advertiser_id, start_ms, end_ms, spent_nanos, \
      over_delivery_nanos, settled_bids, changed) \
    SELECT campaign_id, date, advertiser_id, start_ms, end_ms, spent_nanos, over_delivery_nanos, settled_bids, \
      pg_current_xact_id() \
    FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[], \
      $8::BIGINT[]) AS more (campaign_id, date, advertiser_id, start_ms, end_ms, spent_nanos, over_delivery_nanos, \
      settled_bids) \
    ON CONFLICT (campaign_id, date) DO UPDATE SET \
      start_ms = greatest(s.start_ms, excluded.start_ms), end_ms = greatest(s.end_ms, excluded.end_ms), \
      spent_nanos = s.spent_nanos + excluded.spent_nanos, \
      over_delivery_nanos = s.over_delivery_nanos + excluded.over_delivery_nanos, \
      settled_bids = s.settled_bids + excluded.settled_bids, changed = excluded.changed";

/// Date '' is the lifetime.
struct NewRow<'a> {
    campaign_id: &'a str,
    date: &'a str,
    advertiser_id: &'a str,
    start_ms: i64,
    end_ms: i64,
    totals: SpentTotals,
}

pub(crate) async fn add(
    connection: &mut PgConnection,
    books: &BTreeMap<&CampaignId, Books<'_>>,
) -> Result<(), Failure> {
    if books.is_empty() {
        return Ok(());
    }
    let rows: Vec<NewRow<'_>> = books
        .iter()
        .flat_map(|(campaign_id, books)| rows(campaign_id, books))
        .collect();
    let numbers = |of: fn(&NewRow<'_>) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
    sqlx::query(ADD)
        .bind(
            rows.iter()
                .map(|row| storable(row.campaign_id))
                .collect::<Vec<_>>(),
        )
        .bind(rows.iter().map(|row| storable(row.date)).collect::<Vec<_>>())
        .bind(
            rows.iter()
                .map(|row| storable(row.advertiser_id))
                .collect::<Vec<_>>(),
        )
        .bind(numbers(|row| row.start_ms))
        .bind(numbers(|row| row.end_ms))
        .bind(numbers(|row| row.totals.spent_nanos))
        .bind(numbers(|row| row.totals.over_delivery_nanos))
        .bind(numbers(|row| row.totals.settled_bids))
        .execute(connection)
        .await?;
    Ok(())
}

fn rows<'a>(campaign_id: &'a CampaignId, books: &'a Books<'a>) -> Vec<NewRow<'a>> {
    let row = |date, start_ms, end_ms, totals| NewRow {
        campaign_id: campaign_id.as_str(),
        date,
        advertiser_id: books.advertiser_id.as_str(),
        start_ms,
        end_ms,
        totals,
    };
    let days = books.days.iter();
    [row("", 0, 0, books.lifetime)]
        .into_iter()
        .chain(days.map(|(date, day)| row(date, day.start_ms, day.end_ms, day.totals)))
        .collect()
}

#[derive(FromRow)]
struct StoredRow {
    campaign_id: String,
    date: String,
    advertiser_id: String,
    start_ms: i64,
    end_ms: i64,
    spent_nanos: i64,
    over_delivery_nanos: i64,
    settled_bids: i64,
}

/// Precondition: the transaction reads everything as of one instant.
pub(crate) async fn page(
    connection: &mut PgConnection,
    changed_since: Option<i64>,
    after: &str,
    days_from_ms: i64,
    limit: u32,
) -> Result<SpendPage, Failure> {
    // A transaction that is still running, or not begun, changes nothing below the mark.
    let mark: i64 = sqlx::query_scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT")
        .fetch_one(&mut *connection)
        .await?;
    let offsets: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT partition, next_offset FROM report_offsets WHERE topic = $1 ORDER BY partition",
    )
    .bind(Topic::Spend.name())
    .fetch_all(&mut *connection)
    .await?;
    let rows: Vec<StoredRow> = sqlx::query_as(
        "SELECT s.campaign_id, s.date, s.advertiser_id, s.start_ms, s.end_ms, s.spent_nanos, s.over_delivery_nanos, \
           s.settled_bids \
         FROM (SELECT campaign_id FROM ledger_spend WHERE date = '' AND changed >= $1::TEXT::XID8 AND campaign_id > $2 \
           ORDER BY campaign_id LIMIT $4) AS c \
         JOIN ledger_spend AS s ON s.campaign_id = c.campaign_id AND (s.date = '' OR s.end_ms > $3) \
         ORDER BY s.campaign_id, s.date <> '', s.start_ms, s.date",
    )
    .bind(changed_since.unwrap_or(0).max(0).to_string())
    .bind(storable(after))
    .bind(days_from_ms)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    Ok(SpendPage {
        offsets: offsets.into_iter().map(numbered).collect::<Result<_, _>>()?,
        campaigns: campaigns(rows),
        mark,
    })
}

fn numbered((partition, next_offset): (i64, i64)) -> Result<(u32, i64), Failure> {
    match u32::try_from(partition) {
        Ok(partition) => Ok((partition, next_offset)),
        Err(error) => Err(StorageError::Corrupt(error.to_string()).into()),
    }
}

/// Each campaign's lifetime comes before its days.
fn campaigns(rows: Vec<StoredRow>) -> Vec<CampaignSpend> {
    let mut campaigns: Vec<CampaignSpend> = Vec::new();
    for row in rows {
        let totals = SpentTotals {
            spent_nanos: row.spent_nanos,
            over_delivery_nanos: row.over_delivery_nanos,
            settled_bids: row.settled_bids,
        };
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
