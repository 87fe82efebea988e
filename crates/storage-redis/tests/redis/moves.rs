//! A group that moves to another node, key by key.

use crate::harness::audit_node;
use crate::trade::{bid_ref, bill, busy, comes_back, is_unavailable, ledger, master, win};
use storage::SpendLedger;
use storage::spend_ledger::BillVerdict;
use storage_redis::RedisLedger;
use test_servers::redis::{Cluster, Node};

/// The slot of the laws' group on its way.
struct Move<'c> {
    slot: String,
    source: &'c Node,
    target: &'c Node,
}

impl<'c> Move<'c> {
    async fn begin(cluster: &'c Cluster, ledger: &RedisLedger) -> Self {
        let (slot, from) = master(cluster, ledger).await;
        let to = cluster.master_of(if slot < 8_192 { 16_383 } else { 0 }).await;
        let this = Self {
            slot: slot.to_string(),
            source: &cluster.nodes()[from],
            target: &cluster.nodes()[to],
        };
        this.set(this.target, "IMPORTING", &id(this.source).await).await;
        this.set(this.source, "MIGRATING", &id(this.target).await).await;
        this
    }

    async fn set(&self, node: &Node, what: &str, id: &str) {
        let words = ["CLUSTER", "SETSLOT", &self.slot, what, id];
        node.command(&words).await.unwrap();
    }

    /// Those that are still at the source.
    async fn keys(&self) -> Vec<String> {
        let words = ["CLUSTER", "GETKEYSINSLOT", &self.slot, "1000"];
        let keys = self.source.command(&words).await.unwrap();
        keys.lines().map(str::to_owned).collect()
    }

    async fn take(&self, key: &str) {
        let port = self.target.port().to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        self.source.command(&words).await.unwrap();
    }

    /// The source gives nothing away any more.
    async fn give_up(&self) {
        let words = ["CLUSTER", "SETSLOT", &self.slot, "STABLE"];
        self.source.command(&words).await.unwrap();
    }

    /// From the target, which took it while importing.
    async fn bring_back(&self, key: &str) {
        // Of a slot that it gives away the source would take nothing back.
        self.give_up().await;
        let port = self.source.port().to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        self.target.command(&words).await.unwrap();
        self.set(self.source, "MIGRATING", &id(self.target).await).await;
    }

    /// Accounts, buckets and outbox, as they are at the source.
    async fn books(&self) -> Vec<String> {
        let mut books = Vec::new();
        for key in self.keys().await {
            if [":a:", ":b:", ":outbox"].iter().any(|part| key.contains(part)) && !key.ends_with("order") {
                books.push(format!(
                    "{key} {}",
                    self.source.command(&["HGETALL", &key]).await.unwrap()
                ));
            }
        }
        books.sort();
        books
    }

    async fn end(&self) {
        let id = id(self.target).await;
        for node in [self.target, self.source] {
            self.set(node, "NODE", &id).await;
        }
    }
}

async fn id(node: &Node) -> String {
    node.command(&["CLUSTER", "MYID"]).await.unwrap()
}

#[tokio::test]
async fn a_group_that_moves_is_followed_and_rebuilt() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let ledger = ledger(cluster.addrs());
    busy(&ledger).await;
    let under_way = Move::begin(&cluster, &ledger).await;
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
    let under_way = Move::begin(&cluster, &ledger).await;
    let keys = under_way.keys().await;
    let books = under_way.books().await;
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
        assert_eq!(under_way.books().await, books, "{name}: half of it was written");
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
    let under_way = Move::begin(&cluster, &ledger).await;
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
