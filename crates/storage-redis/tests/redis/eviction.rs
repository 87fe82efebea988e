//! A server that is set to throw keys away when its memory is full.

use crate::trade::{bill, busy, claim, is_unavailable, ledger, master, renew};
use test_servers::Journal;
use test_servers::redis::{Cluster, Node, Options};

fn warned(journal: &Journal) -> Vec<String> {
    let mut lines = journal.lines();
    lines.retain(|line| line.contains("noeviction"));
    lines
}

fn evicting() -> Options {
    Options::default().with("maxmemory-policy", "allkeys-lru")
}

#[tokio::test]
async fn of_a_server_that_would_evict_money_the_log_warns_once() {
    let (Some(mut node), Some(keeping)) = (
        Node::start(&evicting()).await,
        Node::start(&Options::default()).await,
    ) else {
        return;
    };
    let journal = Journal::open();
    busy(&ledger(vec![keeping.addr()])).await;
    assert_eq!(warned(&journal), Vec::<String>::new());

    // It is served all the same, by both its connections.
    let ledger = ledger(vec![node.addr()]);
    busy(&ledger).await;
    // Nothing new is to be said by those that follow.
    node.restart().await;
    let (renewed, billed) = tokio::join!(renew(&ledger, 500), bill(&ledger, 2, 10));
    assert!(is_unavailable(&renewed) && is_unavailable(&billed));
    busy(&ledger).await;
    let warnings = warned(&journal);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for word in ["WARN", "allkeys-lru", &node.addr()] {
        assert!(warnings[0].contains(word), "{word}: {warnings:?}");
    }
}

/// All are asked each time that nobody knows whose a group is, replicas and the dead too.
#[tokio::test]
async fn of_each_node_of_a_cluster_that_would_evict_money_the_log_warns_once() {
    let Some(mut cluster) = Cluster::start_with(&evicting()).await else {
        return;
    };
    let journal = Journal::open();
    let ledger = ledger(cluster.addrs());
    busy(&ledger).await;
    let (_, master) = master(&cluster, &ledger).await;
    cluster.node(master).kill();
    claim(&ledger).await;
    let warnings = warned(&journal);
    assert_eq!(warnings.len(), cluster.nodes().len(), "{warnings:?}");
    for addr in cluster.addrs() {
        let of_it = warnings.iter().filter(|warning| warning.contains(&addr));
        assert_eq!(of_it.count(), 1, "{addr}: {warnings:?}");
    }
}
