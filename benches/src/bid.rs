//! `bid`: server CPU time per bid request, against a bare endpoint.

use crate::figure::Figure;
use crate::server::Server;
use crate::{Conditions, campaigns, load};

/// About what our answers weigh; the baseline answers with as much.
pub(crate) const ANSWER_BYTES: usize = 3_000;

pub(crate) fn run(conditions: Conditions) -> anyhow::Result<Vec<Figure>> {
    let baseline = load::run(&Server::bare(ANSWER_BYTES)?, conditions)?;
    let data = tempfile::tempdir()?;
    campaigns::store(data.path(), conditions.campaigns)?;
    let run = load::run(&Server::bidding(data.path())?, conditions)?;
    eprintln!(
        "bid: {} campaigns, {:.0} requests/s, statuses {:?}",
        conditions.campaigns, run.load.answered_per_second, run.load.statuses
    );
    Ok(vec![Figure::new(
        "bid",
        "cpu_us_per_request",
        "us",
        run.cpu_us_per_request,
        baseline.cpu_us_per_request,
    )])
}
