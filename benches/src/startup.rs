//! `startup`: 100,000 campaigns in Kafka; from the start of a bidder, with the broker reachable, until it is ready.
//!
//! On all cores, as a pod would start. The baseline reads the same topic to its end and looks at nothing.

use crate::campaigns;
use crate::figure::Figure;
use crate::server::Server;
use crate::spread::Spread;
use jiff::Timestamp;
use std::time::{Duration, Instant};
use storage::EventLog;
use storage::event_log::Topic;
use storage_kafka::KafkaLog;
use test_servers::kafka::Broker;

const CAMPAIGNS: usize = 100_000;
const BATCH_RECORDS: u32 = 1_000;
const ROUNDS: usize = 3;

pub(crate) fn run() -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<Vec<Figure>> {
    let Some(broker) = Broker::start().await else {
        eprintln!("startup needs Kafka, which is not installed here");
        return Ok(Vec::new());
    };
    let log = KafkaLog::new(&storage_kafka::Settings {
        brokers: broker.bootstrap(),
        ..storage_kafka::Settings::default()
    })?;
    log.create_topics(1, 1).await?;
    let template = Spread::template(Timestamp::now())?;
    let spread = Spread {
        campaigns: CAMPAIGNS,
        eligible: 300,
        withheld: 30,
        reasons: &[],
    };
    campaigns::publish(&log, CAMPAIGNS, |number| Ok(spread.campaign(number, &template))).await?;
    let record_bytes = serde_json::to_vec(&spread.campaign(0, &template))?.len();
    // The best of each: what else the machine does only ever adds.
    let (mut best_ready, mut best_read, mut best_cpu_us) = (Duration::MAX, Duration::MAX, u64::MAX);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        read_all(&log).await?;
        best_read = best_read.min(began.elapsed());
        let folder = tempfile::tempdir()?;
        let began = Instant::now();
        let server = Server::bidding_on_all_cores(folder.path(), &[("KAFKA_BROKERS", &broker.bootstrap())])?;
        best_ready = best_ready.min(began.elapsed());
        best_cpu_us = best_cpu_us.min(server.cpu_us()?);
    }
    eprintln!("startup: {CAMPAIGNS} campaigns of about {record_bytes} B");
    Ok(vec![
        Figure::new(
            "startup",
            "ready_ms",
            "ms",
            best_ready.as_secs_f64() * 1e3,
            best_read.as_secs_f64() * 1e3,
        ),
        Figure::new(
            "startup",
            "cpu_ms",
            "ms",
            best_cpu_us as f64 / 1e3,
            best_read.as_secs_f64() * 1e3,
        ),
    ])
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
