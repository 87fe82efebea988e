//! What a load run measured.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest latency that is told apart.
const MAX_LATENCY_US: u64 = 60_000_000;

/// Counts and latencies, one per worker while it runs, then merged.
#[derive(Debug)]
pub(crate) struct Figures {
    latency_us: Histogram<u64>,
    statuses: BTreeMap<u16, u64>,
    errors: BTreeMap<String, u64>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            latency_us: Histogram::new_with_bounds(1, MAX_LATENCY_US, 3).expect("bounds are valid"),
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
    }
}

impl Figures {
    pub(crate) fn answered(&mut self, status: u16, latency: Duration) {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(MAX_LATENCY_US);
        self.latency_us.saturating_record(latency_us.max(1));
        *self.statuses.entry(status).or_default() += 1;
    }

    pub(crate) fn failed(&mut self, what: String) {
        *self.errors.entry(what).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.latency_us.add(&other.latency_us).expect("same bounds");
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (what, count) in other.errors {
            *self.errors.entry(what).or_default() += count;
        }
    }

    #[must_use]
    pub(crate) fn percentile_us(&self, percentile: f64) -> u64 {
        self.latency_us.value_at_percentile(percentile)
    }

    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.latency_us.len()
    }

    #[must_use]
    pub(crate) fn summary(&self, offered_rate: f64, elapsed: Duration) -> Summary {
        Summary {
            offered_per_second: offered_rate,
            answered_per_second: self.count() as f64 / elapsed.as_secs_f64(),
            answered: self.count(),
            statuses: self.statuses.clone(),
            errors: self.errors.clone(),
            p50_us: self.percentile_us(50.0),
            p90_us: self.percentile_us(90.0),
            p99_us: self.percentile_us(99.0),
            p99_9_us: self.percentile_us(99.9),
            p99_99_us: self.percentile_us(99.99),
            max_us: self.latency_us.max(),
        }
    }
}

/// Latencies count from the moment a request was due, not from when it could be sent.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub offered_per_second: f64,
    pub answered_per_second: f64,
    pub answered: u64,
    pub statuses: BTreeMap<u16, u64>,
    pub errors: BTreeMap<String, u64>,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p99_9_us: u64,
    pub p99_99_us: u64,
    pub max_us: u64,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "offered    {:>10.0} /s", self.offered_per_second)?;
        writeln!(
            f,
            "answered   {:>10.0} /s   {} in all",
            self.answered_per_second, self.answered
        )?;
        for (status, count) in &self.statuses {
            writeln!(f, "  {status}      {count:>10}")?;
        }
        for (what, count) in &self.errors {
            writeln!(f, "  failed   {count:>10}   {what}")?;
        }
        if self.answered == 0 {
            return Ok(());
        }
        writeln!(f, "latency from the moment a request was due, milliseconds")?;
        let rows = [
            ("p50", self.p50_us),
            ("p90", self.p90_us),
            ("p99", self.p99_us),
            ("p99.9", self.p99_9_us),
            ("p99.99", self.p99_99_us),
            ("max", self.max_us),
        ];
        for (name, us) in rows {
            writeln!(f, "  {name:<8} {:>10.3}", us as f64 / 1_000.0)?;
        }
        Ok(())
    }
}
