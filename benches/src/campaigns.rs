//! Campaigns for the bidder under load, put where it reads them from: topic `campaigns`.

use domain::exchange::{Exchange, ExchangeSpec};
use domain::id::ExchangeId;
use domain::serving::{ServingCampaign, ServingExchange};
use jiff::Timestamp;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use storage::EventLog;
use storage::event_log::{NewRecord, Topic};
use storage_kafka::KafkaLog;
use storage_sqlite::SqliteStore;
use test_servers::kafka::Broker;

/// Records appended at once.
const BATCH: usize = 1_000;
const COUNTRIES: [&str; 8] = ["USA", "KOR", "DEU", "GBR", "JPN", "FRA", "BRA", "CAN"];
const SIZES: [(i64, i64); 6] = [
    (300, 250),
    (320, 50),
    (728, 90),
    (300, 600),
    (160, 600),
    (970, 250),
];

/// Fills a fresh store. One campaign in eight is for a request's country; budgets outlast the run.
pub(crate) fn store(data_dir: &Path, count: usize) -> anyhow::Result<()> {
    store_with(data_dir, count, |_| {})
}

/// As [`store`], each campaign changed by `change`.
pub(crate) fn store_with(
    data_dir: &Path,
    count: usize,
    change: impl Fn(&mut ServingCampaign),
) -> anyhow::Result<()> {
    let now = Timestamp::now();
    store_of(data_dir, count, |number| {
        let mut campaign = campaign(number, now)?;
        change(&mut campaign);
        Ok(campaign)
    })
}

/// Fills a fresh embedded store with campaigns made by their number.
pub(crate) fn store_of(
    data_dir: &Path,
    count: usize,
    make: impl Fn(usize) -> anyhow::Result<ServingCampaign>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let url = format!("sqlite:{}", data_dir.join("adplatform.sqlite").display());
        let clock = Arc::new(|| Timestamp::now().as_millisecond());
        publish(&SqliteStore::open(&url, clock).await?, count, make).await
    })
}

/// A broker's log with its topics and nothing in them.
pub(crate) async fn log_on(broker: &Broker) -> anyhow::Result<KafkaLog> {
    let log = KafkaLog::new(&storage_kafka::Settings {
        brokers: broker.bootstrap(),
        ..storage_kafka::Settings::default()
    })?;
    log.create_topics(1, 1).await?;
    Ok(log)
}

/// Appends what campaign-service's relay would have published.
pub(crate) async fn publish(
    log: &dyn EventLog,
    count: usize,
    make: impl Fn(usize) -> anyhow::Result<ServingCampaign>,
) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let exchange = NewRecord {
        key: "default".to_owned(),
        value: Some(serde_json::to_vec(&exchange(now))?),
    };
    log.append(Topic::Exchanges, vec![exchange], now.as_millisecond())
        .await?;
    let mut records = Vec::with_capacity(BATCH);
    for number in 0..count {
        let campaign = make(number)?;
        records.push(NewRecord {
            key: campaign.campaign.id.to_string(),
            value: Some(serde_json::to_vec(&campaign)?),
        });
        if records.len() == BATCH || number + 1 == count {
            let batch = std::mem::take(&mut records);
            log.append(Topic::Campaigns, batch, now.as_millisecond()).await?;
        }
    }
    Ok(())
}

pub(crate) fn exchange(now: Timestamp) -> ServingExchange {
    ServingExchange {
        schema: domain::serving::SCHEMA,
        generation: 1,
        revision: 1,
        exchange: Exchange {
            id: ExchangeId::from("default"),
            spec: ExchangeSpec {
                name: "default".to_owned(),
                ..ExchangeSpec::default()
            },
            created_at: now,
            updated_at: now,
        },
    }
}

pub(crate) fn campaign(number: usize, now: Timestamp) -> anyhow::Result<ServingCampaign> {
    let (width, height) = SIZES[number % SIZES.len()];
    let id = format!("cmp_bench{number:08}");
    let advertiser_id = format!("adv_bench{:06}", number / 4);
    let stamps = json!({"created_at": now, "updated_at": now});
    let with_stamps = |mut value: serde_json::Value| {
        value["created_at"] = stamps["created_at"].clone();
        value["updated_at"] = stamps["updated_at"].clone();
        value
    };
    let spec = json!({
        "id": id, "advertiser_id": advertiser_id, "name": id, "status": "active",
        "flight": {"start": "2020-01-01T00:00:00Z"},
        "budget": {"currency": "USD", "daily_micros": 1_000_000_000_000_i64},
        "pacing": "asap",
        "bid": {"max_cpm_micros": 3_000_000 + (number as i64 * 7_919) % 3_000_000},
        "targeting": {"geo": {"allow": [{"country": COUNTRIES[(number / SIZES.len()) % COUNTRIES.len()]}]}},
    });
    let creative = |n: usize, specific: serde_json::Value| {
        let mut value = with_stamps(json!({
            "id": format!("crv_bench{number:08}{n}"), "campaign_id": id, "version": 1, "name": "n",
            "click_url": format!("https://brand{number}.example/"), "adomain": [format!("brand{number}.example")],
            "categories": ["IAB17"],
        }));
        for (key, part) in specific.as_object().into_iter().flatten() {
            value[key] = part.clone();
        }
        value
    };
    let creatives = json!([
        creative(
            0,
            json!({
                "format": "banner", "width": width, "height": height,
                "markup": "<a href=\"{CLICK_URL}\"><img src=\"https://media.example/a.png\"></a>",
            })
        ),
        creative(
            1,
            json!({
                "format": "video", "width": 1280, "height": 720, "duration_ms": 15_000, "mimes": ["video/mp4"],
                "protocols": [3, 7], "vast_url": "https://media.example/vast.xml",
            })
        ),
    ]);
    let campaign: domain::campaign::Campaign = serde_json::from_value(with_stamps(spec))?;
    Ok(ServingCampaign {
        schema: domain::serving::SCHEMA,
        generation: 1,
        revision: 1,
        requires: Vec::new(),
        limits: domain::period::Limits::of(&campaign.spec.budget),
        days: domain::period::days(&campaign.spec.flight, now, 8),
        creatives: serde_json::from_value(creatives)?,
        advertiser: serde_json::from_value(json!({
            "id": advertiser_id, "status": "active", "conversion_lookback_days": 30,
        }))?,
        campaign,
        traceparent: None,
    })
}
