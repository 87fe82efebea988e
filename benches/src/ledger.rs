//! `ledger`: what one Redis master does for the spend ledger, per second of its processor time, against a script that only
//! adds to a counter, sent by `redis-benchmark`.
//!
//! A *settlement* is the billing of a bid whose win is pending, its verdict written to the outbox; a *renewal* is one
//! campaign's lease in a heartbeat. Redis runs scripts on one core: what it does in a second of processor time is what a
//! master can do, and a machine that is busy with other things does not change it.

use crate::figure::Figure;
use anyhow::Context;
use domain::id::{AdvertiserId, BidId, BidderId, CampaignId};
use domain::period::{Day, Limits};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use storage::SpendLedger;
use storage::spend_ledger::{Billing, LeaseRequest, Reservation};
use storage_redis::RedisLedger;
use test_servers::redis::{Node, Options};
use tokio::task::JoinSet;

const CAMPAIGNS: u64 = 1_000;
const CAMPAIGNS_OF_AN_ADVERTISER: u64 = 4;
const HEARTBEATS: u64 = 100;
const SETTLEMENTS: u64 = 60_000;
/// Notices on their way at once.
const IN_FLIGHT: u64 = 64;
const HOLD_MS: i64 = 60_000;
const PRICE_NANOS: i64 = 2_000_000;
const DAY_MS: i64 = 86_400_000;
const BIDDER: &str = "bdr_bench";
const TRIVIAL: &str = "return redis.call('INCRBY', KEYS[1], ARGV[1])";

pub(crate) fn run() -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<Vec<Figure>> {
    let Some(redis) = Node::start(&Options::default()).await else {
        eprintln!("ledger needs Redis, which is not installed here");
        return Ok(Vec::new());
    };
    let baseline = trivial_scripts(&redis).await?;
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let books = Books {
        ledger: Arc::new(ledger(&redis).await?),
        day: Day {
            date: "today".to_owned(),
            start_ms: now_ms - DAY_MS / 2,
            end_ms: now_ms + DAY_MS / 2,
        },
    };
    // The first heartbeat opens the accounts.
    books.heartbeat().await?;
    let renewals = measured(&redis, "renewals", CAMPAIGNS * HEARTBEATS, async {
        for _ in 0..HEARTBEATS {
            books.heartbeat().await?;
        }
        Ok(())
    });
    let renewals = renewals.await?;
    let wins = measured(&redis, "wins", SETTLEMENTS, books.notices(Notice::Win)).await?;
    let settlements = measured(&redis, "settlements", SETTLEMENTS, books.notices(Notice::Billing)).await?;
    let figure = |name, value| Figure::new("ledger", name, "1/s", value, baseline);
    Ok(vec![
        figure("renewals_per_cpu_second", renewals),
        figure("wins_per_cpu_second", wins),
        figure("settlements_per_cpu_second", settlements),
    ])
}

/// How many of them a second of the server's processor time carries.
#[expect(clippy::cast_precision_loss, reason = "figures to be shown")]
async fn measured(
    redis: &Node,
    what: &str,
    count: u64,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<f64> {
    let (began, used) = (Instant::now(), cpu_seconds(redis).await?);
    work.await.with_context(|| what.to_owned())?;
    let used = cpu_seconds(redis).await? - used;
    eprintln!(
        "ledger: {:.0} {what}/s",
        count as f64 / began.elapsed().as_secs_f64()
    );
    Ok(count as f64 / used)
}

/// As many on their way at once as notices are.
async fn trivial_scripts(redis: &Node) -> anyhow::Result<f64> {
    let sha = command(redis, &["SCRIPT", "LOAD", TRIVIAL]).await?;
    let (port, count) = (redis.port().to_string(), (SETTLEMENTS * 5).to_string());
    let ran = async {
        let ran = Command::new("redis-benchmark")
            .args(["-q", "-p", &port, "-n", &count, "-c", "4", "-P", "16"])
            .args(["EVALSHA", &sha, "1", "{g00}:trivial", "7"])
            .output()
            .context("redis-benchmark")?;
        anyhow::ensure!(ran.status.success(), "redis-benchmark: {}", ran.status);
        Ok(())
    };
    measured(redis, "trivial scripts", SETTLEMENTS * 5, ran).await
}

/// All groups ready, as after a rebuild from nothing.
async fn ledger(redis: &Node) -> anyhow::Result<RedisLedger> {
    let ledger = RedisLedger::new(&storage_redis::Settings {
        nodes: vec![redis.url()],
        cluster: false,
        username: None,
        password: None,
        ca_file: None,
    })?;
    let bidder = BidderId::from(BIDDER);
    loop {
        let rebuilds = ledger.rebuilds(&bidder, 0).await?;
        if rebuilds.is_empty() {
            return Ok(ledger);
        }
        for rebuild in rebuilds {
            ledger.rebuilt(&rebuild, &bidder).await?;
        }
    }
}

#[derive(Clone, Copy)]
enum Notice {
    Win,
    Billing,
}

#[derive(Clone)]
struct Books {
    ledger: Arc<RedisLedger>,
    day: Day,
}

impl Books {
    /// Of one bidder, all groups at once.
    async fn heartbeat(&self) -> anyhow::Result<()> {
        let mut groups: BTreeMap<u32, Vec<LeaseRequest>> = BTreeMap::new();
        for number in 0..CAMPAIGNS {
            let request = self.lease_request(number);
            let group = self.ledger.group_of(&request.advertiser_id);
            groups.entry(group).or_default().push(request);
        }
        let mut renewing = JoinSet::new();
        for (group, requests) in groups {
            let ledger = self.ledger.clone();
            renewing.spawn(async move {
                ledger
                    .renew(group, &BidderId::from(BIDDER), HOLD_MS, &requests)
                    .await
            });
        }
        while let Some(renewed) = renewing.join_next().await {
            renewed??;
        }
        Ok(())
    }

    fn lease_request(&self, number: u64) -> LeaseRequest {
        LeaseRequest {
            advertiser_id: advertiser(number),
            campaign_id: campaign(number),
            generation: 1,
            revision: 1,
            day: self.day.clone(),
            limits: Limits {
                daily_nanos: Some(i64::MAX / 4_096),
                total_nanos: None,
            },
            wanted_nanos: 1_000 * PRICE_NANOS,
            bid_nanos: PRICE_NANOS,
            opportunities: 50,
            bids: 10,
            renewal: 0,
        }
    }

    async fn notices(&self, notice: Notice) -> anyhow::Result<()> {
        let mut hands = JoinSet::new();
        for hand in 0..IN_FLIGHT {
            let books = self.clone();
            hands.spawn(async move {
                for bid in (hand..SETTLEMENTS).step_by(IN_FLIGHT as usize) {
                    books.notice(notice, bid).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = hands.join_next().await {
            done??;
        }
        Ok(())
    }

    async fn notice(&self, notice: Notice, bid: u64) -> anyhow::Result<()> {
        let reservation = Reservation {
            bid_id: BidId(u128::from(bid) << 64 | u128::from(bid.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
            advertiser_id: advertiser(bid % CAMPAIGNS),
            campaign_id: campaign(bid % CAMPAIGNS),
            day: self.day.clone(),
            bidder_id: BidderId::from(BIDDER),
            reserved_nanos: PRICE_NANOS,
            billing_window_ms: DAY_MS,
        };
        match notice {
            Notice::Win => _ = self.ledger.win(&reservation).await?,
            Notice::Billing => {
                let billing = Billing {
                    charge_nanos: reservation.reserved_nanos,
                    reservation,
                    // About what a spend event weighs.
                    context: "x".repeat(600),
                };
                _ = self.ledger.bill(&billing).await?;
            }
        }
        Ok(())
    }
}

fn advertiser(campaign: u64) -> AdvertiserId {
    AdvertiserId(format!("adv_bench{:06}", campaign / CAMPAIGNS_OF_AN_ADVERTISER))
}

fn campaign(number: u64) -> CampaignId {
    CampaignId(format!("cmp_bench{number:08}"))
}

async fn command(redis: &Node, words: &[&str]) -> anyhow::Result<String> {
    redis
        .command(words)
        .await
        .map_err(|error| anyhow::anyhow!("{words:?}: {error}"))
}

async fn cpu_seconds(redis: &Node) -> anyhow::Result<f64> {
    let info = command(redis, &["INFO", "cpu"]).await?;
    let seconds = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<f64>().ok()
    };
    let used = seconds("used_cpu_user:").zip(seconds("used_cpu_sys:"));
    used.map(|(user, system)| user + system)
        .context("INFO cpu tells no times")
}
