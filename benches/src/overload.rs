//! `overload`: more requests than the bidder can answer. The load is that of `bid`.
//!
//! Saturation is what one core answers when every answer is followed by the next request. Two bidders: one as it is, offered
//! 1.3 times its saturation, and one whose decisions take 100 us longer, offered 3 times. Refusals are cheap, so most
//! of the peak is left to bids; what is answered is in time.

use crate::figure::Figure;
use crate::load::{self, Load};
use crate::server::Server;
use crate::{Conditions, bid, load_request};
use std::path::Path;

const BENCH: &str = "overload";
/// One request at a time is under way on each connection: with few of them no queue is long, with many the bidder and
/// not the generator holds it.
const FEW: usize = 16;
const MANY: usize = 1_000;
/// A request takes less when there are many: by more than that times what one takes in calm nobody is asked.
const MORE_THAN_CALM: f64 = 1.6;
const SLOWER: (&str, &str) = ("BENCH_SLOWER_DECISION_US", "100");

/// What one bidder did.
struct Outcome {
    peak_bids_per_second: f64,
    bids_per_second: f64,
    refusal_us: f64,
    late: f64,
    growth: f64,
}

pub(crate) fn run(conditions: Conditions) -> anyhow::Result<Vec<Figure>> {
    let prepared = bid::prepare(conditions)?;
    let bidder = Server::bidding(prepared.data_dir())?;
    let plain = overload(&bidder, conditions, prepared.requests(), 1.3)?;
    let answer_bytes = bidder.answer_bytes(&load_request::biddable(0))?;
    drop(bidder);
    let bidder = Server::bidding_with(prepared.data_dir(), &[SLOWER])?;
    let slower = overload(&bidder, conditions, prepared.requests(), 3.0)?;
    drop(bidder);
    let bare = Server::bare(answer_bytes)?;
    let bare = load::run_with(&bare, conditions, Some(prepared.requests()))?;
    let figure = |name, unit, value, baseline| Figure::new(BENCH, name, unit, value, baseline);
    let of = |outcome: &Outcome, [bids, refusal, late, growth]: [&'static str; 4]| {
        [
            figure(bids, "1/s", outcome.bids_per_second, outcome.peak_bids_per_second),
            figure(refusal, "us", outcome.refusal_us, bare.cpu_us_per_request),
            figure(late, "%", outcome.late * 100.0, 100.0),
            figure(growth, "MiB", outcome.growth, 1.0),
        ]
    };
    let mut figures = Vec::new();
    figures.extend(of(
        &plain,
        ["bids_130", "refusal_us_130", "late_130", "growth_130"],
    ));
    figures.extend(of(
        &slower,
        ["bids_300", "refusal_us_300", "late_300", "growth_300"],
    ));
    Ok(figures)
}

fn overload(bidder: &Server, conditions: Conditions, requests: &Path, times: f64) -> anyhow::Result<Outcome> {
    let seconds = conditions.seconds;
    let calm_rate = conditions.rate as f64 / 2.0;
    let at = |connections, rate: f64, seconds| {
        load::generate_over(connections, bidder, rate as u64, seconds, Some(requests))
    };
    // The first leases, and what the machine has to learn.
    at(FEW, calm_rate, 5)?;
    let before_us = bidder.cpu_us()?;
    let calm = at(FEW, calm_rate, 5)?;
    let calm_us = (bidder.cpu_us()? - before_us) as f64 / calm.answered as f64;
    // As many as are answered when the next one comes as soon as the last has its answer.
    let before_us = bidder.cpu_us()?;
    let peak = at(FEW, MORE_THAN_CALM * 1e6 / calm_us, seconds)?;
    let answer_us = (bidder.cpu_us()? - before_us) as f64 / peak.answered as f64;
    let saturation = peak.answered_per_second;
    let (resident, before, cpu_us) = (bidder.resident_bytes()?, bidder.counted()?, bidder.cpu_us()?);
    let load = at(MANY, saturation * times, seconds)?;
    anyhow::ensure!(load.errors.is_empty(), "requests failed: {:?}", load.errors);
    let used_us = (bidder.cpu_us()? - cpu_us) as f64;
    let grown = bidder.resident_bytes()? as f64 - resident as f64;
    let after = bidder.counted()?;
    let (shed, all) = (after.shed - before.shed, after.all - before.all);
    let in_time = after.in_budget - before.in_budget;
    let answered = load.answered as f64 - shed;
    eprintln!(
        "overload: {answer_us:.0} us a request, {saturation:.0} a second; offered {:.0}, {:.0} answered a second, {:.0} % refused, \
         client p50 {} us p99 {} us",
        saturation * times,
        load.answered_per_second,
        shed / load.answered as f64 * 100.0,
        load.p50_us,
        load.p99_us
    );
    Ok(Outcome {
        peak_bids_per_second: bids_per_second(&peak),
        bids_per_second: bids_per_second(&load),
        refusal_us: ((used_us - answered * answer_us) / shed.max(1.0)).max(0.0),
        late: (all - in_time) / all.max(1.0),
        growth: grown / f64::from(1 << 20),
    })
}

fn bids_per_second(load: &Load) -> f64 {
    let bids = load.statuses.get("200").copied().unwrap_or_default();
    bids as f64 / load.answered.max(1) as f64 * load.answered_per_second
}
