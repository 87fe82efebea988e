//! `startup`: 100,000 campaigns in Kafka; from the start of a bidder, with the broker reachable, until it is ready; and, of a
//! bidder that is there first and tries on, from when the broker can be reached.
//!
//! On all cores, as a pod would start. The baseline of the former reads the same topic to its end and looks at nothing, that of
//! the latter is what is wanted, that of its memory a campaign's record. All of them reach the broker through a proxy, which
//! refuses connections until it lets them pass.

use crate::campaigns;
use crate::figure::Figure;
use crate::server::Server;
use crate::spread::Spread;
use anyhow::Context;
use jiff::Timestamp;
use memmap2::{Advice, MmapMut};
use std::time::{Duration, Instant};
use storage::EventLog;
use storage::event_log::Topic;
use storage_kafka::KafkaLog;
use test_servers::kafka::{Broker, Options};
use test_servers::proxy::Fault;

const BENCH: &str = "startup";
const CAMPAIGNS: usize = 100_000;
const BATCH_RECORDS: u32 = 1_000;
const ROUNDS: u32 = 5;
/// A bidder without its log: by then one attempt has failed, and the pauses between connections are as long as they become.
const TRYING: Duration = Duration::from_secs(5);
/// So that the broker comes at one time in an attempt, at another between two.
const LATER_EACH_ROUND: Duration = Duration::from_millis(370);
/// More than the bidder takes.
const FETCHED_BYTES: usize = 1 << 30;
/// "Within two seconds."
const WANTED_MS: f64 = 2_000.0;

pub(crate) fn run() -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<Vec<Figure>> {
    let options = Options {
        behind_proxy: true,
        ..Options::default()
    };
    let Some(mut broker) = Broker::start_with(&options).await else {
        eprintln!("startup needs Kafka, which is not installed here");
        return Ok(Vec::new());
    };
    let log = campaigns::log_on(&broker).await?;
    let template = Spread::template(Timestamp::now())?;
    let spread = Spread {
        campaigns: CAMPAIGNS,
        eligible: 300,
        withheld: 30,
        reasons: &[],
    };
    campaigns::publish(&log, CAMPAIGNS, |number| Ok(spread.campaign(number, &template))).await?;
    let record_bytes = serde_json::to_vec(&spread.campaign(0, &template))?.len();
    eprintln!("{BENCH}: {CAMPAIGNS} campaigns of about {record_bytes} B");
    // The best of each, since what else the machine does only ever adds; of what has a limit the longest.
    let (mut best_read, mut best_cpu_us, mut least_bytes) = (Duration::MAX, u64::MAX, u64::MAX);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        read_all(&log).await?;
        best_read = best_read.min(began.elapsed());
    }
    let (mut best_ready, mut longest_late) = (Duration::MAX, Duration::ZERO);
    for round in 0..ROUNDS {
        let (ready, cpu_us, resident_bytes) = with_the_broker_there(&broker)?;
        let late = before_the_broker(&mut broker, round)?;
        eprintln!(
            "{BENCH}: round {round}: ready after {ready:.2?}, {late:.2?} after the broker could be reached"
        );
        best_ready = best_ready.min(ready);
        best_cpu_us = best_cpu_us.min(cpu_us);
        least_bytes = least_bytes.min(resident_bytes);
        longest_late = longest_late.max(late);
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let figure = |name, value, baseline| Figure::new(BENCH, name, "ms", value, baseline);
    Ok(vec![
        figure("ready_ms", ms(best_ready), ms(best_read)),
        figure("cpu_ms", best_cpu_us as f64 / 1e3, ms(best_read)),
        figure("longest_reachable_to_ready_ms", ms(longest_late), WANTED_MS),
        Figure::new(
            BENCH,
            "bytes_per_campaign",
            "B",
            least_bytes as f64 / CAMPAIGNS as f64,
            record_bytes as f64,
        ),
    ])
}

/// From the start; and then: the CPU time, in microseconds, and the memory.
fn with_the_broker_there(broker: &Broker) -> anyhow::Result<(Duration, u64, u64)> {
    let folder = tempfile::tempdir()?;
    fetch_memory()?;
    let began = Instant::now();
    let server = Server::bidding_on_all_cores(folder.path(), &[("KAFKA_BROKERS", &broker.bootstrap())])?;
    Ok((began.elapsed(), server.cpu_us()?, server.resident_bytes()?))
}

/// From when the broker can be reached.
fn before_the_broker(broker: &mut Broker, round: u32) -> anyhow::Result<Duration> {
    let bootstrap = broker.bootstrap();
    let way = broker.network().context("it is behind a proxy")?;
    way.set(Fault::Cut);
    let folder = tempfile::tempdir()?;
    let server = Server::bidding_before_its_log(folder.path(), &[("KAFKA_BROKERS", &bootstrap)])?;
    std::thread::sleep(TRYING + LATER_EACH_ROUND * round);
    fetch_memory()?;
    way.set(Fault::None);
    let reachable = Instant::now();
    server.until_ready()?;
    Ok(reachable.elapsed())
}

/// A virtual machine may give memory that has been free for seconds back to its host, and a bidder that fetches it again was
/// seen to be ready 0.5 to 0.9 s later. So it is fetched first, as it is there where processes follow each other at once: in
/// pages as large as the bidder's allocator asks for.
fn fetch_memory() -> anyhow::Result<()> {
    let mut memory = MmapMut::map_anon(FETCHED_BYTES)?;
    memory.advise(Advice::HugePage)?;
    memory.fill(1);
    Ok(())
}

async fn read_all(log: &KafkaLog) -> anyhow::Result<()> {
    let partitions = log.partitions(Topic::Campaigns).await?;
    let reads = (0..partitions).map(async |partition| -> anyhow::Result<()> {
        let end = log.end_offset(Topic::Campaigns, partition).await?;
        let mut next = 0;
        while next < end {
            let batch = log
                .read(
                    Topic::Campaigns,
                    partition,
                    next,
                    BATCH_RECORDS,
                    Duration::from_secs(1),
                )
                .await?;
            next = batch.next_offset;
        }
        Ok(())
    });
    for read in futures_util::future::join_all(reads).await {
        read?;
    }
    Ok(())
}
