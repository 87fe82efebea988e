//! The way to the servers: lost, slow to give up, encrypted.

use crate::harness::settings;
use crate::trade::{
    DEADLINE, bid_ref, bill, busy, comes_back, is_unavailable, ledger, master, renew, renew_as,
};
use std::time::{Duration, Instant};
use storage::SpendLedger;
use storage_redis::{RedisLedger, Settings};
use test_servers::proxy::{Fault, Proxy};
use test_servers::redis::{Cluster, Node, Options};

const PASSWORD: &str = "a-password-of-the-tests";

/// One that knows nothing of it yet waits for an answer in vain, once.
#[tokio::test]
async fn connections_that_were_lost_without_a_word_are_made_anew() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let proxy = Proxy::start(&node.addr());
    let ledger = ledger(vec![proxy.addr()]);
    busy(&ledger).await;
    for round in 2..5 {
        proxy.lose_connections();
        let begun = Instant::now();
        let (renewed, billed) = tokio::join!(renew(&ledger, 500), bill(&ledger, round, 10));
        assert!(is_unavailable(&renewed) && is_unavailable(&billed));
        assert!(
            begun.elapsed() < Duration::from_millis(1_500),
            "{:?}",
            begun.elapsed()
        );
        // Both lanes have connections of their own.
        bill(&ledger, round, 10).await.unwrap();
        assert_eq!(renew(&ledger, 500).await.unwrap().leased_nanos, 500);
    }
}

/// Before somebody has said whose the group is no call is sent that could find out.
#[tokio::test]
async fn a_cluster_to_which_every_connection_was_lost_without_a_word_is_reached_again() {
    let options = Options {
        behind_proxy: true,
        ..Options::default()
    };
    let Some(mut cluster) = Cluster::start_with(&options).await else {
        return;
    };
    let ledger = ledger(cluster.addrs());
    busy(&ledger).await;
    cluster.networks().for_each(|network| network.lose_connections());
    // Nothing is believed of any server any more.
    std::thread::sleep(Duration::from_millis(2_100));
    let began = Instant::now();
    while let Err(error) = bill(&ledger, 2, 10).await {
        assert!(began.elapsed() < Duration::from_secs(5), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// It waits in the network until after the next one.
#[tokio::test]
async fn a_renewal_that_arrives_after_a_later_one_takes_nothing_away() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let mut proxy = Proxy::start(&node.addr());
    let (slow, fast) = (ledger(vec![proxy.addr()]), ledger(vec![node.addr()]));
    busy(&slow).await;
    proxy.set(Fault::Stall);
    let timed_out = renew_as(&slow, 1, 100).await;
    assert!(is_unavailable(&timed_out), "{timed_out:?}");
    let second = renew_as(&fast, 2, 600).await.unwrap();
    assert_eq!(second.leased_nanos, 600);
    let head = format!("{{g{:02}}}:head", slow.group_of(&crate::trade::advertiser()));
    let changes = async || node.command(&["HGET", &head, "sequence"]).await.unwrap();
    let before = changes().await;
    proxy.set(Fault::None);
    let deadline = Instant::now() + DEADLINE;
    while changes().await == before {
        assert!(Instant::now() < deadline, "the late one never arrives");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(renew_as(&fast, 1, 0).await.unwrap().leased_nanos, 600);
    assert_eq!(renew_as(&fast, 3, 0).await.unwrap().leased_nanos, 0);
}

fn secret() -> Options {
    Options {
        tls: true,
        password: Some(PASSWORD.to_owned()),
        ..Options::default()
    }
}

#[tokio::test]
async fn a_cluster_with_tls_and_a_password_is_reached_and_its_promoted_replica_too() {
    let Some(mut cluster) = Cluster::start_with(&secret()).await else {
        return;
    };
    let let_in = Settings {
        password: Some(PASSWORD.to_owned()),
        ca_file: cluster.nodes()[0].authority(),
        ..settings(cluster.addrs())
    };
    let ledger = RedisLedger::new(&let_in).unwrap();
    busy(&ledger).await;
    assert!(ledger.is_safe(&bid_ref(1)).await.unwrap(), "it is on the replica");
    let (_, master) = master(&cluster, &ledger).await;
    cluster.node(master).kill();
    comes_back(&ledger).await;
}

#[tokio::test]
async fn a_node_with_tls_and_a_password_is_spoken_to_only_by_those_who_know_both() {
    let Some(node) = Node::start(&secret()).await else {
        return;
    };
    let let_in = Settings {
        password: Some(PASSWORD.to_owned()),
        ca_file: node.authority(),
        ..settings(vec![node.addr()])
    };
    busy(&RedisLedger::new(&let_in).unwrap()).await;
    let without_the_password = Settings {
        password: None,
        ..let_in.clone()
    };
    let with_another = Settings {
        password: Some("another".to_owned()),
        ..let_in.clone()
    };
    // The machine's own certificates do not vouch for it.
    let without_the_authority = Settings {
        nodes: vec![node.url()],
        ca_file: None,
        ..let_in
    };
    for shut_out in [without_the_password, with_another, without_the_authority] {
        let refused = bill(&RedisLedger::new(&shut_out).unwrap(), 2, 10).await;
        assert!(is_unavailable(&refused), "{refused:?}");
        assert!(!format!("{refused:?}").contains(PASSWORD));
    }
}
