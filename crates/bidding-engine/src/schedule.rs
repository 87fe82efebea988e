//! Day-parting: hours of the week in the campaign's zone.

use domain::period::Day;
use domain::targeting::{DayPart, Weekday};
use jiff::{Timestamp, tz::TimeZone};

const WEEK_MINUTES: i64 = 7 * DAY_MINUTES;
const DAY_MINUTES: i64 = 24 * 60;

/// When a campaign wants to be shown, without looking up a zone at the time of the bid.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// Instants from which an offset from UTC holds, Unix milliseconds and seconds; rising. Covers the
    /// published days, outside of which the campaign does not bid anyway.
    offsets: Box<[(i64, i64)]>,
    /// Minutes of the week, Monday 00:00 being 0: `[start, end)`.
    parts: Box<[(i64, i64)]>,
}

impl Schedule {
    /// `None` when there are no day-parts. In a zone that is unknown no minute fits.
    pub(crate) fn compile(parts: &[DayPart], zone: &str, days: &[Day]) -> Option<Self> {
        if parts.is_empty() {
            return None;
        }
        Some(Self {
            offsets: offsets(zone, days).unwrap_or_default().into_boxed_slice(),
            parts: parts.iter().flat_map(minutes_of_week).collect(),
        })
    }

    pub(crate) fn covers(&self, now_ms: i64) -> bool {
        let holding = self.offsets.partition_point(|(from_ms, _)| *from_ms <= now_ms);
        let Some((_, offset_s)) = holding.checked_sub(1).and_then(|at| self.offsets.get(at)) else {
            return false;
        };
        // 1970-01-01 was a Thursday, the fourth day.
        let minute = (now_ms.div_euclid(1_000).saturating_add(*offset_s)).div_euclid(60);
        let minute = (minute + 3 * DAY_MINUTES).rem_euclid(WEEK_MINUTES);
        self.parts
            .iter()
            .any(|(start, end)| (*start..*end).contains(&minute))
    }
}

fn offsets(zone: &str, days: &[Day]) -> Option<Vec<(i64, i64)>> {
    let zone = TimeZone::get(zone).ok()?;
    let start_ms = days.first()?.start_ms;
    let end_ms = days.last()?.end_ms;
    let start = Timestamp::from_millisecond(start_ms).ok()?;
    let mut offsets = vec![(start_ms, i64::from(zone.to_offset(start).seconds()))];
    offsets.extend(
        zone.following(start)
            .map(|change| {
                (
                    change.timestamp().as_millisecond(),
                    i64::from(change.offset().seconds()),
                )
            })
            .take_while(|(from_ms, _)| *from_ms < end_ms),
    );
    Some(offsets)
}

fn minutes_of_week(part: &DayPart) -> impl Iterator<Item = (i64, i64)> {
    let (start, end) = (i64::from(part.start_minute), i64::from(part.end_minute));
    part.days.iter().map(move |day| {
        let midnight = day_of_week(*day) * DAY_MINUTES;
        (midnight + start, midnight + end)
    })
}

fn day_of_week(day: Weekday) -> i64 {
    match day {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::campaign::Flight;

    fn ms(instant: &str) -> i64 {
        instant.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn schedule(day: Weekday, start_minute: u16, end_minute: u16, zone: &str, from: &str) -> Schedule {
        let flight = Flight {
            start: Timestamp::UNIX_EPOCH,
            end: None,
            time_zone: zone.to_owned(),
        };
        let days = domain::period::days(&flight, from.parse().unwrap(), 8);
        let part = DayPart {
            days: vec![day],
            start_minute,
            end_minute,
        };
        Schedule::compile(&[part], zone, &days).unwrap()
    }

    #[test]
    fn hours_are_the_zones_own() {
        // Monday 9 to 10 in Tokyo is Monday 0 to 1 in UTC.
        let schedule = schedule(Weekday::Monday, 540, 600, "Asia/Tokyo", "2026-11-22T00:00:00Z");
        assert!(schedule.covers(ms("2026-11-23T00:00:00Z")));
        assert!(schedule.covers(ms("2026-11-23T00:59:59Z")));
        assert!(!schedule.covers(ms("2026-11-23T01:00:00Z")));
        assert!(!schedule.covers(ms("2026-11-22T23:59:59Z")));
    }

    #[test]
    fn clocks_that_change_are_followed_within_the_day() {
        // Sunday 2026-10-25 in Berlin: 03:00 becomes 02:00, so that 2 to 3 o'clock comes twice.
        let schedule = schedule(Weekday::Sunday, 120, 180, "Europe/Berlin", "2026-10-24T00:00:00Z");
        assert!(!schedule.covers(ms("2026-10-24T23:59:00Z")));
        assert!(schedule.covers(ms("2026-10-25T00:30:00Z")));
        assert!(schedule.covers(ms("2026-10-25T01:30:00Z")));
        assert!(!schedule.covers(ms("2026-10-25T02:00:00Z")));
    }

    #[test]
    fn no_minute_fits_in_an_unknown_zone() {
        let schedule = schedule(Weekday::Monday, 0, 1440, "Mars/Olympus", "2026-11-22T00:00:00Z");
        assert!(!schedule.covers(ms("2026-11-23T12:00:00Z")));
    }
}
