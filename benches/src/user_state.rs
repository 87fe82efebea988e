//! `user-state`: what reading the user's state from Redis adds to a bid's latency, at a constant rate, open loop.
//!
//! The same bidder with the same campaigns, once without frequency caps, so that nobody's state is asked for, and once with a
//! cap on each of them, so that it is asked for on every request that names a user. In turns, and of each
//! the quietest counts: what else a machine does only adds.

use crate::figure::Figure;
use crate::load::Load;
use crate::server::Server;
use crate::{Conditions, campaigns, load};
use domain::campaign::{CapScope, CapWindow, FrequencyCap, Unidentified};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use storage::UserStates;
use storage::user_states::CounterKey;
use storage_redis::RedisUsers;
use test_servers::redis::{Node, Options};

const TURNS: usize = 5;
/// Of those that the generator makes up the ones it takes most often, under both of their names.
const PEOPLE: u32 = 5_000;
const COUNTERS_OF_A_USER: u32 = 8;
/// Never reached: the answers stay the same, and only the read is measured.
const IMPRESSIONS: u32 = 1_000_000;

/// What is measured is the read, which does not depend on them.
const CAMPAIGNS: usize = 1_000;

pub(crate) fn run(conditions: Conditions) -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Some(redis) = runtime.block_on(Node::start(&Options::default())) else {
        eprintln!("user-state needs Redis, which is not installed here");
        return Ok(Vec::new());
    };
    runtime.block_on(know_users(&redis.url()))?;
    let (plain, capped) = (tempfile::tempdir()?, tempfile::tempdir()?);
    campaigns::store(plain.path(), CAMPAIGNS)?;
    campaigns::store_with(capped.path(), CAMPAIGNS, |serving| {
        serving.campaign.spec.frequency_caps.push(FrequencyCap {
            impressions: IMPRESSIONS,
            window: CapWindow::Day,
            scope: CapScope::Campaign,
            unidentified: Unidentified::Bid,
        });
    })?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        without.push(under_load(plain.path(), &redis.url(), conditions)?);
        with.push(under_load(capped.path(), &redis.url(), conditions)?);
    }
    let latency = |name, of: fn(&Load) -> u64| {
        let (value, baseline) = (lowest(&with, of), lowest(&without, of));
        Figure::new("user-state", name, "us", value, baseline)
    };
    let p50 = latency("p50_us", |load| load.p50_us);
    let added = Figure::new(
        "user-state",
        "added_p50_us",
        "us",
        p50.value - p50.baseline,
        p50.baseline,
    );
    Ok(vec![p50, latency("p99_us", |load| load.p99_us), added])
}

fn under_load(data_dir: &Path, redis: &str, conditions: Conditions) -> anyhow::Result<Load> {
    let server = Server::bidding_with(data_dir, &[("REDIS_USERS_URL", redis)])?;
    let load = load::run(&server, conditions)?.load;
    eprintln!(
        "user-state: {:.0} requests/s, p50 {} us, statuses {:?}",
        load.answered_per_second, load.p50_us, load.statuses
    );
    Ok(load)
}

#[expect(clippy::cast_precision_loss, reason = "figures to be shown")]
fn lowest(loads: &[Load], of: fn(&Load) -> u64) -> f64 {
    loads.iter().map(of).min().unwrap_or_default() as f64
}

/// Counters as impressions of some campaigns leave them behind.
async fn know_users(redis: &str) -> anyhow::Result<()> {
    let users = RedisUsers::new(&storage_redis::Settings {
        nodes: vec![redis.to_owned()],
        cluster: false,
        username: None,
        password: None,
        ca_file: None,
    })?;
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    for person in 0..PEOPLE {
        let counters: Vec<CounterKey> = (0..COUNTERS_OF_A_USER)
            .map(|number| CounterKey {
                scope_id: format!("cmp_bench{:08}", (person + number) % 1_000),
                window_ms: CapWindow::Day.length_ms(),
            })
            .collect();
        let names = [
            format!("ifa:00000000-0000-4000-8000-{person:012x}"),
            format!("id:default:u{person}"),
        ];
        for user in names {
            users
                .count(&format!("seen:{user}"), &user, &counters, now_ms)
                .await?;
        }
    }
    Ok(())
}
