//! `update`: how soon a campaign's change is effective while the bidder is under load, and what that costs the bids of others.
//!
//! The load is that of `bid`, first alone, then while a campaign of the 100,000 changes four times a second. Only that
//! campaign fits the questions of this benchmark: its price, or that it is paused, tells when it is effective. The clock
//! starts before the record is appended to the topic.

use crate::campaigns;
use crate::figure::Figure;
use crate::load::{self, Load};
use crate::server::{Connection, Server};
use crate::{Conditions, bid};
use anyhow::Context;
use domain::campaign::CampaignStatus;
use domain::serving::ServingCampaign;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use storage::EventLog;
use storage::event_log::{NewRecord, Topic};
use storage_sqlite::SqliteStore;

const BENCH: &str = "update";
/// No other campaign's.
const SIZE: (i64, i64) = (77, 77);
const BETWEEN_CHANGES: Duration = Duration::from_millis(250);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(30);
/// "Within a second."
const WANTED_MS: f64 = 1_000.0;

pub(crate) fn run(conditions: Conditions) -> anyhow::Result<Vec<Figure>> {
    let prepared = bid::prepare(conditions)?;
    let mut editor = Editor::open(prepared.data_dir())?;
    let bidder = Server::bidding(prepared.data_dir())?;
    let generate =
        |seconds| load::generate_over(64, &bidder, conditions.rate, seconds, Some(prepared.requests()));
    editor.wait_until_it_bids(&bidder)?;
    generate((conditions.seconds / 5).max(3))?;
    let still = generate(conditions.seconds)?;
    let (changing, effective_ms) = thread::scope(|scope| -> anyhow::Result<(Load, Vec<f64>)> {
        let load = scope.spawn(|| generate(conditions.seconds));
        let mut effective_ms = Vec::new();
        while !load.is_finished() {
            effective_ms.push(editor.change(&bidder)?);
            thread::sleep(BETWEEN_CHANGES);
        }
        let load = load.join();
        let load = load.map_err(|_panic| anyhow::anyhow!("the generator's thread panicked"))??;
        Ok((load, effective_ms))
    })?;
    eprintln!(
        "update: {} campaigns, {:.0} requests/s, {} changes, statuses {:?}",
        conditions.campaigns,
        changing.answered_per_second,
        effective_ms.len(),
        changing.statuses
    );
    let mut sorted = effective_ms;
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        sorted
            .get(((sorted.len() - 1) as f64 * share) as usize)
            .copied()
            .unwrap_or_default()
    };
    let figure = |name, unit, value, baseline| Figure::new(BENCH, name, unit, value, baseline);
    Ok(vec![
        figure("effective_p50", "ms", at(0.5), WANTED_MS),
        figure("effective_max", "ms", at(1.0), WANTED_MS),
        figure("p50_us", "us", changing.p50_us as f64, still.p50_us as f64),
        figure("p99_us", "us", changing.p99_us as f64, still.p99_us as f64),
        figure("p99_9_us", "us", changing.p99_9_us as f64, still.p99_9_us as f64),
    ])
}

/// Who changes the campaign, and asks for it.
struct Editor {
    runtime: tokio::runtime::Runtime,
    log: SqliteStore,
    campaign: ServingCampaign,
    changes: usize,
}

impl Editor {
    fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let url = format!("sqlite:{}", data_dir.join("adplatform.sqlite").display());
        let clock = Arc::new(|| Timestamp::now().as_millisecond());
        let mut editor = Self {
            log: runtime.block_on(SqliteStore::open(&url, clock))?,
            runtime,
            campaign: campaign()?,
            changes: 0,
        };
        editor.publish()?;
        Ok(editor)
    }

    fn publish(&mut self) -> anyhow::Result<()> {
        self.campaign.revision += 1;
        let record = NewRecord {
            key: self.campaign.campaign.id.to_string(),
            value: Some(serde_json::to_vec(&self.campaign)?),
        };
        let now_ms = Timestamp::now().as_millisecond();
        let append = self.log.append(Topic::Campaigns, vec![record], now_ms);
        self.runtime.block_on(append)?;
        Ok(())
    }

    /// Of four, three prices and a pause; the price after a pause is bid once there is a lease again. Milliseconds until it
    /// is effective.
    fn change(&mut self, bidder: &Server) -> anyhow::Result<f64> {
        let spec = &mut self.campaign.campaign.spec;
        self.changes += 1;
        let expected = match self.changes % 4 {
            0 => {
                spec.status = CampaignStatus::Paused;
                None
            }
            _ => {
                spec.status = CampaignStatus::Active;
                spec.bid.max_cpm_micros += 10_000;
                Some(spec.bid.max_cpm_micros)
            }
        };
        let began = Instant::now();
        self.publish()?;
        until(bidder, expected)?;
        Ok(began.elapsed().as_secs_f64() * 1_000.0)
    }

    fn wait_until_it_bids(&self, bidder: &Server) -> anyhow::Result<()> {
        until(bidder, Some(self.campaign.campaign.spec.bid.max_cpm_micros))
    }
}

/// Asks until the answer is a bid of that price, or none.
fn until(bidder: &Server, price_cpm_micros: Option<i64>) -> anyhow::Result<()> {
    let mut connection = Connection::to(bidder.addr)?;
    let request = question();
    let give_up = Instant::now() + PATIENCE;
    while price(&connection.post("/openrtb2/bid", &request)?)? != price_cpm_micros {
        anyhow::ensure!(
            Instant::now() < give_up,
            "the change is not effective after {PATIENCE:?}"
        );
        thread::sleep(BETWEEN_QUESTIONS);
    }
    Ok(())
}

fn price(answer: &[u8]) -> anyhow::Result<Option<i64>> {
    if answer.is_empty() {
        return Ok(None);
    }
    let answer: Value = serde_json::from_slice(answer)?;
    let price = answer["seatbid"][0]["bid"][0]["price"]
        .as_f64()
        .context("a bid has a price")?;
    Ok(Some((price * 1e6).round() as i64))
}

/// In a second-price auction, where the value is bid.
fn question() -> Vec<u8> {
    let request = json!({
        "id": "1", "at": 2, "cur": ["USD"], "imp": [{"id": "1", "banner": {"w": SIZE.0, "h": SIZE.1}}],
        "site": {"domain": "update.example"},
    });
    request.to_string().into_bytes()
}

fn campaign() -> anyhow::Result<ServingCampaign> {
    let mut campaign = campaigns::campaign(99_999_999, Timestamp::now())?;
    campaign.campaign.spec.targeting = Default::default();
    campaign.creatives.truncate(1);
    for creative in &mut campaign.creatives {
        (creative.spec.width, creative.spec.height) = (Some(SIZE.0), Some(SIZE.1));
    }
    Ok(campaign)
}
