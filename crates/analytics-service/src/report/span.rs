//! The time a report covers, and its cut into the hours or days of a time zone.
//!
//! Rollups are quarters of an hour, so every boundary lies on one; since 2000 the offset of every zone is a
//! multiple of a quarter too, which is why reports begin there.

use domain::event::QUARTER_MS;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub(super) const MAX_DAYS: i64 = 400;

const HOUR_S: i64 = 3_600;
const DAY_MS: i64 = 24 * HOUR_S * 1_000;
/// A 400-day span may hold one clock change more in one direction than in the other.
const MAX_SPAN_MS: i64 = MAX_DAYS * DAY_MS + HOUR_S * 1_000;
/// 2000-01-01T00:00:00Z and 2100-01-01T00:00:00Z.
const FIRST_MS: i64 = 946_684_800_000;
const LAST_MS: i64 = 4_102_444_800_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granularity {
    Hour,
    Day,
    Total,
}

impl Granularity {
    pub(super) const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Total];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Total => "total",
        }
    }
}

/// `[start_ms, end_ms)`, Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
}

/// Why a span cannot be reported on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadSpan {
    Empty,
    TooLong,
    OutOfRange,
}

impl Span {
    /// The span, grown to whole quarters of an hour.
    ///
    /// # Errors
    /// When it is empty, longer than [`MAX_DAYS`], or not within the years 2000 to 2099.
    pub(super) fn aligned(start_ms: i64, end_ms: i64) -> Result<Self, BadSpan> {
        if start_ms < FIRST_MS || end_ms > LAST_MS {
            return Err(BadSpan::OutOfRange);
        }
        if start_ms >= end_ms {
            return Err(BadSpan::Empty);
        }
        let span = Self {
            start_ms: start_ms.div_euclid(QUARTER_MS) * QUARTER_MS,
            end_ms: (end_ms + QUARTER_MS - 1).div_euclid(QUARTER_MS) * QUARTER_MS,
        };
        if span.end_ms - span.start_ms > MAX_SPAN_MS {
            return Err(BadSpan::TooLong);
        }
        Ok(span)
    }

    /// The span cut at the zone's hours or days: ascending, without gap or overlap, at most 9,602 pieces. The first and
    /// the last may be cut short by the span. Days have 23, 24 or 25 hours as the zone has them.
    pub(super) fn buckets(&self, granularity: Granularity, zone: &TimeZone) -> Vec<(i64, i64)> {
        let mut buckets = Vec::new();
        let mut start_ms = self.start_ms;
        while start_ms < self.end_ms {
            let next_ms = match granularity {
                Granularity::Hour => next_hour_ms(start_ms, zone),
                Granularity::Day => next_day_ms(start_ms, zone),
                Granularity::Total => self.end_ms,
            };
            let end_ms = next_ms.min(self.end_ms);
            buckets.push((start_ms, end_ms));
            start_ms = end_ms;
        }
        buckets
    }
}

/// An RFC 3339 instant, or a date, which means the first instant of that day in `zone`.
pub(super) fn parse_instant_ms(text: &str, zone: &TimeZone) -> Option<i64> {
    if let Ok(date) = text.parse::<Date>()
        && text.len() == "2026-01-01".len()
    {
        return first_instant_ms(date, zone);
    }
    // In a query a bare `+` means a space, and few clients write `%2B02:00`.
    let text = text.replace(' ', "+");
    Some(text.parse::<Timestamp>().ok()?.as_millisecond())
}

/// When the zone's day that holds the instant began.
pub(super) fn day_start_ms(instant_ms: i64, zone: &TimeZone) -> i64 {
    first_instant_ms(local_date(instant_ms, zone), zone).unwrap_or(instant_ms)
}

/// How a bucket is called: an instant with the zone's offset for hours, a date for days.
pub(super) fn label(granularity: Granularity, start_ms: i64, zone: &TimeZone) -> Option<String> {
    match granularity {
        Granularity::Hour => {
            let start = timestamp(start_ms);
            Some(start.display_with_offset(zone.to_offset(start)).to_string())
        }
        Granularity::Day => Some(local_date(start_ms, zone).to_string()),
        Granularity::Total => None,
    }
}

/// The instant in UTC as RFC 3339 has it.
pub(crate) fn utc(instant_ms: i64) -> String {
    timestamp(instant_ms).to_string()
}

/// By the offset at the hour's start: where a clock changes within an hour, that hour still lasts as long as it lasts.
fn next_hour_ms(start_ms: i64, zone: &TimeZone) -> i64 {
    let start = timestamp(start_ms);
    let local_s = start.as_second() + i64::from(zone.to_offset(start).seconds());
    start_ms + (HOUR_S - local_s.rem_euclid(HOUR_S)) * 1_000
}

fn next_day_ms(start_ms: i64, zone: &TimeZone) -> i64 {
    let mut date = local_date(start_ms, zone);
    while let Ok(next) = date.tomorrow() {
        date = next;
        // Where clocks go back over midnight, the date's first instant may lie behind.
        if let Some(next_ms) = first_instant_ms(date, zone).filter(|next_ms| *next_ms > start_ms) {
            return next_ms;
        }
    }
    i64::MAX
}

/// Some zones skip midnight, and Samoa once a whole date: then it is the first instant after the gap.
fn first_instant_ms(date: Date, zone: &TimeZone) -> Option<i64> {
    let start = date.to_zoned_datetime(zone.clone()).ok()?;
    Some(start.timestamp().as_millisecond())
}

fn local_date(instant_ms: i64, zone: &TimeZone) -> Date {
    zone.to_datetime(timestamp(instant_ms)).date()
}

fn timestamp(instant_ms: i64) -> Timestamp {
    let clamped_ms = instant_ms.clamp(FIRST_MS - DAY_MS, LAST_MS + DAY_MS);
    Timestamp::UNIX_EPOCH
        .checked_add(SignedDuration::from_millis(clamped_ms))
        .expect("every instant between 1999 and 2101 is a timestamp")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn span(from: &str, to: &str, zone: &TimeZone) -> Span {
        let instant = |text| parse_instant_ms(text, zone).unwrap();
        Span::aligned(instant(from), instant(to)).unwrap()
    }

    fn hours_of_days(name: &str, from: &str, to: &str) -> Vec<i64> {
        let zone = zone(name);
        let days = span(from, to, &zone).buckets(Granularity::Day, &zone);
        days.iter()
            .map(|(start, end)| (end - start) / 3_600_000)
            .collect()
    }

    #[test]
    fn days_have_23_and_25_hours_where_clocks_change() {
        assert_eq!(
            hours_of_days("Europe/Berlin", "2026-03-28", "2026-03-31"),
            [24, 23, 24]
        );
        assert_eq!(
            hours_of_days("Europe/Berlin", "2026-10-24", "2026-10-27"),
            [24, 25, 24]
        );
    }

    #[test]
    fn an_hour_that_comes_twice_is_two_buckets_told_apart_by_their_offset() {
        let berlin = zone("Europe/Berlin");
        let hours = span("2026-10-25", "2026-10-26", &berlin).buckets(Granularity::Hour, &berlin);
        assert_eq!(hours.len(), 25);
        let labels: Vec<_> = hours[2..4]
            .iter()
            .map(|(start, _)| label(Granularity::Hour, *start, &berlin).unwrap())
            .collect();
        assert_eq!(labels, ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]);
    }

    #[test]
    fn hours_and_days_of_odd_zones_begin_at_their_own_full_hour() {
        for (name, minutes_past) in [
            ("Asia/Kolkata", 30),
            ("Asia/Kathmandu", 15),
            ("Australia/Eucla", 15),
        ] {
            let zone = zone(name);
            let span = span("2026-05-01", "2026-05-02", &zone);
            let hours = span.buckets(Granularity::Hour, &zone);
            assert_eq!(
                (hours.len(), (span.start_ms / 60_000) % 60),
                (24, minutes_past),
                "{name}"
            );
            assert!(
                label(Granularity::Hour, hours[1].0, &zone)
                    .unwrap()
                    .contains("T01:00:00+")
            );
        }
        // Lord Howe Island moves its clocks by half an hour: its day has 23 and a half.
        let lord_howe = zone("Australia/Lord_Howe");
        let day = span("2026-10-04", "2026-10-05", &lord_howe);
        assert_eq!((day.end_ms - day.start_ms) / 60_000, 23 * 60 + 30);
        assert_eq!(day.buckets(Granularity::Hour, &lord_howe).len(), 24);
    }

    #[test]
    fn a_date_is_local_midnight_and_an_instant_may_carry_a_bare_plus() {
        let berlin = zone("Europe/Berlin");
        let midnight = parse_instant_ms("2026-01-02", &berlin).unwrap();
        for text in [
            "2026-01-01T23:00:00Z",
            "2026-01-02T00:00:00+01:00",
            "2026-01-02T00:00:00 01:00",
        ] {
            assert_eq!(parse_instant_ms(text, &berlin), Some(midnight), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-01-02T00:00:00",
            "2026-01-02 ",
        ] {
            assert_eq!(parse_instant_ms(text, &berlin), None, "{text}");
        }
    }

    #[test]
    fn a_span_grows_to_quarters_and_has_bounds() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let span = Span::aligned(at("2026-01-01T10:14:59Z"), at("2026-01-01T10:15:01Z")).unwrap();
        assert_eq!(
            (span.start_ms, span.end_ms),
            (at("2026-01-01T10:00:00Z"), at("2026-01-01T10:30:00Z"))
        );
        let bad = |from, to| Span::aligned(at(from), at(to)).unwrap_err();
        assert_eq!(
            bad("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"),
            BadSpan::Empty
        );
        assert_eq!(
            bad("2026-01-01T00:00:00Z", "2027-03-01T00:00:00Z"),
            BadSpan::TooLong
        );
        assert_eq!(
            bad("1999-12-31T00:00:00Z", "2000-01-02T00:00:00Z"),
            BadSpan::OutOfRange
        );
    }

    proptest! {
        #[test]
        fn buckets_cover_the_span_without_gap_or_overlap_on_quarters(
            start_ms in FIRST_MS..LAST_MS - 500 * DAY_MS, length_ms in 1..MAX_DAYS * DAY_MS - QUARTER_MS,
            name in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe",
                "Pacific/Apia", "America/Havana", "Asia/Beirut", "America/Caracas",
            ]),
            granularity in prop::sample::select(Granularity::ALL.to_vec()),
        ) {
            let span = Span::aligned(start_ms, start_ms + length_ms).unwrap();
            let buckets = span.buckets(granularity, &zone(name));
            prop_assert!(buckets.len() <= 9_602);
            prop_assert_eq!((buckets[0].0, buckets[buckets.len() - 1].1), (span.start_ms, span.end_ms));
            for pair in buckets.windows(2) {
                prop_assert_eq!(pair[0].1, pair[1].0);
            }
            for (start, end) in buckets {
                prop_assert!(start < end && start % QUARTER_MS == 0 && end % QUARTER_MS == 0);
            }
        }
    }
}
