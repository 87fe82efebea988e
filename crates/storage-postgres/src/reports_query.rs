//! Report queries: only names of known columns reach the SQL text, values are bound.

use crate::error::{Failure, storable};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row};
use storage::report_store::{ReportQuery, ReportRow, Totals};

/// A sum of BIGINT is NUMERIC; the cast fails when it leaves 64 bits.
const SUMS: &str = "sum(r.bids)::BIGINT AS bids, sum(r.wins)::BIGINT AS wins, sum(r.losses)::BIGINT AS losses, \
    sum(r.impressions)::BIGINT AS impressions, sum(r.clicks)::BIGINT AS clicks, \
    sum(r.video_starts)::BIGINT AS video_starts, sum(r.video_completes)::BIGINT AS video_completes, \
    sum(r.conversions)::BIGINT AS conversions, sum(r.conversion_value_micros)::BIGINT AS conversion_value_micros, \
    sum(r.spend_nanos)::BIGINT AS spend_nanos, sum(r.media_cost_nanos)::BIGINT AS media_cost_nanos, \
    sum(r.over_delivery_nanos)::BIGINT AS over_delivery_nanos";

/// The bucket and twelve sums come before the dimensions.
const DIMENSIONS_FROM: usize = 13;

pub(crate) async fn query(
    connection: &mut PgConnection,
    query: &ReportQuery,
) -> Result<Vec<ReportRow>, Failure> {
    let (Some(first), Some(last)) = (query.buckets.first(), query.buckets.last()) else {
        return Ok(Vec::new());
    };
    let columns: String = query
        .dimensions
        .iter()
        .map(|dimension| format!(", r.{}", dimension.name()))
        .collect();
    let mut sql = QueryBuilder::<Postgres>::new("SELECT b.number, ");
    sql.push(SUMS).push(&columns).push(" FROM unnest(");
    let (from_ms, to_ms): (Vec<i64>, Vec<i64>) = query.buckets.iter().copied().unzip();
    sql.push_bind(from_ms).push("::BIGINT[], ").push_bind(to_ms);
    sql.push(
        "::BIGINT[]) WITH ORDINALITY AS b (from_ms, to_ms, number) \
         JOIN rollups AS r ON r.quarter_start_ms >= b.from_ms AND r.quarter_start_ms < b.to_ms ",
    );
    // The whole span once more, in the form by which partitions are left out.
    sql.push("WHERE r.quarter_start_ms >= ").push_bind(first.0);
    sql.push(" AND r.quarter_start_ms < ").push_bind(last.1);
    for (dimension, values) in &query.filters {
        let values: Vec<_> = values.iter().map(|value| storable(value)).collect();
        sql.push(format_args!(" AND r.{} = ANY(", dimension.name()));
        sql.push_bind(values).push(")");
    }
    sql.push(format_args!(
        " GROUP BY b.number{columns} ORDER BY b.number{columns} LIMIT "
    ));
    sql.push_bind(i64::from(query.limit))
        .push(" OFFSET ")
        .push_bind(i64::from(query.offset));
    let rows = sql.build().fetch_all(connection).await?;
    rows.iter()
        .map(|row| Ok(report_row(row, query.dimensions.len())?))
        .collect()
}

fn report_row(row: &PgRow, dimensions: usize) -> Result<ReportRow, sqlx::Error> {
    // Ordinals begin at 1.
    let number: i64 = row.try_get("number")?;
    Ok(ReportRow {
        bucket: usize::try_from(number.saturating_sub(1))
            .map_err(|error| sqlx::Error::Decode(error.into()))?,
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
