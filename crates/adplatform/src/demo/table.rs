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
        let line = status_line(elapsed, rate, tally);
        let mut stderr = std::io::stderr().lock();
        if self.terminal {
            let mut screen = String::new();
            if self.drawn_lines > 0 {
                // Up to where the table began, and clear from there.
                let _ = write!(screen, "\x1b[{}A\x1b[J", self.drawn_lines);
            }
            let _ = writeln!(screen, "{line}");
            screen.push_str(&campaign_table(campaigns));
            self.drawn_lines = screen.matches('\n').count();
            let _ = stderr.write_all(screen.as_bytes());
        } else if self.seconds.is_multiple_of(5) {
            let _ = writeln!(stderr, "{line}");
        }
    }
}

fn status_line(elapsed: Duration, rate: u64, tally: &Tally) -> String {
    let spend = tally.notices_nanos.load(std::sync::atomic::Ordering::Relaxed);
    format!(
        "{:>4} s  {rate:>6} requests/s  {:>8} bids  {:>7} wins  {:>9.4} USD billed  p50 {:>6.2} ms  p99 {:>6.2} ms  late {}  errors {}",
        elapsed.as_secs(),
        now(&tally.bids),
        now(&tally.wins),
        spend as f64 / 1e9,
        tally.percentile_us(50.0) as f64 / 1e3,
        tally.percentile_us(99.0) as f64 / 1e3,
        now(&tally.late),
        now(&tally.errors) + now(&tally.failed_notices),
    )
}

/// The campaigns with spend against plan; used for the last word too.
pub(super) fn campaign_table(campaigns: &[CampaignLine]) -> String {
    let mut text = format!(
        "  {:<46} {:>8} {:>7} {:>11} {:>11} {:>12}\n",
        "campaign", "bids", "wins", "spend", "plan", "daily budget"
    );
    for line in campaigns {
        let plan = line
            .plan_micros
            .map_or("asap".to_owned(), |micros| format!("{:.4}", micros as f64 / 1e6));
        let _ = writeln!(
            text,
            "  {:<46} {:>8} {:>7} {:>11.4} {:>11} {:>12.2}",
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
