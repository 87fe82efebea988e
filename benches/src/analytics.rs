//! `analytics`: from Kafka to committed rollups in PostgreSQL, one analytics-service on one core.
//!
//! Bids come counted, as bidders send them: a record has up to 1,000 combinations with their counts. An *event* of these
//! figures is one such combination, or one whole record of another topic; 95 % are of `bids`. The bids that the
//! combinations count are told beside it. The baseline reads the same records and folds nothing.

use crate::campaigns;
use crate::figure::Figure;
use crate::server::{Server, cpu_us};
use anyhow::Context;
use domain::event::{
    BidCount, BidCounts, BidEvent, Dimensions, EventKind, SCHEMA, SpendEvent, quarter_start_ms,
};
use domain::id::BidId;
use domain::money::Terms;
use serde::Serialize;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use storage::event_log::{NewRecord, Topic};
use storage::{EventLog, ReportStore};
use storage_kafka::KafkaLog;
use storage_postgres::PostgresStore;
use test_servers::kafka::Broker;
use test_servers::postgres::Server as Postgres;

const BID_RECORDS: u64 = 1_000;
const COUNTS: u64 = 1_000;
/// Bids of each combination in a record.
const BIDS_OF_A_COUNT: u64 = 3;
const BIDDERS: u64 = 48;
/// Combinations that are bid on in a quarter of an hour.
const COMBINATIONS: u64 = 10_000;
/// 5 % of all events.
const OTHERS: u64 = BID_RECORDS * COUNTS / 19;
const PATIENCE: Duration = Duration::from_secs(600);
const TOPICS: [Topic; 5] = [
    Topic::Bids,
    Topic::Wins,
    Topic::Impressions,
    Topic::Clicks,
    Topic::Spend,
];

pub(crate) fn run() -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<Vec<Figure>> {
    let (Some(broker), Some(postgres)) = (Broker::start().await, Postgres::start().await) else {
        eprintln!("analytics needs Kafka and PostgreSQL, which are not installed here");
        return Ok(Vec::new());
    };
    let log = campaigns::log_on(&broker).await?;
    let url = postgres.url(&postgres.database().await);
    let store = PostgresStore::new(&storage_postgres::Settings {
        database_url: url.clone(),
        replica_url: None,
        pool_size: 2,
    })?;
    store.migrate().await?;
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    produce(&log, now_ms).await?;
    let (partitions, ends) = ends(&log).await?;
    let began_us = cpu_us("self")?;
    consume(&log, &partitions, &ends).await?;
    let baseline_us = cpu_us("self")? - began_us;
    let folder = tempfile::tempdir()?;
    let began = Instant::now();
    let service = Server::analytics(&broker.bootstrap(), &url, folder.path())?;
    while store.offsets(&partitions).await? != ends {
        anyhow::ensure!(began.elapsed() < PATIENCE, "not caught up after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (wall, service_us) = (began.elapsed(), service.cpu_us()?);
    Ok(figures(wall, service_us, baseline_us))
}

#[expect(clippy::cast_precision_loss, reason = "figures to be shown")]
fn figures(wall: Duration, service_us: u64, baseline_us: u64) -> Vec<Figure> {
    let events = BID_RECORDS * COUNTS + OTHERS;
    let bids = BID_RECORDS * COUNTS * BIDS_OF_A_COUNT;
    let per_second = |count: u64, us: u64| count as f64 * 1e6 / us as f64;
    let figure = |name, count| {
        Figure::new(
            "analytics",
            name,
            "1/s",
            per_second(count, service_us),
            per_second(count, baseline_us),
        )
    };
    vec![
        figure("events_per_cpu_second", events),
        figure("records_per_cpu_second", BID_RECORDS + OTHERS),
        figure("bids_per_cpu_second", bids),
        Figure::new(
            "analytics",
            "events_per_second",
            "1/s",
            events as f64 / wall.as_secs_f64(),
            per_second(events, baseline_us),
        ),
    ]
}

async fn produce(log: &KafkaLog, now_ms: i64) -> anyhow::Result<()> {
    for of in 0..BID_RECORDS {
        let record = bid_counts(of, now_ms)?;
        log.append(Topic::Bids, vec![record], now_ms).await?;
    }
    for topic in [Topic::Wins, Topic::Impressions, Topic::Clicks, Topic::Spend] {
        let ids: Vec<u64> = (0..OTHERS / 4).collect();
        for some in ids.chunks(1_000) {
            let records: anyhow::Result<Vec<NewRecord>> =
                some.iter().map(|id| other(topic, *id, now_ms)).collect();
            log.append(topic, records?, now_ms).await?;
        }
    }
    Ok(())
}

fn dimensions(combination: u64) -> Dimensions {
    let of = |word: &str, count: u64| format!("{word}{:04}", combination % count);
    Dimensions {
        advertiser: of("adv_01k9c5m0w3v8q4s7h2d1n6e", 40),
        campaign: of("cmp_01k9c5m0w3v8q4s7h2d1n6e", 400),
        creative: of("crt_01k9c5m0w3v8q4s7h2d1n6e", 800),
        exchange: "default".to_owned(),
        deal: String::new(),
        country: ["USA", "DEU", "GBR"][(combination % 3) as usize].to_owned(),
        device: ["phone", "desktop"][(combination % 2) as usize].to_owned(),
        os: "android".to_owned(),
        format: "banner".to_owned(),
        size: "300x250".to_owned(),
        placement: "above_the_fold".to_owned(),
        site_or_bundle: of("news-and-weather-", 500) + ".example",
    }
}

fn record<E: Serialize>(key: String, event: &E) -> anyhow::Result<NewRecord> {
    Ok(NewRecord {
        key,
        value: Some(serde_json::to_vec(event)?),
    })
}

fn bid_counts(number: u64, now_ms: i64) -> anyhow::Result<NewRecord> {
    let (bidder, sequence) = (format!("bdr_{}", number % BIDDERS), number / BIDDERS + 1);
    let count = |place: u64| BidCount {
        quarter_start_ms: quarter_start_ms(now_ms),
        dimensions: dimensions((number * COUNTS + place) % COMBINATIONS),
        bids: BIDS_OF_A_COUNT,
    };
    let event = BidCounts {
        schema: SCHEMA,
        event_id: format!("{bidder}:{sequence}"),
        producer: bidder.as_str().into(),
        sequence,
        at_ms: now_ms,
        counts: (0..COUNTS).map(count).collect(),
    };
    record(bidder, &event)
}

fn other(topic: Topic, id: u64, now_ms: i64) -> anyhow::Result<NewRecord> {
    let bid_id = BidId(u128::from(id) << 64);
    let dimensions = dimensions(id % COMBINATIONS);
    if topic == Topic::Spend {
        let event = SpendEvent {
            schema: SCHEMA,
            event_id: format!("spend:{bid_id}"),
            at_ms: now_ms,
            bid_id,
            bid_at_ms: now_ms,
            campaign_id: dimensions.campaign.as_str().into(),
            day: "2026-11-23".to_owned(),
            day_start_ms: now_ms,
            day_end_ms: now_ms + 86_400_000,
            dimensions,
            price_cpm_micros: 1_000_000,
            bid_currency: "USD".to_owned(),
            currency: "USD".to_owned(),
            terms: Terms::default(),
            media_cost_nanos: 1_000_000,
            fee_nanos: 0,
            charge_nanos: 1_000_000,
            over_delivery_nanos: 0,
        };
        return record(bid_id.to_string(), &event);
    }
    let kind = match topic {
        Topic::Wins => EventKind::Win,
        Topic::Clicks => EventKind::Click,
        _ => EventKind::Impression,
    };
    let event = BidEvent {
        schema: SCHEMA,
        event_id: format!("{kind:?}:{bid_id}"),
        kind,
        at_ms: now_ms,
        bid_id,
        bid_at_ms: now_ms,
        dimensions,
        loss_reason: None,
        price_cpm_micros: None,
        reservation: None,
        value_micros: None,
        currency: None,
        conversion_type: None,
        order_id: None,
    };
    record(bid_id.to_string(), &event)
}

async fn ends(log: &KafkaLog) -> anyhow::Result<(Vec<(Topic, u32)>, Vec<i64>)> {
    let (mut partitions, mut ends) = (Vec::new(), Vec::new());
    for topic in TOPICS {
        for partition in 0..log.partitions(topic).await? {
            partitions.push((topic, partition));
            ends.push(log.end_offset(topic, partition).await?);
        }
    }
    Ok((partitions, ends))
}

async fn consume(log: &KafkaLog, partitions: &[(Topic, u32)], ends: &[i64]) -> anyhow::Result<()> {
    for ((topic, partition), end) in partitions.iter().zip(ends) {
        let mut offset = 0;
        while offset < *end {
            let batch = log
                .read(*topic, *partition, offset, 1_000, Duration::from_secs(5))
                .await
                .context("plain consumption")?;
            offset = batch.next_offset;
        }
    }
    Ok(())
}
