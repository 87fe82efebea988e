//! What becomes of callers while servers restart, hang, fill up and fail over.

use crate::{NOW_MS, UNTIL_MS, bounded, daily, on_cluster, read_again, users_at};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use storage::{StorageError, UserStates};
use test_servers::proxy::{Fault, Proxy};
use test_servers::redis::{Cluster, Node, Options};
use tokio::time::timeout;

/// As a bid does.
const BID_PATIENCE: Duration = Duration::from_millis(10);

fn durable() -> Options {
    Options {
        append_only: true,
        ..Options::default()
    }
    .with("appendfsync", "always")
}

async fn one_impression(users: &dyn UserStates) {
    users.count("e", "u", &[daily("c")], NOW_MS).await.unwrap();
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let Some(mut node) = Node::start(&Options::default()).await else {
        return;
    };
    node.kill();
    let users = users_at(node.addr());
    let refused = bounded(users.read("u", NOW_MS)).await.unwrap_err();
    assert!(matches!(refused, StorageError::Unavailable(_)), "{refused}");
    node.restart().await;
    assert_eq!(read_again(&*users, "u").await.counters, []);
}

#[tokio::test]
async fn a_server_that_restarts_under_reads_is_found_again() {
    let Some(mut node) = Node::start(&durable()).await else {
        return;
    };
    let users = users_at(node.addr());
    one_impression(&*users).await;
    let ended = Arc::new(AtomicBool::new(false));
    let (answered, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (users, ended) = (users.clone(), ended.clone());
            let (answered, refused) = (answered.clone(), refused.clone());
            tokio::spawn(async move {
                while !ended.load(Ordering::SeqCst) {
                    match bounded(users.read("u", NOW_MS)).await {
                        Ok(state) => assert_eq!(state.counters, [(daily("c"), 1)]),
                        Err(StorageError::Unavailable(_)) => {
                            refused.fetch_add(1, Ordering::SeqCst);
                            tokio::time::sleep(Duration::from_millis(1)).await;
                            continue;
                        }
                        Err(error) => panic!("{error}"),
                    }
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for _ in 0..2 {
        node.restart().await;
        read_again(&*users, "u").await;
        let so_far = answered.load(Ordering::SeqCst);
        while answered.load(Ordering::SeqCst) < so_far + 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    ended.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(refused.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn a_server_that_hangs_costs_bids_little_and_is_found_again() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let users = users_at(node.addr());
    one_impression(&*users).await;
    read_again(&*users, "u").await;
    node.pause();
    // Bids go on without it; after half a second they no longer even ask.
    let give_up = Instant::now() + crate::PATIENCE;
    loop {
        let began = Instant::now();
        match timeout(BID_PATIENCE, users.read("u", NOW_MS)).await {
            Err(_elapsed) => {}
            Ok(Err(StorageError::Unavailable(_))) if began.elapsed() < BID_PATIENCE / 2 => break,
            Ok(answer) => assert!(answer.is_err(), "{answer:?}"),
        }
        assert!(Instant::now() < give_up, "each bid still waits");
    }
    let refused = bounded(users.count("e2", "u", &[daily("c")], NOW_MS)).await;
    assert!(
        matches!(refused, Err(StorageError::Unavailable(_))),
        "{refused:?}"
    );
    node.resume();
    read_again(&*users, "u").await;
}

#[tokio::test]
async fn a_way_that_swallows_everything_is_left() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let mut proxy = Proxy::start(&node.addr());
    let users = users_at(proxy.addr());
    one_impression(&*users).await;
    for fault in [Fault::Stall, Fault::Cut] {
        proxy.set(fault);
        for _ in 0..3 {
            let refused = bounded(users.read("u", NOW_MS)).await.unwrap_err();
            assert!(matches!(refused, StorageError::Unavailable(_)), "{refused}");
        }
        proxy.set(Fault::None);
        assert_eq!(read_again(&*users, "u").await.counters, [(daily("c"), 1)]);
    }
}

#[tokio::test]
async fn a_full_memory_refuses_counts_and_answers_reads() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let users = users_at(node.addr());
    one_impression(&*users).await;
    node.command(&["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    let refused = users.count("e2", "u", &[daily("c")], NOW_MS).await.unwrap_err();
    assert!(matches!(refused, StorageError::Unavailable(_)), "{refused}");
    let u = ["u".to_owned()];
    let refused = users
        .set_members("aud", &u, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap_err();
    assert!(matches!(refused, StorageError::Unavailable(_)), "{refused}");
    users.set_members("aud", &[], &u, UNTIL_MS, NOW_MS).await.unwrap();
    assert_eq!(read_again(&*users, "u").await.counters, [(daily("c"), 1)]);
    // Nothing of what was refused is remembered.
    node.command(&["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
    users.count("e2", "u", &[daily("c")], NOW_MS).await.unwrap();
    assert_eq!(read_again(&*users, "u").await.counters, [(daily("c"), 2)]);
}

#[tokio::test]
async fn a_cluster_goes_on_after_the_loss_of_a_master_and_of_all_nodes() {
    let Some(mut cluster) = Cluster::start_with(&durable()).await else {
        return;
    };
    let users = on_cluster(&cluster);
    let user_keys: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    users
        .set_members("aud", &user_keys, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    for node in cluster.nodes() {
        // What is not on a replica yet may be lost with its master.
        let _ = node.command(&["WAIT", "1", "1000"]).await;
    }
    let slot = cluster.slot_of("anything").await;
    let master = cluster.master_of(slot).await;
    cluster.node(master).kill();
    for user_key in &user_keys {
        assert_eq!(read_again(&*users, user_key).await.audiences, ["aud"]);
    }
    cluster.kill_all();
    let refused = bounded(users.read("u", NOW_MS)).await.unwrap_err();
    assert!(matches!(refused, StorageError::Unavailable(_)), "{refused}");
    cluster.restart_all().await;
    for user_key in &user_keys {
        assert_eq!(read_again(&*users, user_key).await.audiences, ["aud"]);
    }
}

#[tokio::test]
async fn a_hanging_master_of_a_cluster_answers_nobody_late() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let users = on_cluster(&cluster);
    let user_keys: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    users
        .set_members("aud", &user_keys, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    let slot = cluster.slot_of("anything").await;
    let master = cluster.master_of(slot).await;
    cluster.nodes()[master].pause();
    for user_key in &user_keys {
        assert!(
            bounded(users.read(user_key, NOW_MS))
                .await
                .is_ok_and(|state| state.audiences == ["aud"])
                || read_again(&*users, user_key).await.audiences == ["aud"]
        );
    }
    cluster.nodes()[master].resume();
}
