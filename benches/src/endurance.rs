//! `endurance`: how many answers leave after their budget, over many requests. The load is that of `bid`, open loop:
//! `benches/run.sh endurance --rate 7000 --seconds 1430` asks ten million times.
//!
//! Late by the server's clock is what it counted as late itself, and whatever took longer than 50 ms from its first byte,
//! the last bound of its metric before a request's budget of 51 ms. Beside it the stalls of a thread that does nothing on
//! this machine but sleep a millisecond at a time: what nobody's server is to blame for.

use crate::figure::Figure;
use crate::load;
use crate::server::Server;
use crate::{Conditions, bid};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const BENCH: &str = "endurance";
const NAP: Duration = Duration::from_millis(1);
/// A request's `tmax`.
const BUDGET: Duration = Duration::from_millis(51);

pub(crate) fn run(conditions: Conditions) -> anyhow::Result<Vec<Figure>> {
    let prepared = bid::prepare(conditions)?;
    let bidder = Server::bidding(prepared.data_dir())?;
    let generate =
        |seconds| load::generate_over(64, &bidder, conditions.rate, seconds, Some(prepared.requests()));
    generate((conditions.seconds / 5).clamp(3, 30))?;
    let before = bidder.counted()?;
    let is_over = AtomicBool::new(false);
    let (load, stalls) = thread::scope(|scope| {
        let idle = scope.spawn(|| naps(&is_over));
        let load = generate(conditions.seconds);
        is_over.store(true, Ordering::Relaxed);
        (load, idle.join())
    });
    let load = load?;
    let stalls = stalls.map_err(|_panic| anyhow::anyhow!("the idle thread panicked"))?;
    let after = bidder.counted()?;
    let late = after.late - before.late;
    let slow = (after.all - after.in_budget) - (before.all - before.in_budget);
    eprintln!(
        "endurance: {} requests, {:.0} a second, statuses {:?}, errors {:?}; {late} late and {slow} after 50 ms by the server's clock; \
         client p99 {} us, p99.99 {} us; an idle thread's {} naps: {} stalls beyond {BUDGET:?}, longest {:?}",
        load.answered,
        load.answered_per_second,
        load.statuses,
        load.errors,
        load.p99_us,
        load.p99_99_us,
        stalls.naps,
        stalls.beyond_budget,
        stalls.longest,
    );
    let budget_us = BUDGET.as_micros() as f64;
    let figure = |name, unit, value, baseline| Figure::new(BENCH, name, unit, value, baseline);
    Ok(vec![
        figure("late", "", late.max(slow), load.answered as f64),
        figure("p99_us", "us", load.p99_us as f64, budget_us),
        figure("p99_99_us", "us", load.p99_99_us as f64, budget_us),
        figure(
            "idle_longest_us",
            "us",
            stalls.longest.as_micros() as f64,
            budget_us,
        ),
    ])
}

#[derive(Default)]
struct Stalls {
    naps: u64,
    beyond_budget: u64,
    longest: Duration,
}

fn naps(is_over: &AtomicBool) -> Stalls {
    let mut stalls = Stalls::default();
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        thread::sleep(NAP);
        let stall = began.elapsed().saturating_sub(NAP);
        stalls.naps += 1;
        stalls.beyond_budget += u64::from(stall > BUDGET);
        stalls.longest = stalls.longest.max(stall);
    }
    stalls
}
