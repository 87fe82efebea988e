//! `engine`: from the bytes of a request to the decision, in process, without a server.
//!
//! 100,000 active campaigns, 300 of which fit the request; the best of those are withheld by pacing, caps and creative
//! blocks, so that the search has to look past them.

mod a_tree;
mod world;

use crate::figure::Figure;
use crate::load_request;
use crate::spread::{Spread, Withheld};
use a_tree::Tree;
use hdrhistogram::Histogram;
use std::hint::black_box;
use std::time::{Duration, Instant};
use world::World;

const BENCH: &str = "engine";
const ELIGIBLE: usize = 300;
const REASONS: &[Withheld] = &[Withheld::Paced, Withheld::Capped, Withheld::Blocked];
/// Different requests, taken in turn.
const REQUESTS: usize = 1_000;
const MEASURED: usize = 20_000;
const MEASURED_ORACLE: usize = 500;
const MEASURED_TREE: usize = 2_000;
/// Rounds of each in turn, so that what else the machine does meets all alike.
const ROUNDS: usize = 5;

pub(crate) fn run() -> anyhow::Result<Vec<Figure>> {
    let requests: Vec<Vec<u8>> = (0..REQUESTS).map(load_request::biddable).collect();
    // First, since what has been freed would hide how much it takes.
    let growth = of_growth(&requests)?;
    Ok(of_load(&requests)?.into_iter().chain(growth).collect())
}

fn spread(campaigns: usize, withheld: usize) -> Spread {
    Spread {
        campaigns,
        eligible: ELIGIBLE,
        withheld,
        reasons: REASONS,
    }
}

fn of_load(requests: &[Vec<u8>]) -> anyhow::Result<Vec<Figure>> {
    let mut few = World::new(spread(100_000, 30))?;
    let mut most = World::new(spread(100_000, 250))?;
    let mut small = World::new(spread(1_000, 30))?;
    let tree = Tree::new(&spread(100_000, 30))?;
    let (matches, _) = tree.best()?;
    anyhow::ensure!(matches == ELIGIBLE, "{matches} campaigns match in the a-tree");
    few.check(&requests[0])?;
    most.check(&requests[0])?;
    let (mut parse, mut of_few, mut of_most, mut of_small, mut oracle, mut of_tree) =
        (times()?, times()?, times()?, times()?, times()?, times()?);
    for _ in 0..ROUNDS {
        measure(&mut parse, requests, MEASURED, |body| few.parse(body));
        measure(&mut of_few, requests, MEASURED, |body| few.decide(body));
        measure(&mut of_most, requests, MEASURED, |body| most.decide(body));
        measure(&mut of_small, requests, MEASURED, |body| small.decide(body));
        measure(&mut oracle, requests, MEASURED_ORACLE, |body| {
            small.ask_oracle(body)
        });
        measure(&mut of_tree, requests, MEASURED_TREE, |_| tree.best().is_ok());
    }
    let of = |name, times: &Histogram<u64>, quantile, baseline: &Histogram<u64>| {
        Figure::new(BENCH, name, "us", us(times, quantile), us(baseline, quantile))
    };
    eprintln!("engine: baseline of p50_us and of the p99 figures is reading the request alone");
    Ok(vec![
        of("p50_us", &of_few, 0.5, &parse),
        of("p99_us", &of_most, 0.99, &parse),
        of("p99_us_30_withheld", &of_few, 0.99, &parse),
        of("p50_us_oracle_1000", &of_small, 0.5, &oracle),
        of("p50_us_a_tree", &of_few, 0.5, &of_tree),
    ])
}

/// A thousand times the campaigns, as many that match.
fn of_growth(requests: &[Vec<u8>]) -> anyhow::Result<Vec<Figure>> {
    let before_bytes = resident_bytes()?;
    let mut large = World::new(spread(1_000_000, 30))?;
    let large_bytes = resident_bytes()?.saturating_sub(before_bytes);
    let mut small = World::new(spread(1_000, 30))?;
    large.check(&requests[0])?;
    let (mut of_large, mut of_small) = (times()?, times()?);
    for _ in 0..ROUNDS {
        measure(&mut of_large, requests, MEASURED, |body| large.decide(body));
        measure(&mut of_small, requests, MEASURED, |body| small.decide(body));
    }
    let gibibyte = f64::from(1 << 30);
    Ok(vec![
        Figure::new(
            BENCH,
            "p50_us_1000000",
            "us",
            us(&of_large, 0.5),
            us(&of_small, 0.5),
        ),
        Figure::new(
            BENCH,
            "resident_gib_1000000",
            "GiB",
            large_bytes as f64 / gibibyte,
            1.0,
        ),
    ])
}

fn times() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 1_000_000_000, 3)?)
}

fn measure<T>(
    times: &mut Histogram<u64>,
    requests: &[Vec<u8>],
    count: usize,
    mut work: impl FnMut(&[u8]) -> T,
) {
    for request in requests.iter().cycle().take(count / ROUNDS) {
        let began = Instant::now();
        black_box(work(black_box(request)));
        times.saturating_record(nanos(began.elapsed()));
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn us(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1_000.0
}

fn resident_bytes() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    Ok(pages.unwrap_or_default() * 4_096)
}
