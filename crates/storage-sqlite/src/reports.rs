//! [`ReportStore`]: rollups, the event ids in them and the offsets they came from, in one transaction.

use crate::error::storage_error;
use crate::store::SqliteStore;
use crate::{reports_query, reports_set_aside, reports_spend};
use async_trait::async_trait;
use domain::event::Dimensions;
use domain::id::CampaignId;
use sqlx::SqliteConnection;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use storage::event_log::Topic;
use storage::report_store::{
    Advance, Applied, CONVERSION_IDS_KEPT_MS, Contribution, ReportBatch, ReportQuery, ReportRow, SetAside,
    SpendPage, Totals, fresh,
};
use storage::{ReportStore, StorageError};

/// Distinct values of `site_or_bundle` in one campaign's UTC day.
const SITES_A_DAY: usize = 1_000;
const OTHER: &str = "other";
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

#[async_trait]
impl ReportStore for SqliteStore {
    async fn apply(&self, batch: Arc<ReportBatch>, now_ms: i64) -> Result<Applied, StorageError> {
        self.run_write(move |connection| Box::pin(async move { apply(connection, &batch, now_ms).await }))
            .await
    }

    async fn offsets(&self, partitions: &[(Topic, u32)]) -> Result<Vec<i64>, StorageError> {
        let partitions = partitions.to_vec();
        self.run_read(move |connection| {
            Box::pin(async move {
                let stored: Vec<(String, u32, i64)> =
                    sqlx::query_as("SELECT topic, partition, next_offset FROM report_offsets")
                        .fetch_all(connection)
                        .await
                        .map_err(storage_error)?;
                let next = |(topic, partition): &(Topic, u32)| {
                    let found = stored
                        .iter()
                        .find(|(name, number, _)| name == topic.name() && number == partition);
                    found.map_or(0, |(_, _, next_offset)| *next_offset)
                };
                Ok(partitions.iter().map(next).collect())
            })
        })
        .await
    }

    async fn query(&self, query: &ReportQuery) -> Result<Vec<ReportRow>, StorageError> {
        let query = query.clone();
        self.run_read(move |connection| Box::pin(reports_query::query(connection, query)))
            .await
    }

    async fn spend(
        &self,
        changed_since: Option<i64>,
        after: Option<&CampaignId>,
        days_from_ms: i64,
        limit: u32,
    ) -> Result<SpendPage, StorageError> {
        let after = after.map(|id| id.0.clone()).unwrap_or_default();
        self.snapshot(move |connection| {
            Box::pin(reports_spend::page(
                connection,
                changed_since,
                after,
                days_from_ms,
                limit,
            ))
        })
        .await
    }

    async fn set_aside(&self, limit: u32) -> Result<Vec<(i64, SetAside)>, StorageError> {
        self.run_read(move |connection| Box::pin(reports_set_aside::latest(connection, limit)))
            .await
    }

    async fn forget_event_ids(&self, before_ms: i64) -> Result<(), StorageError> {
        self.run_write(move |connection| {
            Box::pin(async move {
                // A day whose events can no longer repeat gains no values either.
                let conversions_before_ms = before_ms.saturating_sub(CONVERSION_IDS_KEPT_MS);
                for (sql, before_ms) in [
                    (
                        "DELETE FROM report_event_ids WHERE applied_at_ms < ? AND event_id NOT LIKE 'conversion:%'",
                        before_ms,
                    ),
                    (
                        "DELETE FROM report_event_ids WHERE applied_at_ms < ?",
                        conversions_before_ms,
                    ),
                    (
                        "DELETE FROM report_sites WHERE day_start_ms + 86400000 <= ?",
                        before_ms,
                    ),
                    ("DELETE FROM report_set_aside WHERE at_ms < ?", before_ms),
                    (
                        "DELETE FROM ledger_spend WHERE date <> '' AND end_ms < ?",
                        before_ms,
                    ),
                ] {
                    sqlx::query(sql)
                        .bind(before_ms)
                        .execute(&mut *connection)
                        .await
                        .map_err(storage_error)?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn forget_rollups(&self, before_ms: i64) -> Result<u64, StorageError> {
        let before_ms = before_ms.div_euclid(DAY_MS).saturating_mul(DAY_MS);
        self.run_write(move |connection| {
            Box::pin(async move {
                let days: i64 = sqlx::query_scalar(
                    "SELECT count(DISTINCT quarter_start_ms / 86400000) FROM rollups WHERE quarter_start_ms < ?",
                )
                .bind(before_ms)
                .fetch_one(&mut *connection)
                .await
                .map_err(storage_error)?;
                sqlx::query("DELETE FROM rollups WHERE quarter_start_ms < ?")
                    .bind(before_ms)
                    .execute(connection)
                    .await
                    .map_err(storage_error)?;
                Ok(days.unsigned_abs())
            })
        })
        .await
    }
}

async fn apply(
    connection: &mut SqliteConnection,
    batch: &ReportBatch,
    now_ms: i64,
) -> Result<Applied, StorageError> {
    for advance in &batch.advances {
        move_offset(connection, advance).await?;
    }
    let fresh_ids = remember_ids(connection, &batch.contributions, now_ms).await?;
    let fresh = fresh(&batch.contributions, |id| fresh_ids.contains(id))?;
    let rollups = bound_sites(connection, fresh.rollups).await?;
    add_rollups(connection, &rollups).await?;
    reports_spend::add(connection, &fresh.books).await?;
    reports_set_aside::add(connection, &batch.set_aside, now_ms).await?;
    Ok(fresh.applied)
}

async fn move_offset(connection: &mut SqliteConnection, advance: &Advance) -> Result<(), StorageError> {
    // The writer's transaction holds the lock: what is read here cannot change before it is replaced.
    let known: Option<i64> =
        sqlx::query_scalar("SELECT next_offset FROM report_offsets WHERE topic = ? AND partition = ?")
            .bind(advance.topic.name())
            .bind(advance.partition)
            .fetch_optional(&mut *connection)
            .await
            .map_err(storage_error)?;
    let stands_at = known.unwrap_or(0);
    if stands_at != advance.from_offset {
        return Err(StorageError::Conflict(format!(
            "topic {} partition {} stands at {stands_at}, not at {}",
            advance.topic.name(),
            advance.partition,
            advance.from_offset
        )));
    }
    sqlx::query(
        "INSERT INTO report_offsets (topic, partition, next_offset) VALUES (?1, ?2, ?3) \
         ON CONFLICT (topic, partition) DO UPDATE SET next_offset = ?3",
    )
    .bind(advance.topic.name())
    .bind(advance.partition)
    .bind(advance.to_offset)
    .execute(connection)
    .await
    .map_err(storage_error)?;
    Ok(())
}

/// The ids among the contributions that were not known.
async fn remember_ids(
    connection: &mut SqliteConnection,
    contributions: &[Contribution],
    now_ms: i64,
) -> Result<HashSet<String>, StorageError> {
    if contributions.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<&str> = contributions.iter().map(|one| one.event_id.as_str()).collect();
    let fresh: Vec<String> = sqlx::query_scalar(
        "INSERT OR IGNORE INTO report_event_ids (event_id, applied_at_ms) \
         SELECT value, ? FROM json_each(?) RETURNING event_id",
    )
    .bind(now_ms)
    .bind(serde_json::to_string(&ids)?)
    .fetch_all(connection)
    .await
    .map_err(storage_error)?;
    Ok(fresh.into_iter().collect())
}

/// Sums, sorted: neighbours in the table are written one after the other.
type Rollups<'a> = BTreeMap<(i64, Cow<'a, Dimensions>), Totals>;

/// Renames to `other` what a campaign's day can no longer hold.
async fn bound_sites<'a>(
    connection: &mut SqliteConnection,
    rollups: Vec<(i64, &'a Dimensions, Totals)>,
) -> Result<Rollups<'a>, StorageError> {
    let mut days: HashMap<(i64, &str), HashSet<String>> = HashMap::new();
    let mut new_sites: Vec<(i64, &str, &str)> = Vec::new();
    let mut bounded = Rollups::new();
    for (quarter_start_ms, dimensions, totals) in rollups {
        let site = dimensions.site_or_bundle.as_str();
        let mut kept = Cow::Borrowed(dimensions);
        if !site.is_empty() && site != OTHER {
            let day_start_ms = quarter_start_ms.div_euclid(DAY_MS).saturating_mul(DAY_MS);
            let key = (day_start_ms, dimensions.campaign.as_str());
            let known = match days.entry(key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unread) => {
                    unread.insert(known_sites(connection, day_start_ms, &dimensions.campaign).await?)
                }
            };
            if !known.contains(site) {
                if known.len() < SITES_A_DAY {
                    known.insert(site.to_owned());
                    new_sites.push((day_start_ms, &dimensions.campaign, site));
                } else {
                    OTHER.clone_into(&mut kept.to_mut().site_or_bundle);
                }
            }
        }
        let sum: &mut Totals = bounded.entry((quarter_start_ms, kept)).or_default();
        *sum = sum
            .checked_add(totals)
            .ok_or_else(|| StorageError::Corrupt("a total does not fit in 64 bits".to_owned()))?;
    }
    if !new_sites.is_empty() {
        sqlx::query(
            "INSERT INTO report_sites (day_start_ms, campaign, site_or_bundle) \
             SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)",
        )
        .bind(serde_json::to_string(&new_sites)?)
        .execute(connection)
        .await
        .map_err(storage_error)?;
    }
    Ok(bounded)
}

async fn known_sites(
    connection: &mut SqliteConnection,
    day_start_ms: i64,
    campaign: &str,
) -> Result<HashSet<String>, StorageError> {
    let sites: Vec<String> =
        sqlx::query_scalar("SELECT site_or_bundle FROM report_sites WHERE day_start_ms = ? AND campaign = ?")
            .bind(day_start_ms)
            .bind(campaign)
            .fetch_all(connection)
            .await
            .map_err(storage_error)?;
    Ok(sites.into_iter().collect())
}

async fn add_rollups(connection: &mut SqliteConnection, rollups: &Rollups<'_>) -> Result<(), StorageError> {
    if rollups.is_empty() {
        return Ok(());
    }
    let rows: Vec<(i64, &Dimensions, &Totals)> = rollups
        .iter()
        .map(|((quarter_start_ms, dimensions), totals)| (*quarter_start_ms, &**dimensions, totals))
        .collect();
    // `WHERE true` keeps the parser from reading ON CONFLICT as a join's condition.
    sqlx::query(
        "INSERT INTO rollups SELECT value ->> '$[0]', value ->> '$[1].advertiser', value ->> '$[1].campaign', \
           value ->> '$[1].creative', value ->> '$[1].exchange', value ->> '$[1].deal', value ->> '$[1].country', \
           value ->> '$[1].device', value ->> '$[1].os', value ->> '$[1].format', value ->> '$[1].size', \
           value ->> '$[1].placement', value ->> '$[1].site_or_bundle', \
           value ->> '$[2].bids', value ->> '$[2].wins', value ->> '$[2].losses', value ->> '$[2].impressions', \
           value ->> '$[2].clicks', value ->> '$[2].video_starts', value ->> '$[2].video_completes', \
           value ->> '$[2].conversions', value ->> '$[2].conversion_value_micros', value ->> '$[2].spend_nanos', \
           value ->> '$[2].media_cost_nanos', value ->> '$[2].over_delivery_nanos' \
         FROM json_each(?) WHERE true ON CONFLICT DO UPDATE SET \
           bids = bids + excluded.bids, wins = wins + excluded.wins, losses = losses + excluded.losses, \
           impressions = impressions + excluded.impressions, clicks = clicks + excluded.clicks, \
           video_starts = video_starts + excluded.video_starts, \
           video_completes = video_completes + excluded.video_completes, \
           conversions = conversions + excluded.conversions, \
           conversion_value_micros = conversion_value_micros + excluded.conversion_value_micros, \
           spend_nanos = spend_nanos + excluded.spend_nanos, \
           media_cost_nanos = media_cost_nanos + excluded.media_cost_nanos, \
           over_delivery_nanos = over_delivery_nanos + excluded.over_delivery_nanos",
    )
    .bind(serde_json::to_string(&rows)?)
    .execute(connection)
    .await
    .map_err(storage_error)?;
    Ok(())
}
