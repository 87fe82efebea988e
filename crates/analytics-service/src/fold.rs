//! One record of an event topic as what it adds to the rollups. Pure: no store, no clock.
//!
//! Reports go by the time of the *bid*, as the ledger's days do: a click on Tuesday for Monday's bid is Monday's.
//! Adding is commutative and every event carries its id, so neither order nor repeats change a report.

mod known;

pub use known::KnownDimensions;

use domain::event::{BidEvent, Dimensions, EventKind, SCHEMA, SpendEvent, quarter_start_ms};
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

/// More than one event can come to (10 million units in nanos). Sums of sane amounts never reach the end of `i64`;
/// a single absurd one (a conversion's value comes from outside) must not get near it.
pub const MAX_AMOUNT: i64 = 10_000_000_000_000_000;
/// The last millisecond of the year 9999.
const MAX_TIME_MS: i64 = 253_402_300_799_999;

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
    #[error("record has no value")]
    NoValue,
    #[error("not an event of this topic: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("schema {found} is not known here, only {SCHEMA}")]
    UnknownSchema { found: u32 },
    #[error("event id is empty")]
    NoEventId,
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
    #[error("topic holds no events that reports are made of")]
    NotAnEventTopic,
}

/// Reads one record. What `known` holds of earlier records changes the cost, never the outcome.
///
/// # Errors
/// [`Poison`] when it is not an event that this version understands.
pub fn fold(topic: Topic, value: Option<&[u8]>, known: &mut KnownDimensions) -> Result<Folded, Poison> {
    let bytes = value.ok_or(Poison::NoValue)?;
    match topic {
        Topic::Bids => fold_bids(read(bytes, |record: &BidCounts<'_>| record.schema)?, known),
        Topic::Wins | Topic::Losses | Topic::Impressions | Topic::Clicks | Topic::Conversions => {
            fold_event(read(bytes, |event: &BidEvent| event.schema)?)
        }
        Topic::Spend => fold_spend(read(bytes, |event: &SpendEvent| event.schema)?),
        Topic::Campaigns
        | Topic::Exchanges
        | Topic::Deals
        | Topic::LedgerCheckpoints
        | Topic::Diagnosis
        | Topic::Status => Err(Poison::NotAnEventTopic),
    }
}

/// Read whole first, as nearly all can be. A later shape need not parse as this one: then the reason is its schema.
fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], schema: impl Fn(&T) -> u32) -> Result<T, Poison> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let event = serde_json::from_slice::<T>(bytes);
    let found = match &event {
        Ok(event) => schema(event),
        Err(_) => serde_json::from_slice::<Version>(bytes)?.schema,
    };
    if found != SCHEMA {
        return Err(Poison::UnknownSchema { found });
    }
    Ok(event?)
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

fn fold_bids(record: BidCounts<'_>, known: &mut KnownDimensions) -> Result<Folded, Poison> {
    let rows = record.counts.into_iter().map(|count| {
        let bids = i64::try_from(count.bids).map_err(|_| Poison::OutOfRange("bids"))?;
        let totals = Totals {
            bids: amount("bids", bids)?,
            ..Totals::default()
        };
        let dimensions = known.of(count.dimensions)?;
        Ok((quarter(count.quarter_start_ms)?, dimensions, totals))
    });
    let rows = rows.collect::<Result<Vec<_>, Poison>>()?;
    folded(record.at_ms, record.event_id, rows, None)
}

fn fold_event(event: BidEvent) -> Result<Folded, Poison> {
    let mut totals = Totals::default();
    match event.kind {
        EventKind::Win => totals.wins = 1,
        EventKind::Loss => totals.losses = 1,
        EventKind::Impression => totals.impressions = 1,
        EventKind::Click => totals.clicks = 1,
        EventKind::Conversion => {
            totals.conversions = 1;
            totals.conversion_value_micros = value(event.value_micros.unwrap_or(0))?;
        }
        EventKind::VideoStart => totals.video_starts = 1,
        EventKind::VideoComplete => totals.video_completes = 1,
        EventKind::VideoFirstQuartile
        | EventKind::VideoMidpoint
        | EventKind::VideoThirdQuartile
        | EventKind::VideoError => {}
    }
    let row = (quarter(event.bid_at_ms)?, Arc::new(event.dimensions), totals);
    let counted = row.2 != Totals::default();
    let rows = counted.then_some(row).into_iter().collect();
    folded(event.at_ms, event.event_id, rows, None)
}

fn fold_spend(event: SpendEvent) -> Result<Folded, Poison> {
    let totals = Totals {
        spend_nanos: amount("charge_nanos", event.charge_nanos)?,
        media_cost_nanos: amount("media_cost_nanos", event.media_cost_nanos)?,
        over_delivery_nanos: amount("over_delivery_nanos", event.over_delivery_nanos)?,
        ..Totals::default()
    };
    let spend = SettledSpend {
        advertiser_id: AdvertiserId(event.dimensions.advertiser.clone()),
        campaign_id: event.campaign_id,
        day: day(event.day, event.day_start_ms, event.day_end_ms)?,
        charge_nanos: event.charge_nanos,
        over_delivery_nanos: event.over_delivery_nanos,
    };
    let row = (quarter(event.bid_at_ms)?, Arc::new(event.dimensions), totals);
    folded(event.at_ms, event.event_id, vec![row], Some(spend))
}

fn folded(
    at_ms: i64,
    event_id: String,
    rows: Vec<(i64, Arc<Dimensions>, Totals)>,
    spend: Option<SettledSpend>,
) -> Result<Folded, Poison> {
    if event_id.is_empty() {
        return Err(Poison::NoEventId);
    }
    Ok(Folded {
        at_ms,
        contribution: (!rows.is_empty()).then_some(Contribution {
            event_id,
            rows,
            spend,
        }),
    })
}

fn day(date: String, start_ms: i64, end_ms: i64) -> Result<Day, Poison> {
    let times = 0..=MAX_TIME_MS;
    // The empty date is the lifetime's.
    if date.is_empty() || !times.contains(&start_ms) || !times.contains(&end_ms) {
        return Err(Poison::OutOfRange("day"));
    }
    Ok(Day {
        date,
        start_ms,
        end_ms,
    })
}

fn quarter(instant_ms: i64) -> Result<i64, Poison> {
    if (0..=MAX_TIME_MS).contains(&instant_ms) {
        Ok(quarter_start_ms(instant_ms))
    } else {
        Err(Poison::OutOfRange("time of the bid"))
    }
}

/// As many units as [`MAX_AMOUNT`], in micros.
fn value(micros: i64) -> Result<i64, Poison> {
    amount("value_micros", micros)?;
    if micros <= MAX_AMOUNT / 1_000 {
        Ok(micros)
    } else {
        Err(Poison::OutOfRange("value_micros"))
    }
}

fn amount(name: &'static str, value: i64) -> Result<i64, Poison> {
    if (0..=MAX_AMOUNT).contains(&value) {
        Ok(value)
    } else {
        Err(Poison::OutOfRange(name))
    }
}

#[cfg(test)]
mod tests;
