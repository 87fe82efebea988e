//! `producer-stall`: what a broker that hangs costs bids. The load is that of `bid`, on a bidder that sends its counts to Kafka
//! and follows its campaigns there; with the broker up, and with the broker stopped (connections stay open and nobody answers).
//!
//! In turns, so that what the machine does beside falls on both; of each figure the round in the middle counts. A stopped
//! broker takes no time of the machine, one that is up a little.

use crate::figure::Figure;
use crate::load::{self, Run};
use crate::server::Server;
use crate::turns::middle;
use crate::{Conditions, bid, campaigns};
use std::path::Path;
use test_servers::kafka::Broker;

const BENCH: &str = "producer-stall";
/// What is measured is the producer, which does not depend on them.
const CAMPAIGNS: usize = 10_000;
const ROUNDS: usize = 10;
/// After the broker comes back: what waited for it is sent.
const WARM_UP_SECONDS: u64 = 3;
/// After it has stopped: what is measured has the seconds in it in which appends wait, and those in which they are refused.
const STALL_SECONDS: u64 = 1;

pub(crate) fn run(conditions: Conditions) -> anyhow::Result<Vec<Figure>> {
    let conditions = Conditions {
        campaigns: CAMPAIGNS,
        ..conditions
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Some(broker) = runtime.block_on(Broker::start()) else {
        eprintln!("{BENCH} needs Kafka, which is not installed here");
        return Ok(Vec::new());
    };
    runtime.block_on(async {
        let log = campaigns::log_on(&broker).await?;
        campaigns::publish(&log, CAMPAIGNS, bid::spread(conditions)?).await
    })?;
    let folder = tempfile::tempdir()?;
    let requests = folder.path().join("requests.jsonl");
    bid::write_requests(&requests)?;
    let bidder = Server::bidding_with(folder.path(), &[("KAFKA_BROKERS", &broker.bootstrap())])?;
    load::warm_up(&bidder, conditions, &requests)?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for number in 0..ROUNDS {
        let up = turn(&bidder, conditions, WARM_UP_SECONDS, &requests)?;
        broker.pause();
        let stalled = turn(&bidder, conditions, STALL_SECONDS, &requests)?;
        broker.resume();
        eprintln!(
            "{BENCH}: round {number}: {:.1} us / {:.1} us a request, p99 {} us / {} us",
            stalled.cpu_us_per_request, up.cpu_us_per_request, stalled.load.p99_us, up.load.p99_us
        );
        rounds.push((stalled, up));
    }
    let figure = |name, unit, of: fn(&Run) -> f64| {
        let pairs = rounds.iter().map(|(stalled, up)| (of(stalled), of(up)));
        let (value, baseline) = middle(pairs.collect());
        Figure::new(BENCH, name, unit, value, baseline)
    };
    Ok(vec![
        figure("cpu_us_per_request", "us", |run| run.cpu_us_per_request),
        figure("p50_us", "us", |run| run.load.p50_us as f64),
        figure("p99_us", "us", |run| run.load.p99_us as f64),
        figure("bids", "%", bids_percent),
    ])
}

fn turn(
    bidder: &Server,
    conditions: Conditions,
    warm_up_seconds: u64,
    requests: &Path,
) -> anyhow::Result<Run> {
    let turn = Conditions {
        seconds: (conditions.seconds / 3).max(3),
        warm_up_seconds,
        ..conditions
    };
    let run = load::run_with(bidder, turn, Some(requests))?;
    // Nine of ten could be; a machine that is busy with other things makes some late.
    anyhow::ensure!(
        bids_percent(&run) > 50.0,
        "{:.0} % bids: leases are not kept renewed",
        bids_percent(&run)
    );
    Ok(run)
}

fn bids_percent(run: &Run) -> f64 {
    let bids = run.load.statuses.get("200").copied().unwrap_or_default();
    bids as f64 * 100.0 / run.load.answered as f64
}
