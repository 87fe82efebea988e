//! A slot on its way from one node of a Cluster to another, key by key.

use super::{Cluster, Node};

/// Begun: the source asks those who name a key that it has not to ask the target.
pub struct SlotMove<'c> {
    slot: String,
    pub source: &'c Node,
    pub target: &'c Node,
}

impl<'c> SlotMove<'c> {
    /// To a node that serves others.
    pub async fn begin(cluster: &'c Cluster, slot: u16) -> Self {
        let to = cluster.master_of(if slot < 8_192 { 16_383 } else { 0 }).await;
        Self::begin_to(cluster, slot, to).await
    }

    /// To the node of that index, which does not serve it.
    pub async fn begin_to(cluster: &'c Cluster, slot: u16, to: usize) -> Self {
        let from = cluster.master_of(slot).await;
        let this = Self {
            slot: slot.to_string(),
            source: &cluster.nodes()[from],
            target: &cluster.nodes()[to],
        };
        this.set(this.target, "IMPORTING", &id(this.source).await).await;
        this.set(this.source, "MIGRATING", &id(this.target).await).await;
        this
    }

    /// Those that are still at the source.
    pub async fn keys(&self) -> Vec<String> {
        let words = ["CLUSTER", "GETKEYSINSLOT", &self.slot, "1000"];
        let keys = self.source.command(&words).await.unwrap();
        keys.lines().map(str::to_owned).collect()
    }

    pub async fn take(&self, key: &str) {
        let port = self.target.port().to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        self.source.command(&words).await.unwrap();
    }

    /// The source gives nothing away any more.
    pub async fn give_up(&self) {
        let words = ["CLUSTER", "SETSLOT", &self.slot, "STABLE"];
        self.source.command(&words).await.unwrap();
    }

    /// From the target, which took it while importing.
    pub async fn bring_back(&self, key: &str) {
        // Of a slot that it gives away the source would take nothing back.
        self.give_up().await;
        let port = self.source.port().to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        self.target.command(&words).await.unwrap();
        self.set(self.source, "MIGRATING", &id(self.target).await).await;
    }

    /// The target serves it from now on.
    pub async fn end(&self) {
        let id = id(self.target).await;
        for node in [self.target, self.source] {
            self.set(node, "NODE", &id).await;
        }
    }

    async fn set(&self, node: &Node, what: &str, id: &str) {
        let words = ["CLUSTER", "SETSLOT", &self.slot, what, id];
        node.command(&words).await.unwrap();
    }
}

async fn id(node: &Node) -> String {
    node.command(&["CLUSTER", "MYID"]).await.unwrap()
}
