//! `adplatform load`: an open-loop generator. Requests are due at a constant rate; latency counts from that moment, so a
//! server that stalls cannot hide it by being asked less (coordinated omission).

pub(crate) mod connection;
pub(crate) mod figures;
pub(crate) mod schedule;

use crate::output::print_line;
use crate::traffic::Traffic;
use anyhow::Context;
use bytes::Bytes;
use connection::{Connection, Target};
use figures::Figures;
use schedule::Due;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};

#[derive(clap::Args, Debug)]
pub(crate) struct LoadArgs {
    /// Where to POST bid requests, such as http://127.0.0.1:8081/openrtb2/bid
    #[arg(long)]
    pub url: String,
    /// Requests a second
    #[arg(long, default_value_t = 1_000.0)]
    pub rate: f64,
    /// How long, such as 30s or 2m
    #[arg(long, default_value = "30s", value_parser = crate::duration::parse)]
    pub duration: Duration,
    /// One request a line, or {"request": …}; without it requests are made up
    #[arg(long)]
    pub requests: Option<PathBuf>,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Seed of the made-up requests
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// How many different requests are made up before the first is sent.
const MADE_UP: usize = 10_000;
/// How long after the last due request answers are waited for.
const STRAGGLERS: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: &LoadArgs) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.rate > 0.0 && args.rate <= 1_000_000.0,
        "--rate must be above 0 and at most 1000000"
    );
    anyhow::ensure!(
        (1..=10_000).contains(&args.connections),
        "--connections must be 1 to 10000"
    );
    let target = Target::parse(&args.url)?;
    let bodies: Arc<[Bytes]> = match &args.requests {
        Some(file) => read_requests(file)?.into(),
        None => make_up(args.seed).into(),
    };
    if !args.json {
        eprintln!("{} requests/s for {:?} to {}", args.rate, args.duration, args.url);
    }
    let begin = Instant::now();
    let due = Arc::new(Mutex::new(schedule::start(args.rate, args.duration)));
    let workers: Vec<_> = (0..args.connections)
        .map(|_| tokio::spawn(work(Connection::new(target.clone()), due.clone(), bodies.clone())))
        .collect();
    let mut figures = Figures::default();
    let deadline = begin + args.duration + STRAGGLERS;
    for worker in workers {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, worker).await {
            Ok(finished) => figures.merge(finished.context("a worker panicked")?),
            Err(_) => figures.failed(format!(
                "a connection without an answer {STRAGGLERS:?} after the end"
            )),
        }
    }
    let elapsed = begin.elapsed().max(args.duration);
    let summary = figures.summary(args.rate, elapsed);
    if args.json {
        print_line(serde_json::to_string(&summary)?)?;
    } else {
        print_line(&summary)?;
    }
    anyhow::ensure!(summary.answered > 0, "nothing was answered by {}", args.url);
    Ok(())
}

async fn work(
    mut connection: Connection,
    due: Arc<Mutex<mpsc::UnboundedReceiver<Due>>>,
    bodies: Arc<[Bytes]>,
) -> Figures {
    let mut figures = Figures::default();
    loop {
        let next = due.lock().await.recv().await;
        let Some(Due { number, at }) = next else {
            return figures;
        };
        let body = bodies[(number % bodies.len() as u64) as usize].clone();
        match connection.post(body).await {
            Ok((status, _)) => figures.answered(status, at.elapsed()),
            Err(error) => figures.failed(error.to_string()),
        }
    }
}

fn make_up(seed: u64) -> Vec<Bytes> {
    let mut traffic = Traffic::new(seed);
    (0..MADE_UP)
        .map(|_| Bytes::from(traffic.next_request()))
        .collect()
}

fn read_requests(file: &Path) -> anyhow::Result<Vec<Bytes>> {
    #[derive(serde::Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        request: &'a serde_json::value::RawValue,
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let bodies: Vec<Bytes> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| match serde_json::from_str::<Wrapped<'_>>(line) {
            Ok(wrapped) => Bytes::copy_from_slice(wrapped.request.get().as_bytes()),
            Err(_) => Bytes::copy_from_slice(line.as_bytes()),
        })
        .collect();
    anyhow::ensure!(!bodies.is_empty(), "{} holds no request", file.display());
    Ok(bodies)
}
