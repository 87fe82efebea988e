//! `latency`: what the client sees at a constant rate, open loop, against a bare endpoint. The load is that of `bid`.

use crate::figure::Figure;
use crate::server::Server;
use crate::{Conditions, bid, load, load_request};

pub(crate) fn run(conditions: Conditions) -> anyhow::Result<Vec<Figure>> {
    let prepared = bid::prepare(conditions)?;
    let bidder = Server::bidding(prepared.data_dir())?;
    let run = load::run_with(&bidder, conditions, Some(prepared.requests()))?.load;
    let answer_bytes = bidder.answer_bytes(&load_request::biddable(0))?;
    drop(bidder);
    let bare = Server::bare(answer_bytes)?;
    let baseline = load::run_with(&bare, conditions, Some(prepared.requests()))?.load;
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
