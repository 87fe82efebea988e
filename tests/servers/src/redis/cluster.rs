//! Six nodes: three masters, each with a replica.

use super::programs::programs;
use super::{Node, Options};
use crate::certificates::Certificates;
use crate::proxy::Proxy;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NODES: usize = 6;
const DEADLINE: Duration = Duration::from_secs(60);
/// So that a dead master is replaced within a few seconds.
const NODE_TIMEOUT_MS: &str = "1500";

/// Six servers. The slots are spread over three of them at the start; who is master changes with each failover.
pub struct Cluster {
    nodes: Vec<Node>,
    options: Options,
    certificates: Option<Arc<Certificates>>,
}

impl Cluster {
    /// Ready when it returns. `None`, said loudly, where there is no Redis to start.
    pub async fn start() -> Option<Self> {
        Self::start_with(&Options::default()).await
    }

    /// Every node is set up by these options; what is written is on disk within a second in any case.
    pub async fn start_with(options: &Options) -> Option<Self> {
        let mut options = options.clone();
        options.append_only = true;
        if options.tls {
            options = options.with("tls-cluster", "yes").with("tls-replication", "yes");
        }
        programs()?;
        let certificates = options.tls.then(Certificates::new).map(Arc::new);
        let options = options
            .with("cluster-enabled", "yes")
            .with("cluster-node-timeout", NODE_TIMEOUT_MS)
            .with("cluster-replica-validity-factor", "0")
            .with("repl-diskless-sync-delay", "0")
            // A replica whose connection is dead without a word is of no use until it makes another.
            .with("repl-ping-replica-period", "1")
            .with("repl-timeout", "5");
        let mut nodes = Vec::with_capacity(NODES);
        for _ in 0..NODES {
            nodes.push(Node::start_as(&options, certificates.clone()).await?);
        }
        let cluster = Self {
            nodes,
            options,
            certificates,
        };
        cluster.form().await;
        cluster.wait_until_ok().await;
        Some(cluster)
    }

    /// `host:port` of each.
    pub fn addrs(&self) -> Vec<String> {
        self.nodes.iter().map(Node::addr).collect()
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn node(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[index]
    }

    /// By one more node, which every other knows and which serves nothing; its index.
    pub async fn grow(&mut self) -> usize {
        let new = Node::start_as(&self.options, self.certificates.clone()).await;
        self.nodes.push(new.expect("the others run, too"));
        let last = self.nodes.len() - 1;
        let port = self.nodes[0].port().to_string();
        let meet = ["CLUSTER", "MEET", "127.0.0.1", &port];
        self.nodes[last].command(&meet).await.unwrap();
        let deadline = Instant::now() + DEADLINE;
        for node in &self.nodes {
            while !knows_all(node, self.nodes.len()).await {
                assert!(Instant::now() < deadline, "they do not meet: {}", node.log());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        last
    }

    /// The ways to all nodes, with [`Options::behind_proxy`].
    pub fn networks(&mut self) -> impl Iterator<Item = &mut Proxy> {
        self.nodes.iter_mut().filter_map(Node::network)
    }

    /// Of a key, by its hash tag if it has one.
    pub async fn slot_of(&self, key: &str) -> u16 {
        let answer = self.any().command(&["CLUSTER", "KEYSLOT", key]).await.unwrap();
        answer.parse().unwrap()
    }

    /// The node that serves the slot now, by its index.
    pub async fn master_of(&self, slot: u16) -> usize {
        let deadline = Instant::now() + DEADLINE;
        loop {
            for (index, node) in self.running() {
                if serves(
                    &node.command(&["CLUSTER", "NODES"]).await.unwrap_or_default(),
                    slot,
                ) {
                    return index;
                }
            }
            assert!(Instant::now() < deadline, "nobody serves slot {slot}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The replicas of a node that runs or has failed, by their indexes, as the others see it.
    pub async fn replicas_of(&self, master: usize) -> Vec<usize> {
        let nodes = self.any().command(&["CLUSTER", "NODES"]).await.unwrap();
        let lines: Vec<Vec<&str>> = nodes.lines().map(|line| line.split(' ').collect()).collect();
        let at = |index: usize| format!("{}@", self.nodes[index].addr());
        let Some(id) = lines
            .iter()
            .find_map(|line| line[1].starts_with(&at(master)).then_some(line[0]))
        else {
            return Vec::new();
        };
        let of_it = |index: &usize| {
            lines
                .iter()
                .any(|line| line[1].starts_with(&at(*index)) && line[3] == id)
        };
        (0..self.nodes.len()).filter(of_it).collect()
    }

    /// Until every running node says that all slots are served and has, as a master, its replicas, as a replica, its master.
    /// With nodes down, only what they can say of the slots counts.
    pub async fn wait_until_ok(&self) {
        let deadline = Instant::now() + DEADLINE;
        let is_whole = self.nodes.iter().all(Node::is_running);
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            while !is_ok(node, is_whole).await {
                assert!(Instant::now() < deadline, "the cluster is not ok: {}", node.log());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// As if the power had failed.
    pub fn kill_all(&mut self) {
        self.nodes.iter_mut().for_each(Node::kill);
    }

    pub async fn restart_all(&mut self) {
        for node in &mut self.nodes {
            node.restart().await;
        }
        self.wait_until_ok().await;
    }

    async fn form(&self) {
        let first = &self.nodes[0];
        let mut command = first.client();
        first.reach(&mut command);
        let addrs = self.nodes.iter().map(Node::own_addr);
        command
            .args(["--cluster", "create"])
            .args(addrs)
            .args(["--cluster-replicas", "1", "--cluster-yes"]);
        let made = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    }

    fn running(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.is_running())
    }

    fn any(&self) -> &Node {
        self.running().map(|(_, node)| node).next().expect("a node runs")
    }
}

/// Of what `CLUSTER NODES` says: the line of the node that was asked names the ranges of slots it serves.
fn serves(nodes: &str, slot: u16) -> bool {
    let own = nodes
        .lines()
        .find(|line| line.contains("myself"))
        .unwrap_or_default();
    own.contains("master")
        && own.split(' ').skip(8).any(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let bounds = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
            bounds.is_some_and(|(first, last)| (first..=last).contains(&slot))
        })
}

async fn knows_all(node: &Node, nodes: usize) -> bool {
    let cluster = node.command(&["CLUSTER", "INFO"]).await.unwrap_or_default();
    let known = node.command(&["CLUSTER", "NODES"]).await.unwrap_or_default();
    cluster.contains("cluster_state:ok") && known.lines().count() == nodes && !known.contains("handshake")
}

async fn is_ok(node: &Node, with_replicas: bool) -> bool {
    let says = |text: &str, line: &str| text.lines().any(|said| said.trim() == line);
    let cluster = node.command(&["CLUSTER", "INFO"]).await.unwrap_or_default();
    if !says(&cluster, "cluster_state:ok") || !says(&cluster, "cluster_slots_ok:16384") {
        return false;
    }
    let nodes = node.command(&["CLUSTER", "NODES"]).await.unwrap_or_default();
    // What a node knows of the others' roles comes to it by gossip.
    if with_replicas && nodes.lines().filter(|line| line.contains("slave")).count() != NODES / 2 {
        return false;
    }
    let replication = node.command(&["INFO", "replication"]).await.unwrap_or_default();
    if says(&replication, "role:slave") {
        return says(&replication, "master_link_status:up");
    }
    !with_replicas || replication.contains("state=online")
}
