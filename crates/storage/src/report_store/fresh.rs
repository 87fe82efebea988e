//! What the events of a batch come to that were not applied before: every adapter adds up the same way.

use super::{Applied, Contribution, SettledSpend, Totals};
use crate::error::StorageError;
use domain::event::{Dimensions, SpentTotals};
use domain::id::{AdvertiserId, CampaignId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Sums, each in the order in which rows are locked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fresh<'a> {
    pub applied: Applied,
    /// By quarter and dimensions; only those with something in them.
    pub rollups: Vec<(i64, &'a Dimensions, Totals)>,
    pub books: BTreeMap<&'a CampaignId, Books<'a>>,
}

/// What is added to one campaign's days, by date, and so to its lifetime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books<'a> {
    pub advertiser_id: &'a AdvertiserId,
    pub days: BTreeMap<&'a str, DayBooks>,
    pub lifetime: SpentTotals,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayBooks {
    pub start_ms: i64,
    pub end_ms: i64,
    pub totals: SpentTotals,
}

/// Adds up the contributions whose id is fresh, each id once.
///
/// # Errors
/// `Corrupt` when a sum leaves 64 bits.
pub fn fresh<'a>(
    contributions: &'a [Contribution],
    mut is_fresh: impl FnMut(&'a str) -> bool,
) -> Result<Fresh<'a>, StorageError> {
    let mut seen = HashSet::with_capacity(contributions.len());
    let mut sum = Fresh::default();
    // Readers share equal dimensions: found by their place in memory first, which costs no look at twelve texts.
    let mut by_place: HashMap<(i64, *const Dimensions), (&Dimensions, Totals)> = HashMap::new();
    for (place, contribution) in contributions.iter().enumerate() {
        if !seen.insert(contribution.event_id.as_str()) || !is_fresh(&contribution.event_id) {
            sum.applied.repeated.push(place);
            continue;
        }
        sum.applied.fresh += 1;
        for (quarter_start_ms, dimensions, more) in &contribution.rows {
            let (_, totals) = by_place
                .entry((*quarter_start_ms, std::sync::Arc::as_ptr(dimensions)))
                .or_insert((dimensions, Totals::default()));
            *totals = totals.checked_add(*more).ok_or_else(too_much)?;
        }
        if let Some(spend) = &contribution.spend {
            settle(&mut sum.books, spend)?;
        }
    }
    let mut by_value: BTreeMap<(i64, &Dimensions), Totals> = BTreeMap::new();
    for ((quarter_start_ms, _), (dimensions, more)) in by_place {
        let totals = by_value.entry((quarter_start_ms, dimensions)).or_default();
        *totals = totals.checked_add(more).ok_or_else(too_much)?;
    }
    sum.rollups = by_value
        .into_iter()
        .filter(|(_, totals)| *totals != Totals::default())
        .map(|((quarter_start_ms, dimensions), totals)| (quarter_start_ms, dimensions, totals))
        .collect();
    Ok(sum)
}

fn settle<'a>(
    books: &mut BTreeMap<&'a CampaignId, Books<'a>>,
    spend: &'a SettledSpend,
) -> Result<(), StorageError> {
    let of = books.entry(&spend.campaign_id).or_insert(Books {
        advertiser_id: &spend.advertiser_id,
        days: BTreeMap::new(),
        lifetime: SpentTotals::default(),
    });
    let day = of.days.entry(&spend.day.date).or_default();
    day.start_ms = day.start_ms.max(spend.day.start_ms);
    day.end_ms = day.end_ms.max(spend.day.end_ms);
    for totals in [&mut day.totals, &mut of.lifetime] {
        let add = |sum: i64, more: i64| sum.checked_add(more).ok_or_else(too_much);
        totals.spent_nanos = add(totals.spent_nanos, spend.charge_nanos)?;
        totals.over_delivery_nanos = add(totals.over_delivery_nanos, spend.over_delivery_nanos)?;
        totals.settled_bids = add(totals.settled_bids, 1)?;
    }
    Ok(())
}

fn too_much() -> StorageError {
    StorageError::Corrupt("a total does not fit in 64 bits".to_owned())
}
