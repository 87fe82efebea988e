//! Two servers under the same load in turns, in short rounds and each first as often as the other, so that what the
//! machine does beside falls on both; the round in the middle counts. Whose turn it is not stands still.

use crate::load::{self, Run};
use crate::server::Server;
use crate::{Conditions, figure::Figure};
use std::path::Path;

const ROUNDS: usize = 10;
/// Under load before each turn: leases that ran out meanwhile come again.
const WARM_UP_SECONDS: u64 = 3;

/// Server CPU time per request of the first against the second. They share no store: one would stand still holding its lock.
pub(crate) fn cpu_us_per_request(
    bench: &'static str,
    (server, baseline): (&Server, &Server),
    conditions: Conditions,
    requests: &Path,
) -> anyhow::Result<Figure> {
    let turn = Conditions {
        seconds: (conditions.seconds / 3).max(3),
        warm_up_seconds: WARM_UP_SECONDS,
        ..conditions
    };
    let cost = |server: &Server, other: &Server| {
        other.pause()?;
        let run = load::run_with(server, turn, Some(requests));
        other.resume()?;
        run
    };
    let mut rounds = Vec::with_capacity(ROUNDS);
    for number in 0..ROUNDS {
        let (run, base) = if number % 2 == 0 {
            (cost(server, baseline)?, cost(baseline, server)?)
        } else {
            let base = cost(baseline, server)?;
            (cost(server, baseline)?, base)
        };
        bids_on_most(&run)?;
        bids_on_most(&base)?;
        let pair = (run.cpu_us_per_request, base.cpu_us_per_request);
        let ratio = pair.0 / pair.1;
        eprintln!(
            "{bench}: round {number}: {:.1} us / {:.1} us = {ratio:.2}",
            pair.0, pair.1
        );
        rounds.push(pair);
    }
    let (value, baseline) = middle(rounds);
    Ok(Figure::new(bench, "cpu_us_per_request", "us", value, baseline))
}

/// Of pairs the one whose ratio is in the middle. Precondition: there is one.
pub(crate) fn middle(mut pairs: Vec<(f64, f64)>) -> (f64, f64) {
    pairs.sort_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
    pairs[pairs.len() / 2]
}

/// Nine of ten can be bid on.
fn bids_on_most(run: &Run) -> anyhow::Result<()> {
    let load = &run.load;
    let bids = load.statuses.get("200").copied().unwrap_or_default();
    anyhow::ensure!(
        bids * 100 >= load.answered * 88,
        "{bids} bids on {} requests: leases are not kept renewed",
        load.answered
    );
    Ok(())
}
