//! One record of an event topic as what it adds to the rollups. Pure: no store, no clock.
//!
//! Reports go by the time of the *bid*, as the ledger's days do: a click on Tuesday for Monday's bid is Monday's.
//! Adding is commutative and every event carries its id, so neither order nor repeats change a report.

mod known;

pub use domain::event::MAX_AMOUNT;
pub use known::KnownDimensions;

use domain::event::{
    self, BadRecord, BidEvent, Dimensions, EventKind, SpendEvent, check_amount, check_time, quarter_start_ms,
};
use domain::id::AdvertiserId;
use domain::period::Day;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use storage::event_log::Topic;
use storage::report_store::{Contribution, SettledSpend, Totals};

/// The topics whose records are folded.
pub const TOPICS: [Topic; 7] = [
    Topic::Bids,
    Topic::Wins,
    Topic::Losses,
    Topic::Impressions,
    Topic::Clicks,
    Topic::Conversions,
    Topic::Spend,
];

/// What one record comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// When it happened, Unix milliseconds.
    pub at_ms: i64,
    /// `None` for events that no report counts (a video's quartiles).
    pub contribution: Option<Contribution>,
}

/// Why a record can never be applied. It is set aside: trying again would not help.
#[derive(Debug, thiserror::Error)]
pub enum Poison {
    #[error(transparent)]
    BadRecord(#[from] BadRecord),
    #[error("topic holds no events that reports are made of")]
    NotAnEventTopic,
}

/// Reads one record. What `known` holds of earlier records changes the cost, never the outcome.
///
/// # Errors
/// [`Poison`] when it is not an event that this version understands.
pub fn fold(topic: Topic, value: Option<&[u8]>, known: &mut KnownDimensions) -> Result<Folded, Poison> {
    match topic {
        Topic::Bids => Ok(fold_bids(
            event::read(value, |record: &BidCounts<'_>| record.schema)?,
            known,
        )?),
        Topic::Wins | Topic::Losses | Topic::Impressions | Topic::Clicks | Topic::Conversions => {
            Ok(fold_event(BidEvent::read(value)?))
        }
        Topic::Spend => Ok(fold_spend(SpendEvent::read(value)?)),
        Topic::Campaigns
        | Topic::Exchanges
        | Topic::Deals
        | Topic::LedgerCheckpoints
        | Topic::Diagnosis
        | Topic::Status => Err(Poison::NotAnEventTopic),
    }
}

/// [`domain::event::BidCounts`] without copies: nearly all of what is read.
#[derive(Deserialize)]
struct BidCounts<'a> {
    schema: u32,
    event_id: String,
    at_ms: i64,
    #[serde(borrow)]
    counts: Vec<BidCount<'a>>,
}

#[derive(Deserialize)]
struct BidCount<'a> {
    quarter_start_ms: i64,
    #[serde(borrow)]
    dimensions: &'a RawValue,
    bids: u64,
}

fn fold_bids(record: BidCounts<'_>, known: &mut KnownDimensions) -> Result<Folded, BadRecord> {
    if record.event_id.is_empty() {
        return Err(BadRecord::NoEventId);
    }
    let rows = record.counts.into_iter().map(|count| {
        let bids = i64::try_from(count.bids).map_err(|_| BadRecord::OutOfRange("bids"))?;
        check_amount("bids", bids)?;
        check_time("time of the bid", count.quarter_start_ms)?;
        let totals = Totals {
            bids,
            ..Totals::default()
        };
        let dimensions = known.of(count.dimensions)?;
        Ok((quarter_start_ms(count.quarter_start_ms), dimensions, totals))
    });
    let rows = rows.collect::<Result<Vec<_>, BadRecord>>()?;
    Ok(folded(record.at_ms, record.event_id, rows, None))
}

fn fold_event(event: BidEvent) -> Folded {
    let mut totals = Totals::default();
    match event.kind {
        EventKind::Win => totals.wins = 1,
        EventKind::Loss => totals.losses = 1,
        EventKind::Impression => totals.impressions = 1,
        EventKind::Click => totals.clicks = 1,
        EventKind::Conversion => {
            totals.conversions = 1;
            totals.conversion_value_micros = event.value_micros.unwrap_or(0);
        }
        EventKind::VideoStart => totals.video_starts = 1,
        EventKind::VideoComplete => totals.video_completes = 1,
        EventKind::VideoFirstQuartile
        | EventKind::VideoMidpoint
        | EventKind::VideoThirdQuartile
        | EventKind::VideoError => {}
    }
    let row = (
        quarter_start_ms(event.bid_at_ms),
        Arc::new(event.dimensions),
        totals,
    );
    let counted = row.2 != Totals::default();
    let rows = counted.then_some(row).into_iter().collect();
    folded(event.at_ms, event.event_id, rows, None)
}

fn fold_spend(event: SpendEvent) -> Folded {
    let totals = Totals {
        spend_nanos: event.charge_nanos,
        media_cost_nanos: event.media_cost_nanos,
        over_delivery_nanos: event.over_delivery_nanos,
        ..Totals::default()
    };
    let spend = SettledSpend {
        advertiser_id: AdvertiserId(event.dimensions.advertiser.clone()),
        campaign_id: event.campaign_id,
        day: Day {
            date: event.day,
            start_ms: event.day_start_ms,
            end_ms: event.day_end_ms,
        },
        charge_nanos: event.charge_nanos,
        over_delivery_nanos: event.over_delivery_nanos,
    };
    let row = (
        quarter_start_ms(event.bid_at_ms),
        Arc::new(event.dimensions),
        totals,
    );
    folded(event.at_ms, event.event_id, vec![row], Some(spend))
}

fn folded(
    at_ms: i64,
    event_id: String,
    rows: Vec<(i64, Arc<Dimensions>, Totals)>,
    spend: Option<SettledSpend>,
) -> Folded {
    Folded {
        at_ms,
        contribution: (!rows.is_empty()).then_some(Contribution {
            event_id,
            rows,
            spend,
        }),
    }
}

#[cfg(test)]
mod tests;
