//! The generator: `adplatform load` on the second core.

use crate::Conditions;
use crate::server::{Server, pinned};
use anyhow::Context;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

/// What `adplatform load --json` prints, as far as it is used here.
#[derive(Debug, Deserialize)]
pub(crate) struct Load {
    pub answered: u64,
    pub answered_per_second: f64,
    pub statuses: BTreeMap<String, u64>,
    pub errors: BTreeMap<String, u64>,
    pub p50_us: u64,
    pub p99_us: u64,
    pub p99_9_us: u64,
    pub p99_99_us: u64,
}

/// What a server did under load.
pub(crate) struct Run {
    pub load: Load,
    pub cpu_us_per_request: f64,
}

/// Warms the server up, then measures.
pub(crate) fn run(server: &Server, conditions: Conditions) -> anyhow::Result<Run> {
    run_with(server, conditions, None)
}

/// With the requests of a file instead of made-up ones.
pub(crate) fn run_with(
    server: &Server,
    conditions: Conditions,
    requests: Option<&Path>,
) -> anyhow::Result<Run> {
    generate(server, conditions.rate, conditions.warm_up_seconds, requests)?;
    let before = server.cpu_us()?;
    let load = generate(server, conditions.rate, conditions.seconds, requests)?;
    let used = server.cpu_us()? - before;
    anyhow::ensure!(load.errors.is_empty(), "requests failed: {:?}", load.errors);
    let served = load
        .statuses
        .keys()
        .all(|status| ["200", "204"].contains(&status.as_str()));
    anyhow::ensure!(served, "requests were refused: {:?}", load.statuses);
    Ok(Run {
        cpu_us_per_request: used as f64 / load.answered as f64,
        load,
    })
}

/// The load of a bench, unmeasured.
pub(crate) fn warm_up(server: &Server, conditions: Conditions, requests: &Path) -> anyhow::Result<()> {
    generate(
        server,
        conditions.rate,
        conditions.warm_up_seconds,
        Some(requests),
    )
    .map(drop)
}

fn generate(server: &Server, rate: u64, seconds: u64, requests: Option<&Path>) -> anyhow::Result<Load> {
    generate_over(64, server, rate, seconds, requests)
}

/// Over so many connections.
pub(crate) fn generate_over(
    connections: usize,
    server: &Server,
    rate: u64,
    seconds: u64,
    requests: Option<&Path>,
) -> anyhow::Result<Load> {
    let mut command = pinned("adplatform", 1)?;
    command
        .args(["load", "--json", "--url", &server.bid_url()])
        .args(["--connections", &connections.to_string()])
        .args(["--rate", &rate.to_string(), "--duration", &format!("{seconds}s")]);
    if let Some(file) = requests {
        command.arg("--requests").arg(file);
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "the generator failed: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .with_context(|| format!("the generator printed {text:?}"))
}
