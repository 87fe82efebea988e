//! One record of an event topic as what it adds to the rollups. Pure: no store, no clock.
//!
//! Reports go by the time of the *bid*, as the ledger's days do: a click on Tuesday for Monday's bid is Monday's.
//! Adding is commutative and every event carries its id, so neither order nor repeats change a report.

use domain::event::{BidCounts, BidEvent, Dimensions, EventKind, SCHEMA, SpendEvent, quarter_start_ms};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use storage::event_log::Topic;
use storage::report_store::{Contribution, Totals};

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

/// Reads one record.
///
/// # Errors
/// [`Poison`] when it is not an event that this version understands.
pub fn fold(topic: Topic, value: Option<&[u8]>) -> Result<Folded, Poison> {
    let bytes = value.ok_or(Poison::NoValue)?;
    match topic {
        Topic::Bids => fold_bids(read(bytes)?),
        Topic::Wins | Topic::Losses | Topic::Impressions | Topic::Clicks | Topic::Conversions => {
            fold_event(read(bytes)?)
        }
        Topic::Spend => fold_spend(read(bytes)?),
        Topic::Campaigns
        | Topic::Exchanges
        | Topic::Deals
        | Topic::LedgerCheckpoints
        | Topic::Diagnosis
        | Topic::Status => Err(Poison::NotAnEventTopic),
    }
}

/// The schema first: a later shape need not parse as this one, and the reason should say so.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Poison> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let version: Version = serde_json::from_slice(bytes)?;
    if version.schema != SCHEMA {
        return Err(Poison::UnknownSchema {
            found: version.schema,
        });
    }
    Ok(serde_json::from_slice(bytes)?)
}

fn fold_bids(record: BidCounts) -> Result<Folded, Poison> {
    let rows = record.counts.into_iter().map(|count| {
        let bids = i64::try_from(count.bids).map_err(|_| Poison::OutOfRange("bids"))?;
        let totals = Totals {
            bids: amount("bids", bids)?,
            ..Totals::default()
        };
        Ok((quarter(count.quarter_start_ms)?, count.dimensions, totals))
    });
    let rows = rows.collect::<Result<Vec<_>, Poison>>()?;
    folded(record.at_ms, record.event_id, rows)
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
            totals.conversion_value_micros = amount("value_micros", event.value_micros.unwrap_or(0))?;
        }
        EventKind::VideoStart => totals.video_starts = 1,
        EventKind::VideoComplete => totals.video_completes = 1,
        EventKind::VideoFirstQuartile
        | EventKind::VideoMidpoint
        | EventKind::VideoThirdQuartile
        | EventKind::VideoError => {}
    }
    let row = (quarter(event.bid_at_ms)?, event.dimensions, totals);
    let counted = row.2 != Totals::default();
    folded(
        event.at_ms,
        event.event_id,
        counted.then_some(row).into_iter().collect(),
    )
}

fn fold_spend(event: SpendEvent) -> Result<Folded, Poison> {
    let totals = Totals {
        spend_nanos: amount("charge_nanos", event.charge_nanos)?,
        media_cost_nanos: amount("media_cost_nanos", event.media_cost_nanos)?,
        over_delivery_nanos: amount("over_delivery_nanos", event.over_delivery_nanos)?,
        ..Totals::default()
    };
    let row = (quarter(event.bid_at_ms)?, event.dimensions, totals);
    folded(event.at_ms, event.event_id, vec![row])
}

fn folded(at_ms: i64, event_id: String, rows: Vec<(i64, Dimensions, Totals)>) -> Result<Folded, Poison> {
    if event_id.is_empty() {
        return Err(Poison::NoEventId);
    }
    Ok(Folded {
        at_ms,
        contribution: (!rows.is_empty()).then_some(Contribution { event_id, rows }),
    })
}

fn quarter(instant_ms: i64) -> Result<i64, Poison> {
    if (0..=MAX_TIME_MS).contains(&instant_ms) {
        Ok(quarter_start_ms(instant_ms))
    } else {
        Err(Poison::OutOfRange("time of the bid"))
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
