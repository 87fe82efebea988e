//! `metrics`: server CPU time per bid request with its metrics and without, `METRICS_ENABLED=false`: two bidders, each
//! with a store of its own, in turns.

use crate::bid::prepare;
use crate::figure::Figure;
use crate::server::Server;
use crate::{Conditions, turns};

pub(crate) fn run(conditions: Conditions) -> anyhow::Result<Vec<Figure>> {
    let (prepared, alike) = (prepare(conditions)?, prepare(conditions)?);
    let with = Server::bidding(prepared.data_dir())?;
    let without = Server::bidding_with(alike.data_dir(), &[("METRICS_ENABLED", "false")])?;
    let servers = (&with, &without);
    let figure = turns::cpu_us_per_request("metrics", servers, conditions, prepared.requests())?;
    Ok(vec![figure])
}
