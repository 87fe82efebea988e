//! `latency`: what the client sees at a constant rate, open loop, against a bare endpoint. The load is that of `bid`.

use crate::figure::Figure;
use crate::{Conditions, bid};

pub(crate) fn run(conditions: Conditions) -> anyhow::Result<Vec<Figure>> {
    let runs = bid::both(conditions)?;
    let (run, baseline) = (runs.run.load, runs.baseline.load);
    eprintln!(
        "latency: {} campaigns, {:.0} requests/s, statuses {:?}",
        conditions.campaigns, run.answered_per_second, run.statuses
    );
    let figure = |name, value: u64, base: u64| Figure::new("latency", name, "us", value as f64, base as f64);
    Ok(vec![
        figure("p50_us", run.p50_us, baseline.p50_us),
        figure("p99_us", run.p99_us, baseline.p99_us),
        figure("p99_9_us", run.p99_9_us, baseline.p99_9_us),
    ])
}
