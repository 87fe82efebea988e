//! Report queries: only names of known columns reach the SQL text, values are bound.

use crate::error::storage_error;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use storage::StorageError;
use storage::report_store::{ReportQuery, ReportRow, Totals};

/// SQLite's `sum` of integers fails when it leaves 64 bits.
const SUMS: &str = "sum(r.bids) AS bids, sum(r.wins) AS wins, sum(r.losses) AS losses, \
    sum(r.impressions) AS impressions, sum(r.clicks) AS clicks, sum(r.video_starts) AS video_starts, \
    sum(r.video_completes) AS video_completes, sum(r.conversions) AS conversions, \
    sum(r.conversion_value_micros) AS conversion_value_micros, sum(r.spend_nanos) AS spend_nanos, \
    sum(r.media_cost_nanos) AS media_cost_nanos, sum(r.over_delivery_nanos) AS over_delivery_nanos";

/// The bucket and twelve sums come before the dimensions.
const DIMENSIONS_FROM: usize = 13;

pub(crate) async fn query(
    connection: &mut SqliteConnection,
    query: ReportQuery,
) -> Result<Vec<ReportRow>, StorageError> {
    let columns: String = query
        .dimensions
        .iter()
        .map(|dimension| format!(", r.{}", dimension.name()))
        .collect();
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT b.key AS bucket, ");
    sql.push(SUMS).push(&columns).push(" FROM json_each(");
    sql.push_bind(serde_json::to_string(&query.buckets)?);
    // CROSS JOIN: buckets outside, each a range of the rollups' primary key.
    sql.push(
        ") AS b CROSS JOIN rollups AS r ON r.quarter_start_ms >= b.value ->> 0 \
         AND r.quarter_start_ms < b.value ->> 1 WHERE true",
    );
    for (dimension, values) in &query.filters {
        sql.push(format_args!(
            " AND r.{} IN (SELECT value FROM json_each(",
            dimension.name()
        ));
        sql.push_bind(serde_json::to_string(values)?);
        sql.push("))");
    }
    sql.push(format_args!(
        " GROUP BY b.key{columns} ORDER BY b.key{columns} LIMIT "
    ));
    sql.push_bind(query.limit)
        .push(" OFFSET ")
        .push_bind(query.offset);
    let rows = sql.build().fetch_all(connection).await.map_err(storage_error)?;
    rows.iter()
        .map(|row| report_row(row, query.dimensions.len()).map_err(storage_error))
        .collect()
}

fn report_row(row: &SqliteRow, dimensions: usize) -> Result<ReportRow, sqlx::Error> {
    let bucket: i64 = row.try_get("bucket")?;
    Ok(ReportRow {
        bucket: usize::try_from(bucket).map_err(|error| sqlx::Error::Decode(error.into()))?,
        values: (DIMENSIONS_FROM..DIMENSIONS_FROM + dimensions)
            .map(|index| row.try_get(index))
            .collect::<Result<_, _>>()?,
        totals: Totals {
            bids: row.try_get("bids")?,
            wins: row.try_get("wins")?,
            losses: row.try_get("losses")?,
            impressions: row.try_get("impressions")?,
            clicks: row.try_get("clicks")?,
            video_starts: row.try_get("video_starts")?,
            video_completes: row.try_get("video_completes")?,
            conversions: row.try_get("conversions")?,
            conversion_value_micros: row.try_get("conversion_value_micros")?,
            spend_nanos: row.try_get("spend_nanos")?,
            media_cost_nanos: row.try_get("media_cost_nanos")?,
            over_delivery_nanos: row.try_get("over_delivery_nanos")?,
        },
    })
}
