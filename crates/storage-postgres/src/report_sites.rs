//! At most 1,000 values of `site_or_bundle` in a campaign's day, whoever counts them.

use crate::error::Failure;
use crate::reports::DAY_MS;
use crate::rollups::{self, Rollups, day_of};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Distinct values of `site_or_bundle` in one campaign's UTC day.
const SITES_A_DAY: i64 = 1_000;
const OTHER: &str = "other";

/// Day's start, campaign, value.
type Site = (i64, String, String);

/// Renames to `other` what a campaign's day can no longer hold.
pub(crate) async fn bound<'a>(
    connection: &mut PgConnection,
    rollups: Rollups<'a>,
) -> Result<Rollups<'a>, Failure> {
    let wanted: BTreeSet<Site> = rollups
        .keys()
        .filter_map(|(at, dimensions)| site(*at, dimensions))
        .collect();
    let unknown = without_known(connection, wanted).await?;
    if unknown.is_empty() {
        return Ok(rollups);
    }
    let refused = admit(connection, unknown).await?;
    let mut bounded = Rollups::new();
    for ((quarter_start_ms, mut dimensions), totals) in rollups {
        if site(quarter_start_ms, &dimensions).is_some_and(|site| refused.contains(&site)) {
            OTHER.clone_into(&mut dimensions.to_mut().site_or_bundle);
        }
        rollups::add(&mut bounded, quarter_start_ms, dimensions, totals)?;
    }
    Ok(bounded)
}

fn site(quarter_start_ms: i64, dimensions: &domain::event::Dimensions) -> Option<Site> {
    let counts = !dimensions.site_or_bundle.is_empty() && dimensions.site_or_bundle != OTHER;
    counts.then(|| {
        (
            day_of(quarter_start_ms).saturating_mul(DAY_MS),
            dimensions.campaign.clone(),
            dimensions.site_or_bundle.clone(),
        )
    })
}

async fn without_known(
    connection: &mut PgConnection,
    mut sites: BTreeSet<Site>,
) -> Result<BTreeSet<Site>, Failure> {
    if sites.is_empty() {
        return Ok(sites);
    }
    let known: Vec<Site> = sqlx::query_as(
        "SELECT day_start_ms, campaign, site_or_bundle FROM report_sites \
         JOIN unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[]) AS wanted (day_start_ms, campaign, site_or_bundle) \
         USING (day_start_ms, campaign, site_or_bundle)",
    )
    .bind(sites.iter().map(|site| site.0).collect::<Vec<i64>>())
    .bind(sites.iter().map(|site| site.1.as_str()).collect::<Vec<&str>>())
    .bind(sites.iter().map(|site| site.2.as_str()).collect::<Vec<&str>>())
    .fetch_all(connection)
    .await?;
    for site in &known {
        sites.remove(site);
    }
    Ok(sites)
}

/// Adds what there is room for, and gives back the rest.
async fn admit(connection: &mut PgConnection, unknown: BTreeSet<Site>) -> Result<HashSet<Site>, Failure> {
    let mut counts = lock_counts(connection, &unknown).await?;
    // Once more under the lock: another reader may have added some meanwhile.
    let unknown = without_known(connection, unknown).await?;
    let (admitted, refused): (Vec<Site>, HashSet<Site>) = {
        let mut admitted = Vec::new();
        let mut refused = HashSet::new();
        for site in unknown {
            let count = counts.entry((site.0, site.1.clone())).or_default();
            if *count < SITES_A_DAY {
                *count += 1;
                admitted.push(site);
            } else {
                refused.insert(site);
            }
        }
        (admitted, refused)
    };
    sqlx::query(
        "INSERT INTO report_sites (day_start_ms, campaign, site_or_bundle) \
         SELECT * FROM unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[])",
    )
    .bind(admitted.iter().map(|site| site.0).collect::<Vec<i64>>())
    .bind(admitted.iter().map(|site| site.1.as_str()).collect::<Vec<&str>>())
    .bind(admitted.iter().map(|site| site.2.as_str()).collect::<Vec<&str>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE report_site_counts AS c SET sites = n.sites \
         FROM unnest($1::BIGINT[], $2::TEXT[], $3::BIGINT[]) AS n (day_start_ms, campaign, sites) \
         WHERE c.day_start_ms = n.day_start_ms AND c.campaign = n.campaign",
    )
    .bind(counts.keys().map(|day| day.0).collect::<Vec<i64>>())
    .bind(counts.keys().map(|day| day.1.as_str()).collect::<Vec<&str>>())
    .bind(counts.values().copied().collect::<Vec<i64>>())
    .execute(connection)
    .await?;
    Ok(refused)
}

/// How many values each campaign's day holds; locked until the commit, in order.
async fn lock_counts(
    connection: &mut PgConnection,
    sites: &BTreeSet<Site>,
) -> Result<BTreeMap<(i64, String), i64>, Failure> {
    let days: BTreeSet<(i64, &str)> = sites.iter().map(|site| (site.0, site.1.as_str())).collect();
    let counts: Vec<(i64, String, i64)> = sqlx::query_as(
        "INSERT INTO report_site_counts AS c (day_start_ms, campaign, sites) \
         SELECT d.day_start_ms, d.campaign, 0 FROM unnest($1::BIGINT[], $2::TEXT[]) AS d (day_start_ms, campaign) \
         ON CONFLICT (day_start_ms, campaign) DO UPDATE SET sites = c.sites RETURNING day_start_ms, campaign, sites",
    )
    .bind(days.iter().map(|day| day.0).collect::<Vec<i64>>())
    .bind(days.iter().map(|day| day.1).collect::<Vec<&str>>())
    .fetch_all(connection)
    .await?;
    Ok(counts
        .into_iter()
        .map(|(day_start_ms, campaign, sites)| ((day_start_ms, campaign), sites))
        .collect())
}
