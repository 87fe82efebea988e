//! What servers do to the ledger: they restart, fail over, move a group, fill up, lose their replicas.

use crate::harness::{audit_node, make_ready, settings};
use domain::id::{AdvertiserId, BidId, BidderId, CampaignId};
use domain::period::{Day, Limits};
use std::time::{Duration, Instant};
use storage::spend_ledger::{
    BalancesOf, BidRef, BillVerdict, Billing, Grant, LeaseRequest, Rebuild, Reservation,
};
use storage::{SpendLedger, StorageError};
use storage_redis::RedisLedger;
use test_servers::redis::{Cluster, Node, Options};

const DEADLINE: Duration = Duration::from_secs(60);
const HOLD_MS: i64 = 500;

fn advertiser() -> AdvertiserId {
    AdvertiserId::from("adv_laws")
}

fn bidder() -> BidderId {
    BidderId::from("b1")
}

fn ledger(nodes: Vec<String>) -> RedisLedger {
    RedisLedger::new(&settings(nodes)).unwrap()
}

fn day() -> Day {
    Day {
        date: "2027-01-15".to_owned(),
        start_ms: 1_799_971_200_000,
        end_ms: 1_800_057_600_000,
    }
}

async fn renew(ledger: &RedisLedger, wanted_nanos: i64) -> Result<Grant, StorageError> {
    let request = LeaseRequest {
        advertiser_id: advertiser(),
        campaign_id: CampaignId::from("c"),
        generation: 1,
        revision: 1,
        day: day(),
        limits: Limits {
            daily_nanos: Some(1_000),
            total_nanos: Some(1_000),
        },
        wanted_nanos,
        bid_nanos: 10,
        opportunities: 0,
        bids: 0,
    };
    let group = ledger.group_of(&advertiser());
    let grants = ledger.renew(group, &bidder(), HOLD_MS, &[request]).await?;
    Ok(grants.into_iter().next().unwrap())
}

async fn bill(ledger: &RedisLedger, bid: u128, nanos: i64) -> Result<BillVerdict, StorageError> {
    let reservation = Reservation {
        bid_id: BidId(bid),
        advertiser_id: advertiser(),
        campaign_id: CampaignId::from("c"),
        day: day(),
        bidder_id: bidder(),
        reserved_nanos: nanos,
        billing_window_ms: 60_000,
    };
    let billing = Billing {
        reservation,
        charge_nanos: nanos,
        context: "{}".to_owned(),
    };
    ledger.bill(&billing).await
}

/// Spent by the lifetime.
async fn spent(ledger: &RedisLedger) -> i64 {
    let of = [(advertiser(), CampaignId::from("c"))];
    let balances = ledger.balances(BalancesOf::Campaigns(&of)).await.unwrap();
    balances[0].account.spent_nanos
}

/// Until the ledger says that the laws' group must be rebuilt, and lets this bidder do it.
async fn claim(ledger: &RedisLedger) -> Rebuild {
    let group = ledger.group_of(&advertiser());
    let deadline = Instant::now() + DEADLINE;
    loop {
        let found = ledger.rebuilds(&bidder(), HOLD_MS).await.unwrap_or_default();
        if let Some(rebuild) = found.into_iter().find(|rebuild| rebuild.group == group) {
            return rebuild;
        }
        assert!(Instant::now() < deadline, "the group is never to be rebuilt");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The books are as they were: nothing is granted or settled until they have been rebuilt, and then it goes on.
async fn comes_back(ledger: &RedisLedger) {
    let rebuild = claim(ledger).await;
    assert!(rebuild.complete_until_ms.is_some(), "{rebuild:?}");
    let refused = bill(ledger, 1, 40).await;
    assert!(
        matches!(refused, Err(StorageError::Unavailable(_))),
        "{refused:?}"
    );
    ledger.rebuilt(&rebuild, &bidder()).await.unwrap();
    assert_eq!(bill(ledger, 1, 40).await.unwrap(), BillVerdict::Repeated);
    assert_eq!(spent(ledger).await, 40);
    let deadline = Instant::now() + DEADLINE;
    // A promoted replica may be waiting for its own replica.
    let grant = loop {
        match renew(ledger, 100).await {
            Ok(grant) => break grant,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((grant.leased_nanos, grant.lifetime.spent_nanos), (100, 40));
}

/// A lease of 500, and 40 spent.
async fn busy(ledger: &RedisLedger) {
    make_ready(ledger).await;
    assert_eq!(renew(ledger, 500).await.unwrap().leased_nanos, 500);
    bill(ledger, 1, 40).await.unwrap();
}

async fn master(cluster: &Cluster, ledger: &RedisLedger) -> (u16, usize) {
    let slot = cluster
        .slot_of(&format!("{{g{:02}}}:head", ledger.group_of(&advertiser())))
        .await;
    (slot, cluster.master_of(slot).await)
}

#[tokio::test]
async fn a_server_killed_and_started_on_its_file_is_rebuilt_first() {
    let options = Options {
        append_only: true,
        ..Options::default()
    }
    .with("appendfsync", "always");
    let Some(mut node) = Node::start(&options).await else {
        return;
    };
    let ledger = ledger(vec![node.addr()]);
    busy(&ledger).await;
    node.kill();
    let gone = renew(&ledger, 500).await;
    assert!(matches!(gone, Err(StorageError::Unavailable(_))), "{gone:?}");
    node.restart().await;
    comes_back(&ledger).await;
    audit_node(&node.addr()).await;
}

#[tokio::test]
async fn a_server_that_lost_everything_begins_from_nothing() {
    let Some(mut node) = Node::start(&Options::default()).await else {
        return;
    };
    let ledger = ledger(vec![node.addr()]);
    busy(&ledger).await;
    node.restart().await;
    let rebuild = claim(&ledger).await;
    assert_eq!(rebuild.complete_until_ms, None);
}

#[tokio::test]
async fn a_promoted_replica_is_rebuilt_first() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let ledger = ledger(cluster.addrs());
    busy(&ledger).await;
    let of = BidRef {
        advertiser_id: advertiser(),
        bid_id: BidId(1),
    };
    assert!(ledger.is_safe(&of).await.unwrap(), "it is on the replica");
    let (_, master) = master(&cluster, &ledger).await;
    cluster.node(master).kill();
    comes_back(&ledger).await;
    assert_eq!(
        ledger.outbox(i64::MAX, 10).await.unwrap().len(),
        1,
        "the verdict outlived its machine"
    );
}

#[tokio::test]
async fn all_nodes_killed_at_once_come_back_on_their_files() {
    let Some(mut cluster) = Cluster::start_with(&Options::default().with("appendfsync", "always")).await
    else {
        return;
    };
    let ledger = ledger(cluster.addrs());
    busy(&ledger).await;
    cluster.kill_all();
    assert!(bill(&ledger, 2, 10).await.is_err());
    cluster.restart_all().await;
    comes_back(&ledger).await;
}

#[tokio::test]
async fn nothing_is_granted_or_safe_that_no_replica_has() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let ledger = ledger(cluster.addrs());
    busy(&ledger).await;
    let (_, master) = master(&cluster, &ledger).await;
    let replica = cluster.replicas_of(master).await[0];
    cluster.nodes()[replica].pause();
    let begun = Instant::now();
    let refused = renew(&ledger, 600).await;
    assert!(
        matches!(refused, Err(StorageError::Unavailable(_))),
        "{refused:?}"
    );
    let of = BidRef {
        advertiser_id: advertiser(),
        bid_id: BidId(1),
    };
    assert!(!ledger.is_safe(&of).await.unwrap_or(false));
    // Notices do not wait for it.
    bill(&ledger, 2, 10).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    cluster.nodes()[replica].resume();
    let deadline = Instant::now() + DEADLINE;
    while let Err(error) = renew(&ledger, 600).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_group_that_moves_is_followed_and_rebuilt() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let ledger = ledger(cluster.addrs());
    busy(&ledger).await;
    let (slot, from) = master(&cluster, &ledger).await;
    let to = cluster.master_of(if slot < 8_192 { 16_383 } else { 0 }).await;
    let (source, target) = (&cluster.nodes()[from], &cluster.nodes()[to]);
    let source_id = source.command(&["CLUSTER", "MYID"]).await.unwrap();
    let target_id = target.command(&["CLUSTER", "MYID"]).await.unwrap();
    let slot = slot.to_string();
    target
        .command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id])
        .await
        .unwrap();
    source
        .command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id])
        .await
        .unwrap();
    let keys = source
        .command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"])
        .await
        .unwrap();
    for (moved, key) in keys.lines().enumerate() {
        let port = target.port().to_string();
        source
            .command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"])
            .await
            .unwrap();
        // Half here, half there: refused, and nothing half done.
        let halfway = bill(&ledger, 100 + u128::try_from(moved).unwrap(), 0).await;
        assert!(
            matches!(halfway, Err(StorageError::Unavailable(_))),
            "{halfway:?}"
        );
    }
    for node in [target, source] {
        node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id])
            .await
            .unwrap();
    }
    comes_back(&ledger).await;
    audit_node(&target.addr()).await;
}

#[tokio::test]
async fn a_full_memory_refuses_whole_and_still_lets_go() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let ledger = ledger(vec![node.addr()]);
    busy(&ledger).await;
    node.command(&["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    for refused in [renew(&ledger, 700).await.err(), bill(&ledger, 2, 10).await.err()] {
        assert!(
            matches!(refused, Some(StorageError::Unavailable(_))),
            "{refused:?}"
        );
    }
    audit_node(&node.addr()).await;
    let of = BidRef {
        advertiser_id: advertiser(),
        bid_id: BidId(1),
    };
    ledger.appended(&[of]).await.unwrap();
    assert_eq!(ledger.outbox(i64::MAX, 10).await.unwrap(), []);
    node.command(&["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
    bill(&ledger, 2, 10).await.unwrap();
    assert_eq!(spent(&ledger).await, 50);
}

/// Prints what a million remembered bids take, and how many billings a second 64 callers reach.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settled_bid_takes_few_bytes() {
    const BIDS: u128 = 40_000;
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let ledger = std::sync::Arc::new(ledger(vec![node.addr()]));
    busy(&ledger).await;
    let used = async || -> u64 {
        let info = node.command(&["INFO", "memory"]).await.unwrap();
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"))
            .unwrap();
        line.trim().parse().unwrap()
    };
    let before = used().await;
    let begun = Instant::now();
    let callers = (0..64).map(|caller| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let mut bid = 1_000 + caller;
            while bid < 1_000 + BIDS {
                bill(&ledger, bid, 0).await.unwrap();
                let of = BidRef {
                    advertiser_id: advertiser(),
                    bid_id: BidId(bid),
                };
                ledger.appended(&[of]).await.unwrap();
                bid += 64;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let per_second = BIDS as f64 / begun.elapsed().as_secs_f64();
    let bytes = (used().await - before) / u64::try_from(BIDS).unwrap();
    println!("{bytes} bytes a settled bid, {per_second:.0} bills and removals a second with 64 callers");
    assert!(bytes < 100, "{bytes} bytes a settled bid");
}
