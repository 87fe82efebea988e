//! Real PostgreSQL with a synchronous standby, a Redis Cluster of six, a Redis for user states, and Kafka; and what can
//! happen to them.

use test_servers::kafka::{self, Broker};
use test_servers::postgres::Server;
use test_servers::proxy::{Fault, Proxy};
use test_servers::redis::{Cluster, Node, Options};

const DATABASE: &str = "adplatform";
const PASSWORD: &str = "a-password-of-the-tests";
/// What every key of the first group hashes by: the master that serves it is one of three.
const SOME_GROUP: &str = "{g00}";

pub struct Backends {
    pub postgres: Server,
    standby: Server,
    pub ledger: Cluster,
    pub users: Node,
    pub kafka: Broker,
    /// The ways to the primary and to the standby.
    databases: [Proxy; 2],
}

impl Backends {
    /// `None`, said loudly, where one is not installed.
    pub(crate) async fn start() -> Option<Self> {
        Self::beside(Server::start().await?).await
    }

    /// Its database can be restored: see [`Backends::restore_the_database`].
    pub(crate) async fn start_with_archive(seconds: u32) -> Option<Self> {
        Self::beside(Server::start_with_archive(seconds).await?).await
    }

    async fn beside(postgres: Server) -> Option<Self> {
        postgres
            .execute("postgres", &format!("CREATE DATABASE {DATABASE}"))
            .await;
        let standby = postgres.synchronous_standby().await;
        let durable = Options {
            password: Some(PASSWORD.to_owned()),
            append_only: true,
            behind_proxy: true,
            ..Options::default()
        };
        let users = Options {
            append_only: true,
            behind_proxy: true,
            ..Options::default()
        };
        let log = kafka::Options {
            behind_proxy: true,
            ..kafka::Options::default()
        };
        let way_to = |server: &Server| Proxy::start(&format!("127.0.0.1:{}", server.port));
        Some(Self {
            databases: [way_to(&postgres), way_to(&standby)],
            standby,
            postgres,
            ledger: Cluster::start_with(&durable).await?,
            users: Node::start(&users).await?,
            kafka: Broker::start_with(&log).await?,
        })
    }

    /// As a cluster's manifests set them. Of the database campaign- and analytics-service alone are told.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let nodes: Vec<String> = self
            .ledger
            .addrs()
            .iter()
            .map(|addr| format!("redis://{addr}"))
            .collect();
        vec![
            ("REDIS_URL", nodes.join(",")),
            ("REDIS_CLUSTER", "true".to_owned()),
            ("REDIS_PASSWORD", PASSWORD.to_owned()),
            ("REDIS_USERS_URL", self.users.url()),
            ("KAFKA_BROKERS", self.kafka.bootstrap()),
        ]
    }

    /// Both hosts: the services find the one that is the primary.
    pub(crate) fn database_url(&self) -> String {
        let hosts = self.databases.each_ref().map(Proxy::addr);
        format!("postgres://postgres@{}/{DATABASE}", hosts.join(","))
    }

    /// The primary is lost for good; the standby, which has confirmed every commit, takes over.
    pub async fn lose_the_primary(&mut self) {
        self.postgres.stop();
        self.standby.promote().await;
        // It has no standby of its own to wait for.
        self.standby
            .execute("postgres", "ALTER SYSTEM RESET synchronous_standby_names")
            .await;
        self.standby.execute("postgres", "SELECT pg_reload_conf()").await;
    }

    /// Primary and standby, with their disks.
    pub fn lose_the_database(&mut self) {
        self.standby.stop();
        self.postgres.lose();
    }

    /// From backup and archive, to `instant` (RFC 3339).
    pub async fn restore_the_database(&mut self, instant: &str) {
        self.postgres.restore(instant).await;
    }

    /// Every node of the ledger, with its disk; they come back as the same Cluster, empty.
    pub async fn lose_the_ledger(&mut self) {
        self.ledger.kill_all();
        for node in self.ledger.nodes() {
            std::fs::remove_dir_all(node.data().join("appendonlydir")).unwrap();
        }
        self.ledger.restart_all().await;
    }

    /// The ways to all of them.
    fn networks(&mut self) -> impl Iterator<Item = &mut Proxy> {
        let stores = self.ledger.networks().chain(self.users.network());
        stores.chain(self.kafka.network()).chain(&mut self.databases)
    }

    pub fn set_network(&mut self, fault: Fault) {
        self.networks().for_each(|way| way.set(fault));
    }

    /// The network forgets every connection and tells neither end.
    pub fn lose_connections(&mut self) {
        self.networks().for_each(|way| way.lose_connections());
    }

    /// Kills a master, and says which node it was.
    pub async fn kill_a_redis_master(&mut self) -> usize {
        let slot = self.ledger.slot_of(SOME_GROUP).await;
        let master = self.ledger.master_of(slot).await;
        self.ledger.node(master).kill();
        master
    }
}
