//! Which records of the topics are events. All who add them up read them here: what one sets aside the others do too, or
//! reports and the ledger's books would disagree for ever.

use super::{BidEvent, CheckpointDay, EventKind, LedgerCheckpoint, SCHEMA, SpendEvent, SpentTotals};
use serde::Deserialize;

/// More than one event can come to (10 million units in nanos). Sums of sane amounts never reach the end of `i64`;
/// a single absurd one (a conversion's value comes from outside) must not get near it.
pub const MAX_AMOUNT: i64 = 10_000_000_000_000_000;
/// The last millisecond of the year 9999.
const MAX_TIME_MS: i64 = 253_402_300_799_999;

/// Why a record can never be applied. It is set aside: trying again would not help.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
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
}

/// The value as JSON of this version. Read whole first, as nearly all can be. A later shape need not parse as this one:
/// then the reason is its schema.
///
/// # Errors
/// [`BadRecord`] when it is not.
pub fn read<'a, T: Deserialize<'a>>(
    value: Option<&'a [u8]>,
    schema: impl Fn(&T) -> u32,
) -> Result<T, BadRecord> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let bytes = value.ok_or(BadRecord::NoValue)?;
    let event = serde_json::from_slice::<T>(bytes);
    let found = match &event {
        Ok(event) => schema(event),
        Err(_) => serde_json::from_slice::<Version>(bytes)?.schema,
    };
    if found != SCHEMA {
        return Err(BadRecord::UnknownSchema { found });
    }
    Ok(event?)
}

impl BidEvent {
    /// # Errors
    /// [`BadRecord`] when it is not an event that this version understands.
    pub fn read(value: Option<&[u8]>) -> Result<Self, BadRecord> {
        let event = read(value, |event: &Self| event.schema)?;
        check_id(&event.event_id)?;
        check_time("time of the bid", event.bid_at_ms)?;
        if event.kind == EventKind::Conversion {
            // As many units as of any amount, in micros.
            let value = event.value_micros.unwrap_or(0);
            check_within("value_micros", value, MAX_AMOUNT / 1_000)?;
        }
        if let Some(won) = &event.reservation {
            check_amount("reserved_nanos", won.reserved_nanos)?;
            check_day(&won.day.date, won.day.start_ms, won.day.end_ms)?;
        }
        Ok(event)
    }
}

impl SpendEvent {
    /// # Errors
    /// [`BadRecord`] when it is not an event that this version understands.
    pub fn read(value: Option<&[u8]>) -> Result<Self, BadRecord> {
        let event = read(value, |event: &Self| event.schema)?;
        check_id(&event.event_id)?;
        check_amount("charge_nanos", event.charge_nanos)?;
        check_amount("media_cost_nanos", event.media_cost_nanos)?;
        check_amount("over_delivery_nanos", event.over_delivery_nanos)?;
        check_day(&event.day, event.day_start_ms, event.day_end_ms)?;
        check_time("time of the bid", event.bid_at_ms)?;
        Ok(event)
    }
}

impl LedgerCheckpoint {
    /// # Errors
    /// [`BadRecord`] when it is no sum of events that this version understands.
    pub fn read(value: Option<&[u8]>) -> Result<Self, BadRecord> {
        let checkpoint = read(value, |checkpoint: &Self| checkpoint.schema)?;
        check_time("at_ms", checkpoint.at_ms)?;
        if checkpoint.offsets.values().any(|offset| *offset < 0) {
            return Err(BadRecord::OutOfRange("offset"));
        }
        check_totals(&checkpoint.lifetime)?;
        for CheckpointDay { day, totals } in &checkpoint.days {
            check_day(&day.date, day.start_ms, day.end_ms)?;
            check_totals(totals)?;
            if !is_part_of(totals, &checkpoint.lifetime) {
                return Err(BadRecord::OutOfRange("total of a day"));
            }
        }
        Ok(checkpoint)
    }
}

/// That the time is one a report can have.
///
/// # Errors
/// [`BadRecord::OutOfRange`] with the name.
pub fn check_time(name: &'static str, instant_ms: i64) -> Result<(), BadRecord> {
    check_within(name, instant_ms, MAX_TIME_MS)
}

/// That one event can come to as much.
///
/// # Errors
/// [`BadRecord::OutOfRange`] with the name.
pub fn check_amount(name: &'static str, amount: i64) -> Result<(), BadRecord> {
    check_within(name, amount, MAX_AMOUNT)
}

/// Events without one would all be repeats of the first.
fn check_id(event_id: &str) -> Result<(), BadRecord> {
    if event_id.is_empty() {
        return Err(BadRecord::NoEventId);
    }
    Ok(())
}

/// The empty date is the lifetime's.
fn check_day(date: &str, start_ms: i64, end_ms: i64) -> Result<(), BadRecord> {
    if date.is_empty() {
        return Err(BadRecord::OutOfRange("day"));
    }
    check_time("day", start_ms)?;
    check_time("day", end_ms)
}

/// No total is more than so many bids can come to.
fn check_totals(totals: &SpentTotals) -> Result<(), BadRecord> {
    check_within("settled_bids", totals.settled_bids, MAX_AMOUNT)?;
    let most = totals.settled_bids.saturating_mul(MAX_AMOUNT);
    check_within("spent_nanos", totals.spent_nanos, most)?;
    check_within("over_delivery_nanos", totals.over_delivery_nanos, most)
}

fn is_part_of(part: &SpentTotals, whole: &SpentTotals) -> bool {
    part.spent_nanos <= whole.spent_nanos
        && part.over_delivery_nanos <= whole.over_delivery_nanos
        && part.settled_bids <= whole.settled_bids
}

fn check_within(name: &'static str, value: i64, most: i64) -> Result<(), BadRecord> {
    if (0..=most).contains(&value) {
        Ok(())
    } else {
        Err(BadRecord::OutOfRange(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn checkpoint() -> Value {
        json!({
            "schema": 1, "advertiser_id": "adv_1", "campaign_id": "cmp_1", "at_ms": 9, "offsets": {"0": 7},
            "days": [{
                "date": "2026-11-23", "start_ms": 1, "end_ms": 2,
                "spent_nanos": 5, "over_delivery_nanos": 0, "settled_bids": 1,
            }],
            "lifetime": {"spent_nanos": MAX_AMOUNT, "over_delivery_nanos": 0, "settled_bids": 1},
        })
    }

    fn win() -> Value {
        json!({
            "schema": 1, "event_id": "win:1", "kind": "win", "at_ms": 2, "bid_id": "01", "bid_at_ms": 1,
            "dimensions": {}, "reservation": {
                "day": {"date": "2026-11-23", "start_ms": 1, "end_ms": 2},
                "bidder_id": "bdr_1", "reserved_nanos": MAX_AMOUNT, "billing_window_ms": 3,
            },
        })
    }

    /// `path` as of a JSON pointer.
    fn with(mut record: Value, path: &str, value: Value) -> Vec<u8> {
        *record.pointer_mut(path).unwrap() = value;
        record.to_string().into_bytes()
    }

    #[test]
    fn a_checkpoint_that_events_cannot_come_to_is_bad_and_says_why() {
        let read = |path, value| LedgerCheckpoint::read(Some(&with(checkpoint(), path, value)));
        assert!(read("/at_ms", json!(10)).is_ok());
        for (path, value, reason) in [
            ("/schema", json!(2), "schema 2"),
            ("/at_ms", json!(-1), "at_ms"),
            ("/offsets/0", json!(-1), "offset"),
            ("/days/0/date", json!(""), "day"),
            ("/days/0/end_ms", json!(i64::MAX), "day"),
            ("/days/0/spent_nanos", json!(-1), "spent_nanos"),
            ("/days/0/over_delivery_nanos", json!(1), "total of a day"),
            ("/days/0/settled_bids", json!(2), "total of a day"),
            ("/lifetime/spent_nanos", json!(MAX_AMOUNT + 1), "spent_nanos"),
            ("/lifetime/settled_bids", json!(i64::MAX), "settled_bids"),
        ] {
            let told = read(path, value.clone()).unwrap_err().to_string();
            assert!(told.contains(reason), "{path} {value}: {told}");
        }
    }

    #[test]
    fn a_win_that_held_what_no_bid_can_is_bad_and_says_why() {
        let read = |path, value| BidEvent::read(Some(&with(win(), path, value)));
        assert!(read("/at_ms", json!(3)).is_ok());
        for (path, value, reason) in [
            ("/reservation/reserved_nanos", json!(-1), "reserved_nanos"),
            (
                "/reservation/reserved_nanos",
                json!(MAX_AMOUNT + 1),
                "reserved_nanos",
            ),
            ("/reservation/day/date", json!(""), "day"),
            ("/reservation/day/start_ms", json!(-1), "day"),
        ] {
            let told = read(path, value.clone()).unwrap_err().to_string();
            assert!(told.contains(reason), "{path} {value}: {told}");
        }
    }
}
