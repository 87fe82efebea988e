//! [`ReportStore`]: rollups, the event ids in them and the offsets they came from, in one transaction.

use crate::error::storage_error;
use crate::reports_query;
use crate::store::SqliteStore;
use async_trait::async_trait;
use domain::event::Dimensions;
use sqlx::SqliteConnection;
use std::collections::{HashMap, HashSet};
use storage::event_log::Topic;
use storage::report_store::{Advance, Applied, Contribution, ReportQuery, ReportRow, Totals};
use storage::{ReportStore, StorageError};

/// Distinct values of `site_or_bundle` in one campaign's UTC day.
const SITES_A_DAY: usize = 1_000;
const OTHER: &str = "other";
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

type Rollups = HashMap<(i64, Dimensions), Totals>;

#[async_trait]
impl ReportStore for SqliteStore {
    async fn apply(
        &self,
        advances: &[Advance],
        contributions: &[Contribution],
        now_ms: i64,
    ) -> Result<Applied, StorageError> {
        let (advances, contributions) = (advances.to_vec(), contributions.to_vec());
        self.run_write(move |connection| Box::pin(apply(connection, advances, contributions, now_ms)))
            .await
    }

    async fn offset(&self, topic: Topic, partition: u32) -> Result<i64, StorageError> {
        self.run_read(move |connection| {
            Box::pin(async move {
                let next: Option<i64> = sqlx::query_scalar(
                    "SELECT next_offset FROM report_offsets WHERE topic = ? AND partition = ?",
                )
                .bind(topic.name())
                .bind(partition)
                .fetch_optional(connection)
                .await
                .map_err(storage_error)?;
                Ok(next.unwrap_or(0))
            })
        })
        .await
    }

    async fn query(&self, query: &ReportQuery) -> Result<Vec<ReportRow>, StorageError> {
        let query = query.clone();
        self.run_read(move |connection| Box::pin(reports_query::query(connection, query)))
            .await
    }

    async fn forget_event_ids(&self, before_ms: i64) -> Result<(), StorageError> {
        self.run_write(move |connection| {
            Box::pin(async move {
                // A day whose events can no longer repeat gains no values either.
                for sql in [
                    "DELETE FROM report_event_ids WHERE applied_at_ms < ?",
                    "DELETE FROM report_sites WHERE day_start_ms + 86400000 <= ?",
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
}

async fn apply(
    connection: &mut SqliteConnection,
    advances: Vec<Advance>,
    contributions: Vec<Contribution>,
    now_ms: i64,
) -> Result<Applied, StorageError> {
    for advance in &advances {
        move_offset(connection, advance).await?;
    }
    let mut fresh_ids = remember_ids(connection, &contributions, now_ms).await?;
    let mut applied = Applied::default();
    let mut rollups = Rollups::new();
    for contribution in contributions {
        // Removed at its first use: a second one in the same batch is a repeat.
        if !fresh_ids.remove(&contribution.event_id) {
            applied.repeated += 1;
            continue;
        }
        applied.fresh += 1;
        for (quarter_start_ms, dimensions, totals) in contribution.rows {
            let sum = rollups.entry((quarter_start_ms, dimensions)).or_default();
            *sum = added(*sum, totals)?;
        }
    }
    rollups.retain(|_, totals| *totals != Totals::default());
    let rollups = bound_sites(connection, rollups).await?;
    add_rollups(connection, &rollups).await?;
    Ok(applied)
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

/// Renames to `other` what a campaign's day can no longer hold.
async fn bound_sites(connection: &mut SqliteConnection, rollups: Rollups) -> Result<Rollups, StorageError> {
    let mut days: HashMap<(i64, String), HashSet<String>> = HashMap::new();
    let mut new_sites: Vec<(i64, String, String)> = Vec::new();
    let mut bounded = Rollups::with_capacity(rollups.len());
    for ((quarter_start_ms, mut dimensions), totals) in rollups {
        let site = &dimensions.site_or_bundle;
        if !site.is_empty() && site != OTHER {
            let day_start_ms = quarter_start_ms.div_euclid(DAY_MS).saturating_mul(DAY_MS);
            let key = (day_start_ms, dimensions.campaign.clone());
            if !days.contains_key(&key) {
                let known = known_sites(connection, day_start_ms, &dimensions.campaign).await?;
                days.insert(key.clone(), known);
            }
            let known = days.entry(key).or_default();
            if !known.contains(site) {
                if known.len() < SITES_A_DAY {
                    known.insert(site.clone());
                    new_sites.push((day_start_ms, dimensions.campaign.clone(), site.clone()));
                } else {
                    OTHER.clone_into(&mut dimensions.site_or_bundle);
                }
            }
        }
        let sum: &mut Totals = bounded.entry((quarter_start_ms, dimensions)).or_default();
        *sum = added(*sum, totals)?;
    }
    sqlx::query(
        "INSERT INTO report_sites (day_start_ms, campaign, site_or_bundle) \
         SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)",
    )
    .bind(serde_json::to_string(&new_sites)?)
    .execute(connection)
    .await
    .map_err(storage_error)?;
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

async fn add_rollups(connection: &mut SqliteConnection, rollups: &Rollups) -> Result<(), StorageError> {
    let rows: Vec<(i64, &Dimensions, &Totals)> = rollups
        .iter()
        .map(|((quarter_start_ms, dimensions), totals)| (*quarter_start_ms, dimensions, totals))
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

fn added(sum: Totals, more: Totals) -> Result<Totals, StorageError> {
    let add = |a: i64, b: i64| {
        a.checked_add(b)
            .ok_or_else(|| StorageError::Corrupt("a total does not fit in 64 bits".to_owned()))
    };
    Ok(Totals {
        bids: add(sum.bids, more.bids)?,
        wins: add(sum.wins, more.wins)?,
        losses: add(sum.losses, more.losses)?,
        impressions: add(sum.impressions, more.impressions)?,
        clicks: add(sum.clicks, more.clicks)?,
        video_starts: add(sum.video_starts, more.video_starts)?,
        video_completes: add(sum.video_completes, more.video_completes)?,
        conversions: add(sum.conversions, more.conversions)?,
        conversion_value_micros: add(sum.conversion_value_micros, more.conversion_value_micros)?,
        spend_nanos: add(sum.spend_nanos, more.spend_nanos)?,
        media_cost_nanos: add(sum.media_cost_nanos, more.media_cost_nanos)?,
        over_delivery_nanos: add(sum.over_delivery_nanos, more.over_delivery_nanos)?,
    })
}
