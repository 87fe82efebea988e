//! Several processes on one file, and processes that are killed.
//!
//! The other processes are this test binary again: a test that finds its task in the environment does it.

#![expect(clippy::unwrap_used, reason = "test code, its helper functions included")]

use domain::id::{AdvertiserId, BidId, BidderId, CampaignId};
use domain::period::{Day, Limits};
use sqlx::{Connection, SqliteConnection};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use storage::event_log::{NewRecord, Topic};
use storage::spend_ledger::{BalancesOf, BidRef, Billing, LeaseRequest, Reservation};
use storage::{CampaignStore, EventLog, SpendLedger};
use storage_sqlite::SqliteStore;

const NOW_MS: i64 = 1_800_000_000_000;
const ADVERTISER: &str = "adv";
const TASK: &str = "STORAGE_SQLITE_TEST_TASK";
const FILE: &str = "STORAGE_SQLITE_TEST_FILE";

async fn open(url: &str) -> SqliteStore {
    SqliteStore::open(url, Arc::new(|| NOW_MS)).await.unwrap()
}

fn day() -> Day {
    Day {
        date: "2027-01-15".to_owned(),
        start_ms: NOW_MS,
        end_ms: NOW_MS + 86_400_000,
    }
}

/// Tells the ledger of a campaign without limits.
async fn without_limits(store: &SqliteStore) {
    let request = LeaseRequest {
        advertiser_id: AdvertiserId::from(ADVERTISER),
        campaign_id: CampaignId::from("c"),
        generation: 1,
        revision: 1,
        day: day(),
        limits: Limits::default(),
        wanted_nanos: 0,
        bid_nanos: 1,
        opportunities: 0,
        bids: 0,
        renewal: 0,
    };
    store
        .renew(0, &BidderId::from("b"), 1_000, &[request])
        .await
        .unwrap();
}

/// Appends record and bills bid number `n` of a process.
async fn append_and_bill(store: &SqliteStore, process: u64, n: u64) {
    let record = NewRecord {
        key: format!("{process}:{n}"),
        value: Some(b"{}".to_vec()),
    };
    let billing = Billing {
        reservation: Reservation {
            bid_id: BidId(u128::from(process) << 64 | u128::from(n)),
            advertiser_id: AdvertiserId::from(ADVERTISER),
            campaign_id: CampaignId::from("c"),
            day: day(),
            bidder_id: BidderId::from("b"),
            reserved_nanos: 7,
            billing_window_ms: 1_000,
        },
        charge_nanos: 7,
        context: "{}".to_owned(),
    };
    store.append(Topic::Spend, vec![record], NOW_MS).await.unwrap();
    store.bill(&billing).await.unwrap();
}

fn child(task: &str, url: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "task_of_another_process", "--nocapture"])
        .env(TASK, task)
        .env(FILE, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Does nothing by itself: the other tests start it in processes of their own.
#[tokio::test]
async fn task_of_another_process() {
    let (Ok(task), Ok(url)) = (std::env::var(TASK), std::env::var(FILE)) else {
        return;
    };
    let process = u64::from(std::process::id());
    let store = open(&url).await;
    // A number is how much to do; otherwise until killed.
    let rounds: u64 = task.parse().unwrap_or(u64::MAX);
    for n in 0..rounds {
        append_and_bill(&store, process, n).await;
        println!("acknowledged {process}:{n}");
    }
}

async fn acknowledged_keys(store: &SqliteStore) -> HashSet<String> {
    let records = storage::contract::event_log::read_all(store, Topic::Spend).await;
    records.into_iter().map(|record| record.key).collect()
}

async fn spent_and_settled(store: &SqliteStore) -> (i64, i64) {
    let campaign = [(AdvertiserId::from(ADVERTISER), CampaignId::from("c"))];
    let balances = store.balances(BalancesOf::Campaigns(&campaign)).await.unwrap();
    (balances[0].account.spent_nanos, balances[0].settled_bids)
}

async fn assert_sound(path: &std::path::Path) {
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(verdict, "ok");
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let url = format!("sqlite:{}", path.display());
    without_limits(&open(&url).await).await;
    let mut acknowledged = Vec::new();
    for round in 1..=3 {
        let mut writer = child("until killed", &url);
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut take =
            |line: String| acknowledged.extend(line.strip_prefix("acknowledged ").map(str::to_owned));
        for _ in 0..40 * round {
            take(lines.next().unwrap().unwrap());
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        lines.map_while(Result::ok).for_each(take);
    }
    assert!(acknowledged.len() > 200);
    let store = open(&url).await;
    let kept = acknowledged_keys(&store).await;
    let lost: Vec<&String> = acknowledged.iter().filter(|key| !kept.contains(*key)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    for key in &acknowledged {
        let (process, n) = key.split_once(':').unwrap();
        let bid = BidRef {
            advertiser_id: AdvertiserId::from(ADVERTISER),
            bid_id: BidId(u128::from(process.parse::<u64>().unwrap()) << 64 | n.parse::<u128>().unwrap()),
        };
        assert!(store.settled(&bid).await.unwrap().is_some(), "{key}");
    }
    let (spent, settled) = spent_and_settled(&store).await;
    assert_eq!(spent, 7 * settled);
    assert_eq!(
        store.outbox(NOW_MS, u32::MAX).await.unwrap().len(),
        usize::try_from(settled).unwrap()
    );
    assert_sound(&path).await;
}

#[tokio::test]
async fn several_processes_write_one_file_at_once_and_nothing_is_lost_or_doubled() {
    const PROCESSES: i64 = 4;
    const EACH: i64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let url = format!("sqlite:{}", path.display());
    without_limits(&open(&url).await).await;
    let children: Vec<Child> = (0..PROCESSES).map(|_| child(&EACH.to_string(), &url)).collect();
    for mut one in children {
        let mut output = String::new();
        one.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(one.wait().unwrap().success(), "{output}");
    }
    let store = open(&url).await;
    let count = PROCESSES * EACH;
    assert_eq!(
        acknowledged_keys(&store).await.len(),
        usize::try_from(count).unwrap()
    );
    assert_eq!(store.end_offset(Topic::Spend, 0).await.unwrap(), count);
    assert_eq!(spent_and_settled(&store).await, (7 * count, count));
    assert_sound(&path).await;
}

#[tokio::test]
async fn processes_that_make_the_file_at_once_agree_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/store.db");
    let url = format!("sqlite:{}", path.display());
    let children: Vec<Child> = (0..6).map(|_| child("1", &url)).collect();
    for mut one in children {
        let mut output = String::new();
        one.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(one.wait().unwrap().success(), "{output}");
    }
    let store = open(&url).await;
    assert_eq!(acknowledged_keys(&store).await.len(), 6);
    assert_eq!(store.outgoing_backlog().await.unwrap().0, 1);
    assert_sound(&path).await;
}
