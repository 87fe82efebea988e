//! Whether every figure agrees: the exchange's notices, the ledger, the report.

use super::tally::{Tally, now};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Printed last; with `--json` as one object on the last line of stdout.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub requests: u64,
    pub bids: u64,
    pub wins: u64,
    pub late: u64,
    pub errors: u64,
    pub notices_nanos: i64,
    pub ledger_nanos: i64,
    pub report_nanos: i64,
    pub over_delivery_nanos: i64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub checks: BTreeMap<&'static str, bool>,
}

/// What the platform says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Books {
    pub ledger_nanos: i64,
    pub over_delivery_nanos: i64,
    pub report_nanos: i64,
    pub report_wins: i64,
    pub report_bids: i64,
    /// No account of the ledger is beyond its limit.
    pub within_budget: bool,
}

/// Of the answers, at most this share may come after `tmax`: the machine under the demo is shared with its exchange.
const LATE_SHARE: f64 = 0.01;

impl Verdict {
    pub(super) fn new(tally: &Tally, books: Books) -> Self {
        let notices_nanos = tally.notices_nanos.load(Ordering::Relaxed);
        let errors = now(&tally.errors) + now(&tally.failed_notices);
        let (requests, bids, wins, late) = (
            now(&tally.requests),
            now(&tally.bids),
            now(&tally.wins),
            now(&tally.late),
        );
        let checks = BTreeMap::from([
            (
                "traded",
                requests > 0 && bids > 0 && wins > 0 && notices_nanos > 0,
            ),
            ("no_errors", errors == 0),
            ("answered_in_time", late as f64 <= requests as f64 * LATE_SHARE),
            (
                "ledger_equals_notices",
                books.ledger_nanos + books.over_delivery_nanos == notices_nanos,
            ),
            ("report_equals_ledger", books.report_nanos == books.ledger_nanos),
            (
                "report_counts_every_win",
                books.report_wins.unsigned_abs() == wins,
            ),
            (
                "report_counts_every_bid",
                books.report_bids.unsigned_abs() == bids,
            ),
            ("within_budget", books.within_budget),
        ]);
        Self {
            requests,
            bids,
            wins,
            late,
            errors,
            notices_nanos,
            ledger_nanos: books.ledger_nanos,
            report_nanos: books.report_nanos,
            over_delivery_nanos: books.over_delivery_nanos,
            p50_us: tally.percentile_us(50.0),
            p99_us: tally.percentile_us(99.0),
            checks,
        }
    }

    pub(super) fn holds(&self) -> bool {
        self.checks.values().all(|held| *held)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "requests {}  bids {}  wins {}  late {}  errors {}",
            self.requests, self.bids, self.wins, self.late, self.errors
        )?;
        writeln!(
            f,
            "latency of answers: p50 {:.2} ms, p99 {:.2} ms",
            self.p50_us as f64 / 1e3,
            self.p99_us as f64 / 1e3
        )?;
        writeln!(
            f,
            "billed by the exchange's notices   {:>18} nanos",
            self.notices_nanos
        )?;
        writeln!(
            f,
            "charged in the ledger              {:>18} nanos",
            self.ledger_nanos
        )?;
        writeln!(
            f,
            "over-delivered, not charged        {:>18} nanos",
            self.over_delivery_nanos
        )?;
        writeln!(
            f,
            "spend in the report                {:>18} nanos",
            self.report_nanos
        )?;
        for (name, held) in &self.checks {
            writeln!(
                f,
                "  {} {}",
                if *held { "ok    " } else { "FAILED" },
                name.replace('_', " ")
            )?;
        }
        Ok(())
    }
}
