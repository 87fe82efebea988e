//! Budget periods: the days of a campaign in its own time zone, as instants.
//!
//! campaign-service computes them once and publishes them; nobody else turns an instant into a day.

use crate::campaign::{Budget, Flight};
use crate::money::NANOS_PER_MICRO;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// One day of a campaign: `[start_ms, end_ms)`, Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Day {
    /// The date in the campaign's time zone, `2026-11-23`. Names the period in ledger and reports.
    pub date: String,
    pub start_ms: i64,
    pub end_ms: i64,
}

impl Day {
    #[must_use]
    pub fn contains(&self, instant_ms: i64) -> bool {
        self.start_ms <= instant_ms && instant_ms < self.end_ms
    }
}

/// What may be spent, in nanos of the campaign's currency. `None`: no limit of that kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub daily_nanos: Option<i64>,
    pub total_nanos: Option<i64>,
}

impl Limits {
    #[must_use]
    pub fn of(budget: &Budget) -> Self {
        let nanos = |micros: Option<i64>| micros.map(|amount| amount.saturating_mul(NANOS_PER_MICRO));
        Self {
            daily_nanos: nanos(budget.daily_micros),
            total_nanos: nanos(budget.total_micros),
        }
    }
}

/// The day that holds `now` and the `count - 1` days after it. Empty when the zone is unknown.
///
/// A day begins at the first instant of its date that exists (some zones skip midnight), so days of
/// 23, 24 and 25 hours follow each other without gap or overlap.
#[must_use]
pub fn days(flight: &Flight, now: Timestamp, count: usize) -> Vec<Day> {
    let Ok(zone) = TimeZone::get(&flight.time_zone) else {
        return Vec::new();
    };
    let mut date = zone.to_datetime(now).date();
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        let Ok(next) = date.tomorrow() else { break };
        let (Some(start_ms), Some(end_ms)) = (first_instant_ms(date, &zone), first_instant_ms(next, &zone))
        else {
            break;
        };
        // A zone may skip a whole date (Samoa, 2011-12-30): that date has no day.
        if end_ms > start_ms {
            found.push(Day {
                date: date.to_string(),
                start_ms,
                end_ms,
            });
        }
        date = next;
    }
    found
}

fn first_instant_ms(date: Date, zone: &TimeZone) -> Option<i64> {
    date.to_zoned_datetime(zone.clone())
        .ok()
        .map(|start| start.timestamp().as_millisecond())
}

/// When a flight lasts: `[start_ms, end_ms)`, Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlightSpan {
    pub start_ms: i64,
    /// `None`: it does not end.
    pub end_ms: Option<i64>,
}

impl FlightSpan {
    #[must_use]
    pub fn of(flight: &Flight) -> Self {
        Self {
            start_ms: flight.start.as_millisecond(),
            end_ms: flight.end.map(|end| end.as_millisecond()),
        }
    }

    #[must_use]
    pub fn contains(self, now_ms: i64) -> bool {
        self.start_ms <= now_ms && self.end_ms.is_none_or(|end_ms| now_ms < end_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(zone: &str) -> Flight {
        Flight {
            start: Timestamp::UNIX_EPOCH,
            end: None,
            time_zone: zone.to_owned(),
        }
    }

    fn hours(zone: &str, at: &str) -> Vec<i64> {
        days(&flight(zone), at.parse().unwrap(), 3)
            .iter()
            .map(|day| (day.end_ms - day.start_ms) / 3_600_000)
            .collect()
    }

    #[test]
    fn days_have_23_and_25_hours_where_clocks_change() {
        assert_eq!(hours("Europe/Berlin", "2026-03-28T12:00:00Z"), [24, 23, 24]);
        assert_eq!(hours("Europe/Berlin", "2026-10-24T12:00:00Z"), [24, 25, 24]);
    }

    #[test]
    fn a_day_begins_at_the_first_instant_that_exists() {
        // Beirut moved its clocks at midnight: 2022-03-27 began at 01:00.
        let days = days(&flight("Asia/Beirut"), "2022-03-26T12:00:00Z".parse().unwrap(), 2);
        assert_eq!(days[0].end_ms, days[1].start_ms);
        assert_eq!(
            days[1].start_ms,
            "2022-03-26T22:00:00Z"
                .parse::<Timestamp>()
                .unwrap()
                .as_millisecond()
        );
    }

    #[test]
    fn a_date_that_a_zone_skipped_has_no_day() {
        let days = days(
            &flight("Pacific/Apia"),
            "2011-12-29T20:00:00Z".parse().unwrap(),
            3,
        );
        let dates: Vec<&str> = days.iter().map(|day| day.date.as_str()).collect();
        assert_eq!(dates, ["2011-12-29", "2011-12-31"]);
        assert_eq!(days[0].end_ms, days[1].start_ms);
    }

    #[test]
    fn days_of_an_unknown_zone_are_none() {
        assert!(days(&flight("Mars/Olympus"), Timestamp::UNIX_EPOCH, 3).is_empty());
    }
}
