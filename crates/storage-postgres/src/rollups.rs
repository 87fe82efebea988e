//! Sums by quarter of an hour and dimensions, in memory and as rows.

use crate::error::{self, Failure};
use crate::reports::DAY_MS;
use domain::event::Dimensions;
use sqlx::PgConnection;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use storage::StorageError;
use storage::report_store::{Contribution, Totals};

/// Sorted, as the rows are locked.
pub(crate) type Rollups<'a> = BTreeMap<(i64, Cow<'a, Dimensions>), Totals>;

pub(crate) fn day_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS)
}

/// Every UTC day that the contributions have rows in, and those of now and tomorrow, by number since 1970.
pub(crate) fn days_of(contributions: &[Contribution], now_ms: i64) -> BTreeSet<i64> {
    let rows = contributions.iter().flat_map(|one| &one.rows);
    rows.map(|(quarter_start_ms, _, _)| day_of(*quarter_start_ms))
        .chain([day_of(now_ms), day_of(now_ms).saturating_add(1)])
        .collect()
}

/// The sums under texts that PostgreSQL can keep.
pub(crate) fn storable_sums(sums: Vec<(i64, &Dimensions, Totals)>) -> Result<Rollups<'_>, StorageError> {
    let mut rollups = Rollups::new();
    for (quarter_start_ms, dimensions, totals) in sums {
        add(&mut rollups, quarter_start_ms, storable(dimensions), totals)?;
    }
    Ok(rollups)
}

fn storable(dimensions: &Dimensions) -> Cow<'_, Dimensions> {
    if !words(dimensions).iter().any(|text| text.contains('\0')) {
        return Cow::Borrowed(dimensions);
    }
    let mut kept = dimensions.clone();
    for text in [
        &mut kept.advertiser,
        &mut kept.campaign,
        &mut kept.creative,
        &mut kept.exchange,
        &mut kept.deal,
        &mut kept.country,
        &mut kept.device,
        &mut kept.os,
        &mut kept.format,
        &mut kept.size,
        &mut kept.placement,
        &mut kept.site_or_bundle,
    ] {
        *text = error::storable(text).into_owned();
    }
    Cow::Owned(kept)
}

pub(crate) fn add<'a>(
    rollups: &mut Rollups<'a>,
    quarter_start_ms: i64,
    dimensions: Cow<'a, Dimensions>,
    more: Totals,
) -> Result<(), StorageError> {
    let sum = rollups.entry((quarter_start_ms, dimensions)).or_default();
    *sum = sum
        .checked_add(more)
        .ok_or_else(|| StorageError::Corrupt("a total does not fit in 64 bits".to_owned()))?;
    Ok(())
}

/// The dimension columns in the order of the table.
fn words(dimensions: &Dimensions) -> [&str; 12] {
    [
        &dimensions.advertiser,
        &dimensions.campaign,
        &dimensions.creative,
        &dimensions.exchange,
        &dimensions.deal,
        &dimensions.country,
        &dimensions.device,
        &dimensions.os,
        &dimensions.format,
        &dimensions.size,
        &dimensions.placement,
        &dimensions.site_or_bundle,
    ]
}

/// The columns of sums in the order of the table.
fn amounts(totals: &Totals) -> [i64; 12] {
    [
        totals.bids,
        totals.wins,
        totals.losses,
        totals.impressions,
        totals.clicks,
        totals.video_starts,
        totals.video_completes,
        totals.conversions,
        totals.conversion_value_micros,
        totals.spend_nanos,
        totals.media_cost_nanos,
        totals.over_delivery_nanos,
    ]
}

/// One array a column: one statement whatever the number of rows.
const ADD: &str = "INSERT INTO rollups AS r (quarter_start_ms, advertiser, campaign, creative, exchange, deal, \
      country, device, os, format, size, placement, site_or_bundle, bids, wins, losses, impressions, clicks, \
      video_starts, video_completes, conversions, conversion_value_micros, spend_nanos, media_cost_nanos, \
      over_delivery_nanos) \
    SELECT * FROM unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], \
      $8::TEXT[], $9::TEXT[], $10::TEXT[], $11::TEXT[], $12::TEXT[], $13::TEXT[], $14::BIGINT[], $15::BIGINT[], \
      $16::BIGINT[], $17::BIGINT[], $18::BIGINT[], $19::BIGINT[], $20::BIGINT[], $21::BIGINT[], $22::BIGINT[], \
      $23::BIGINT[], $24::BIGINT[], $25::BIGINT[]) \
    ON CONFLICT (quarter_start_ms, advertiser, campaign, creative, exchange, deal, country, device, os, format, size, \
      placement, site_or_bundle) DO UPDATE SET \
      bids = r.bids + excluded.bids, wins = r.wins + excluded.wins, losses = r.losses + excluded.losses, \
      impressions = r.impressions + excluded.impressions, clicks = r.clicks + excluded.clicks, \
      video_starts = r.video_starts + excluded.video_starts, \
      video_completes = r.video_completes + excluded.video_completes, \
      conversions = r.conversions + excluded.conversions, \
      conversion_value_micros = r.conversion_value_micros + excluded.conversion_value_micros, \
      spend_nanos = r.spend_nanos + excluded.spend_nanos, \
      media_cost_nanos = r.media_cost_nanos + excluded.media_cost_nanos, \
      over_delivery_nanos = r.over_delivery_nanos + excluded.over_delivery_nanos";

pub(crate) async fn write(connection: &mut PgConnection, rollups: &Rollups<'_>) -> Result<(), Failure> {
    if rollups.is_empty() {
        return Ok(());
    }
    let quarters: Vec<i64> = rollups
        .keys()
        .map(|(quarter_start_ms, _)| *quarter_start_ms)
        .collect();
    let rows: Vec<_> = rollups
        .iter()
        .map(|((_, dimensions), totals)| (words(dimensions), amounts(totals)))
        .collect();
    let mut query = sqlx::query(ADD).bind(quarters);
    for column in 0..12 {
        query = query.bind(rows.iter().map(|(words, _)| words[column]).collect::<Vec<&str>>());
    }
    for column in 0..12 {
        query = query.bind(
            rows.iter()
                .map(|(_, amounts)| amounts[column])
                .collect::<Vec<i64>>(),
        );
    }
    query.execute(connection).await?;
    Ok(())
}
