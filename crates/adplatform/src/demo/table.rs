//! What one sees while the demo trades: a table, redrawn once a second on a terminal, a line every five elsewhere.

use super::tally::{Tally, now};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

/// One campaign's line. Micros of USD.
#[derive(Clone, Debug, Default)]
pub(super) struct CampaignLine {
    pub name: String,
    pub bids: i64,
    pub wins: i64,
    pub spend_micros: i64,
    pub daily_micros: i64,
    /// What the plan says for now: the day's share so far of an even campaign.
    pub plan_micros: Option<i64>,
}

pub(super) struct Table {
    terminal: bool,
    drawn_lines: usize,
    last_requests: u64,
    seconds: u64,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            drawn_lines: 0,
            last_requests: 0,
            seconds: 0,
        }
    }

    /// Called once a second.
    pub(super) fn tick(&mut self, elapsed: Duration, tally: &Tally, campaigns: &[CampaignLine]) {
        self.seconds += 1;
        let requests = now(&tally.requests);
        let rate = requests - self.last_requests;
        self.last_requests = requests;
        let [traffic, answers] = status(elapsed, rate, tally);
        let mut stderr = std::io::stderr().lock();
        if self.terminal {
            let text = format!("{traffic}\n{answers}\n{}", campaign_table(campaigns));
            let _ = stderr.write_all(redrawn(self.drawn_lines, &text).as_bytes());
            self.drawn_lines = text.lines().count();
        } else if self.seconds.is_multiple_of(5) {
            let _ = writeln!(stderr, "{traffic}{answers}");
        }
    }
}

/// `text` in the place of the `drawn_lines` before: each line is written over the old one, so that nothing flickers,
/// and cut where a narrow terminal ends, since a wrapped line would be two.
fn redrawn(drawn_lines: usize, text: &str) -> String {
    let mut screen = String::from("\x1b[?7l");
    if drawn_lines > 0 {
        let _ = write!(screen, "\x1b[{drawn_lines}A");
    }
    for line in text.lines() {
        let _ = writeln!(screen, "{line}\x1b[K");
    }
    screen.push_str("\x1b[J\x1b[?7h");
    screen
}

/// What came in, and how it was answered.
fn status(elapsed: Duration, rate: u64, tally: &Tally) -> [String; 2] {
    let spend = tally.notices_nanos.load(std::sync::atomic::Ordering::Relaxed);
    let traffic = format!(
        "{:>6} s  {rate:>6} requests/s  {:>8} bids  {:>8} wins  {:>10.4} USD billed",
        elapsed.as_secs(),
        now(&tally.bids),
        now(&tally.wins),
        spend as f64 / 1e9,
    );
    let answers = format!(
        "          p50 {:>6.2} ms  p99 {:>6.2} ms  late {}  errors {}",
        tally.percentile_us(50.0) as f64 / 1e3,
        tally.percentile_us(99.0) as f64 / 1e3,
        now(&tally.late),
        now(&tally.errors) + now(&tally.failed_notices),
    );
    [traffic, answers]
}

/// The campaigns with spend against plan; used for the last word too.
pub(super) fn campaign_table(campaigns: &[CampaignLine]) -> String {
    let mut text = format!(
        "  {:<45} {:>7} {:>7} {:>10} {:>9} {:>12}\n",
        "campaign", "bids", "wins", "spend USD", "plan USD", "daily budget"
    );
    for line in campaigns {
        let plan = line
            .plan_micros
            .map_or("asap".to_owned(), |micros| format!("{:.2}", micros as f64 / 1e6));
        let _ = writeln!(
            text,
            "  {:<45} {:>7} {:>7} {:>10.4} {:>9} {:>12.2}",
            line.name,
            line.bids,
            line.wins,
            line.spend_micros as f64 / 1e6,
            plan,
            line.daily_micros as f64 / 1e6,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::catalogue;

    #[test]
    fn the_table_fits_a_hundred_columns_whatever_the_campaign() {
        let longest = CampaignLine {
            name: catalogue::longest_campaign_name(),
            bids: 9_999_999,
            wins: 9_999_999,
            spend_micros: 99_999_999_999,
            daily_micros: 999_999_999_999,
            plan_micros: Some(999_999_990_000),
        };
        let [traffic, answers] = status(Duration::from_secs(999_999), 999_999, &Tally::default());
        let text = format!("{traffic}\n{answers}\n{}", campaign_table(&[longest]));
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn a_second_drawing_begins_where_the_first_did() {
        let first = redrawn(0, "a\nb\n");
        assert!(!first.contains("A"), "{first:?}");
        assert!(redrawn(2, "c\nd\n").starts_with("\x1b[?7l\x1b[2Ac\x1b[K\n"));
    }
}
