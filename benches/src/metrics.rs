//! `metrics`: server CPU time per bid request with its metrics and without, `METRICS_ENABLED=false`.
//!
//! Two bidders on one store take the same load in turn, in short rounds and each first as often as the other, so that
//! what the machine does beside falls on both; the median round counts.

use crate::bid::prepare;
use crate::figure::Figure;
use crate::server::Server;
use crate::{Conditions, load};

const ROUNDS: usize = 10;

pub(crate) fn run(conditions: Conditions) -> anyhow::Result<Vec<Figure>> {
    let prepared = prepare(conditions)?;
    let with = Server::bidding(prepared.data_dir())?;
    let without = Server::bidding_with(prepared.data_dir(), &[("METRICS_ENABLED", "false")])?;
    let round = Conditions {
        seconds: (conditions.seconds / 3).max(3),
        ..conditions
    };
    let cost = |server: &Server| -> anyhow::Result<f64> {
        Ok(load::run_with(server, round, Some(prepared.requests()))?.cpu_us_per_request)
    };
    let mut rounds = Vec::with_capacity(ROUNDS);
    for number in 0..ROUNDS {
        let pair = match number % 2 {
            0 => (cost(&with)?, cost(&without)?),
            _ => {
                let baseline = cost(&without)?;
                (cost(&with)?, baseline)
            }
        };
        eprintln!(
            "metrics: round {number}: {:.1} us with, {:.1} us without",
            pair.0, pair.1
        );
        rounds.push(pair);
    }
    rounds.sort_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
    let (value, baseline) = rounds[ROUNDS / 2];
    Ok(vec![Figure::new(
        "metrics",
        "cpu_us_per_request",
        "us",
        value,
        baseline,
    )])
}
