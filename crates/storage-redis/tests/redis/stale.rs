//! What comes too late to count: from a master that hung, was replaced and wakes, or to a process that hung itself.

use crate::harness::audit_node;
use crate::trade::{
    DEADLINE, HOLD_MS, bid_ref, bidder, bill, busy, claim, granted_in_the_end, is_unavailable, ledger,
    master, renew, spent,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::SpendLedger;
use storage::spend_ledger::BillVerdict;
use storage_redis::RedisLedger;
use test_servers::redis::{Cluster, Node, Options};

/// Lets every task of this test go on until it waits for a server: what it asks is in the server's socket then.
async fn everything_is_sent() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// All that is charged, whoever acknowledged it: the bids 1 to 4, each once.
async fn holds_every_charge(ledger: &RedisLedger) {
    assert_eq!(spent(ledger).await, 70);
    for (bid, nanos) in [(1, 40), (2, 10), (3, 10), (4, 10)] {
        let repeated = bill(ledger, bid, nanos).await.unwrap();
        assert_eq!(repeated, BillVerdict::Repeated, "bid {bid}");
    }
    assert_eq!(spent(ledger).await, 70);
}

/// Until it hears of its replacement it takes itself for the master, and what lies in its sockets is what it does first.
#[tokio::test]
async fn a_master_that_hung_and_was_replaced_settles_and_grants_nothing_when_it_wakes() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let (awake, asleep) = (ledger(cluster.addrs()), Arc::new(ledger(cluster.addrs())));
    busy(&awake).await;
    // Both its connections are made, and then it does nothing for a while, as a bidder that hangs with the master.
    bill(&asleep, 2, 10).await.unwrap();
    assert!(asleep.is_safe(&bid_ref(2)).await.unwrap(), "it is on the replica");
    let (_, replaced) = master(&cluster, &awake).await;

    cluster.nodes()[replaced].pause();
    let asked = Instant::now();
    let (renewed, billed) = tokio::join!(renew(&awake, 600), bill(&awake, 3, 10));
    assert!(is_unavailable(&renewed), "{renewed:?}");
    assert!(is_unavailable(&billed), "{billed:?}");
    assert!(
        asked.elapsed() < Duration::from_millis(1_500),
        "{:?}",
        asked.elapsed()
    );
    let rebuild = claim(&awake).await;
    awake.rebuilt(&rebuild, &bidder()).await.unwrap();
    assert!(matches!(
        bill(&awake, 3, 10).await.unwrap(),
        BillVerdict::Charged { .. }
    ));
    assert_eq!(granted_in_the_end(&awake, 100).await.lifetime.spent_nanos, 60);

    let (for_bill, for_renewal) = (asleep.clone(), asleep.clone());
    let billed = tokio::spawn(async move { bill(&for_bill, 4, 10).await });
    let renewed = tokio::spawn(async move { renew(&for_renewal, 500).await });
    everything_is_sent().await;
    cluster.nodes()[replaced].resume();
    if let Err(error) = billed.await.unwrap() {
        // Not acknowledged: to be repeated.
        println!("{error}");
        bill(&awake, 4, 10).await.unwrap();
    }
    match renewed.await.unwrap() {
        Ok(grant) => assert_eq!(grant.sequence >> 32, rebuild.epoch, "by the books of before"),
        Err(error) => println!("{error}"),
    }
    holds_every_charge(&awake).await;

    // It follows the one that replaced it, and holds the same when it is master again.
    cluster.wait_until_ok().await;
    let later = ledger(cluster.addrs());
    safe_in_the_end(&later, 4).await;
    let (_, replacement) = master(&cluster, &later).await;
    assert_ne!(replacement, replaced);
    audit_node(&cluster.nodes()[replacement].addr()).await;
    cluster.node(replacement).kill();
    let rebuild = claim(&later).await;
    later.rebuilt(&rebuild, &bidder()).await.unwrap();
    assert_eq!(master(&cluster, &later).await.1, replaced);
    holds_every_charge(&later).await;
}

/// A replica that has just come has to read all of its master first.
async fn safe_in_the_end(ledger: &RedisLedger, bid: u128) {
    let deadline = Instant::now() + DEADLINE;
    while !ledger.is_safe(&bid_ref(bid)).await.unwrap_or(false) {
        assert!(Instant::now() < deadline, "no replica has it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How many scripts it has run.
async fn scripts_run(node: &Node) -> u64 {
    let stats = node.command(&["INFO", "commandstats"]).await.unwrap();
    let calls = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    let (calls, _) = calls.unwrap().split_once(',').unwrap();
    calls.parse().unwrap()
}

/// Until the ledger charges, rebuilt as often as it takes.
async fn charged_in_the_end(ledger: &RedisLedger, bid: u128) {
    let deadline = Instant::now() + DEADLINE;
    while let Err(error) = bill(ledger, bid, 10).await {
        assert!(Instant::now() < deadline, "{error}");
        for rebuild in ledger.rebuilds(&bidder(), HOLD_MS).await.unwrap_or_default() {
            // Another failover may come first.
            let _ = ledger.rebuilt(&rebuild, &bidder()).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What is asked while nobody answers would be in the socket of whoever wakes first.
#[tokio::test]
async fn while_nobody_says_whose_a_group_is_nothing_is_sent() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let (other, ledger) = (ledger(cluster.addrs()), ledger(cluster.addrs()));
    busy(&ledger).await;
    assert!(ledger.is_safe(&bid_ref(1)).await.unwrap(), "it is on the replica");
    let (_, replaced) = master(&cluster, &ledger).await;
    let before = scripts_run(&cluster.nodes()[replaced]).await;
    cluster.nodes()[replaced].pause();
    // By the time that another has rebuilt the group, this one has not heard from its master for long.
    let rebuild = claim(&other).await;
    other.rebuilt(&rebuild, &bidder()).await.unwrap();
    for (index, node) in cluster.nodes().iter().enumerate() {
        if index != replaced {
            node.pause();
        }
    }
    for _ in 0..2 {
        let billed = bill(&ledger, 2, 10).await;
        assert!(is_unavailable(&billed), "{billed:?}");
    }
    cluster.nodes()[replaced].resume();
    assert_eq!(scripts_run(&cluster.nodes()[replaced]).await, before);

    for (index, node) in cluster.nodes().iter().enumerate() {
        if index != replaced {
            node.resume();
        }
    }
    cluster.wait_until_ok().await;
    charged_in_the_end(&ledger, 2).await;
    assert_eq!(spent(&ledger).await, 50);
}

/// The answer was there in time; who it was for was not, and much may have happened since.
#[tokio::test]
async fn an_answer_that_is_read_too_late_does_not_count() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let ledger = Arc::new(ledger(vec![node.addr()]));
    busy(&ledger).await;
    node.pause();
    let asking = ledger.clone();
    let billed = tokio::spawn(async move { bill(&asking, 2, 10).await });
    everything_is_sent().await;
    node.resume();
    // All of this process hangs.
    std::thread::sleep(Duration::from_millis(1_200));
    let billed = billed.await.unwrap();
    assert!(is_unavailable(&billed), "{billed:?}");
    assert_eq!(bill(&ledger, 2, 10).await.unwrap(), BillVerdict::Repeated);
}
