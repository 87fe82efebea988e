//! What servers do to the ledger: they restart, fail over, move a group, fill up, lose their replicas.

use crate::harness::audit_node;
use crate::trade::{
    DEADLINE, bid_ref, bidder, bill, busy, claim, comes_back, day, granted_in_the_end, is_unavailable,
    ledger, master, renew, spent,
};
use domain::id::CampaignId;
use std::time::{Duration, Instant};
use storage::spend_ledger::{BillVerdict, Fact};
use storage::{SpendLedger, StorageError};
use storage_redis::RedisLedger;
use test_servers::redis::{Cluster, Node, Options};

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
    assert!(is_unavailable(&gone), "{gone:?}");
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

/// What was acknowledged after the file was written is in the topics alone.
#[tokio::test]
async fn a_server_started_on_an_old_file_is_made_good_by_what_came_later() {
    let Some(mut node) = Node::start(&Options::default()).await else {
        return;
    };
    let ledger = ledger(vec![node.addr()]);
    busy(&ledger).await;
    node.command(&["SAVE"]).await.unwrap();
    bill(&ledger, 2, 10).await.unwrap();
    let later = ledger.settled(&bid_ref(2)).await.unwrap().unwrap();
    node.restart().await;
    let rebuild = claim(&ledger).await;
    let complete_until_ms = rebuild.complete_until_ms.expect("the file was there");
    assert!(
        complete_until_ms < later.settled_at_ms,
        "it is read again from before"
    );
    assert!(
        ledger.settled(&bid_ref(2)).await.unwrap().is_none(),
        "the file is older"
    );
    let fact = Fact::Settled {
        bid: bid_ref(2),
        campaign_id: CampaignId::from("c"),
        day: day(),
        charge_nanos: later.charge_nanos,
        over_delivery_nanos: 0,
        settled_at_ms: later.settled_at_ms,
        counted: false,
    };
    ledger.restore(&rebuild, &bidder(), &[fact]).await.unwrap();
    ledger.rebuilt(&rebuild, &bidder()).await.unwrap();
    assert_eq!(bill(&ledger, 2, 10).await.unwrap(), BillVerdict::Repeated);
    assert_eq!(spent(&ledger).await, 50);
    assert_eq!(granted_in_the_end(&ledger, 2_000).await.leased_nanos, 950);
    audit_node(&node.addr()).await;
}

#[tokio::test]
async fn a_promoted_replica_is_rebuilt_first() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let ledger = ledger(cluster.addrs());
    busy(&ledger).await;
    assert!(ledger.is_safe(&bid_ref(1)).await.unwrap(), "it is on the replica");
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
    for addr in cluster.addrs() {
        audit_node(&addr).await;
    }
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
    assert!(is_unavailable(&refused), "{refused:?}");
    assert!(!ledger.is_safe(&bid_ref(1)).await.unwrap_or(false));
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
async fn a_full_memory_refuses_whole_and_still_lets_go() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let ledger = ledger(vec![node.addr()]);
    refuses_whole_and_lets_go(&ledger, &[&node]).await;
}

#[tokio::test]
async fn so_does_a_cluster_whose_memory_is_full_everywhere() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let ledger = ledger(cluster.addrs());
    refuses_whole_and_lets_go(&ledger, &cluster.nodes().iter().collect::<Vec<_>>()).await;
}

async fn refuses_whole_and_lets_go(ledger: &RedisLedger, nodes: &[&Node]) {
    busy(ledger).await;
    let limit = async |bytes: &str| {
        for node in nodes {
            node.command(&["CONFIG", "SET", "maxmemory", bytes])
                .await
                .unwrap();
        }
    };
    limit("1").await;
    for refused in [renew(ledger, 700).await.err(), bill(ledger, 2, 10).await.err()] {
        assert!(
            matches!(refused, Some(StorageError::Unavailable(_))),
            "{refused:?}"
        );
    }
    for node in nodes {
        audit_node(&node.addr()).await;
    }
    ledger.appended(&[bid_ref(1)]).await.unwrap();
    assert_eq!(ledger.outbox(i64::MAX, 10).await.unwrap(), []);
    limit("0").await;
    bill(ledger, 2, 10).await.unwrap();
    assert_eq!(spent(ledger).await, 50);
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
                ledger.appended(&[bid_ref(bid)]).await.unwrap();
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
