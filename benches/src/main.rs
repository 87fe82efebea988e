//! The benchmarks named in the README: each figure as a ratio to a baseline measured in the same run.
//!
//! The server runs on one core, the generator on the other; the generator's own time never enters a figure.

mod campaigns;
mod figure;
mod load;
mod load_request;
mod server;
mod spread;
mod turns;

mod analytics;
mod bid;
mod campaign_api;
mod endurance;
mod engine;
mod latency;
mod ledger;
mod metrics;
mod overload;
mod producer_stall;
mod startup;
mod update;
mod user_state;

use clap::Parser;
use figure::Figure;

/// As in the programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Args {
    /// One of them; all when left out
    #[arg(value_parser = ["analytics", "bid", "campaign-api", "endurance", "engine", "latency", "ledger", "metrics", "overload", "producer-stall", "startup", "update", "user-state"])]
    name: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Seconds under load for each server; a third of them where servers take turns
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Seconds under load before those; without it a fifth of them. Where servers take turns, before the first
    #[arg(long)]
    warm_up: Option<u64>,
    /// Requests a second
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
    /// Active campaigns
    #[arg(long, default_value_t = 100_000)]
    campaigns: usize,
}

/// What every benchmark is run with.
#[derive(Clone, Copy)]
pub struct Conditions {
    pub seconds: u64,
    pub warm_up_seconds: u64,
    pub rate: u64,
    pub campaigns: usize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let conditions = Conditions {
        seconds: args.seconds,
        warm_up_seconds: args.warm_up.unwrap_or((args.seconds / 5).max(3)),
        rate: args.rate,
        campaigns: args.campaigns,
    };
    let wanted = |name: &str| args.name.as_deref().is_none_or(|asked| asked == name);
    let mut figures: Vec<Figure> = Vec::new();
    if wanted("analytics") {
        figures.extend(analytics::run()?);
    }
    if wanted("bid") {
        figures.extend(bid::run(conditions)?);
    }
    if wanted("endurance") {
        figures.extend(endurance::run(conditions)?);
    }
    if wanted("engine") {
        figures.extend(engine::run()?);
    }
    if wanted("startup") {
        figures.extend(startup::run()?);
    }
    if wanted("latency") {
        figures.extend(latency::run(conditions)?);
    }
    if wanted("campaign-api") {
        figures.extend(campaign_api::run()?);
    }
    if wanted("ledger") {
        figures.extend(ledger::run()?);
    }
    if wanted("metrics") {
        figures.extend(metrics::run(conditions)?);
    }
    if wanted("overload") {
        figures.extend(overload::run(conditions)?);
    }
    if wanted("producer-stall") {
        figures.extend(producer_stall::run(conditions)?);
    }
    if wanted("update") {
        figures.extend(update::run(conditions)?);
    }
    if wanted("user-state") {
        figures.extend(user_state::run(conditions)?);
    }
    for figure in figures {
        if args.json {
            println!("{}", serde_json::to_string(&figure)?);
        } else {
            println!("{figure}");
        }
    }
    Ok(())
}
