//! A group that moves to another node, key by key.

use crate::harness::audit_node;
use crate::trade::{bid_ref, bill, busy, comes_back, is_unavailable, ledger, master, win};
use storage::SpendLedger;
use storage::spend_ledger::BillVerdict;
use storage_redis::RedisLedger;
use test_servers::redis::{Cluster, SlotMove};

async fn begin<'c>(cluster: &'c Cluster, ledger: &RedisLedger) -> SlotMove<'c> {
    SlotMove::begin(cluster, master(cluster, ledger).await.0).await
}

/// Accounts, buckets and outbox, as they are at the source.
async fn books(under_way: &SlotMove<'_>) -> Vec<String> {
    let mut books = Vec::new();
    for key in under_way.keys().await {
        if [":a:", ":b:", ":outbox"].iter().any(|part| key.contains(part)) && !key.ends_with("order") {
            let held = under_way.source.command(&["HGETALL", &key]).await.unwrap();
            books.push(format!("{key} {held}"));
        }
    }
    books.sort();
    books
}

#[tokio::test]
async fn a_group_that_moves_is_followed_and_rebuilt() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let ledger = ledger(cluster.addrs());
    busy(&ledger).await;
    let under_way = begin(&cluster, &ledger).await;
    for (moved, key) in under_way.keys().await.iter().enumerate() {
        under_way.take(key).await;
        // Half here, half there: refused, and nothing half done.
        let halfway = bill(&ledger, 100 + u128::try_from(moved).unwrap(), 0).await;
        assert!(is_unavailable(&halfway), "{halfway:?}");
    }
    under_way.end().await;
    comes_back(&ledger).await;
    audit_node(&under_way.target.addr()).await;
}

/// The bids are in their buckets before the move: every key that a settlement names is where it was, and one that it does
/// not name has gone ahead.
#[tokio::test]
async fn with_any_one_key_gone_ahead_a_settlement_is_refused_whole() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let ledger = ledger(cluster.addrs());
    busy(&ledger).await;
    win(&ledger, 2, 10).await.unwrap();
    win(&ledger, 3, 10).await.unwrap();
    bill(&ledger, 3, 10).await.unwrap();
    let under_way = begin(&cluster, &ledger).await;
    let keys = under_way.keys().await;
    let books_before = books(&under_way).await;
    let unnamed = ["leases-due", "wins", "wins-due", "index", "days-due", "buckets"];
    for name in unnamed {
        let of_name = |key: &&String| key.ends_with(&format!(":{name}"));
        let key = keys.iter().find(of_name);
        under_way
            .take(key.unwrap_or_else(|| panic!("no {name} in {keys:?}")))
            .await;
        for refused in [
            bill(&ledger, 2, 10).await.map(drop),
            win(&ledger, 4, 10).await.map(drop),
        ] {
            assert!(is_unavailable(&refused), "{name}: {refused:?}");
        }
        assert_eq!(
            books(&under_way).await,
            books_before,
            "{name}: half of it was written"
        );
        under_way.bring_back(key.unwrap()).await;
    }
    under_way.give_up().await;
    assert!(matches!(
        bill(&ledger, 2, 10).await.unwrap(),
        BillVerdict::Charged { backed: true, .. }
    ));
}

/// What needs no fence goes on during the move: the redirection (ASK) is followed.
#[tokio::test]
async fn the_outbox_is_read_and_emptied_where_it_has_moved_to() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let ledger = ledger(cluster.addrs());
    busy(&ledger).await;
    bill(&ledger, 2, 10).await.unwrap();
    let under_way = begin(&cluster, &ledger).await;
    let keys = under_way.keys().await;
    let of_the_outbox = |key: &&String| {
        ["head", "outbox", "outbox-order"]
            .iter()
            .any(|name| key.ends_with(name))
    };
    let first: Vec<&String> = keys.iter().filter(of_the_outbox).collect();
    assert_eq!(first.len(), 3, "{keys:?}");
    for key in first {
        under_way.take(key).await;
    }
    assert_eq!(ledger.outbox(i64::MAX, 10).await.unwrap().len(), 2);
    assert!(ledger.settled(&bid_ref(1)).await.unwrap().is_some());
    ledger.appended(&[bid_ref(2)]).await.unwrap();
    assert_eq!(ledger.outbox(i64::MAX, 10).await.unwrap().len(), 1);
    let fenced = bill(&ledger, 3, 10).await;
    assert!(is_unavailable(&fenced), "{fenced:?}");
    for key in under_way.keys().await {
        under_way.take(&key).await;
    }
    under_way.end().await;
    let of_one = ledger.outbox(i64::MAX, 10).await.unwrap();
    assert_eq!(of_one.len(), 1, "as it was");
}
