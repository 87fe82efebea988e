//! A ledger on a server, with a clock that a test moves and books that a test can read.

use async_trait::async_trait;
use domain::id::BidderId;
use redis::aio::MultiplexedConnection;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use storage::SpendLedger;
use storage::contract::spend_ledger::{LedgerHarness, Loss};
use storage_redis::{RedisLedger, Settings};

pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

pub(crate) fn settings(nodes: Vec<String>) -> Settings {
    Settings {
        cluster: nodes.len() > 1,
        nodes,
        username: None,
        password: None,
        ca_file: None,
    }
}

/// A ledger on empty servers, all its groups ready.
pub(crate) struct Fresh {
    pub(crate) ledger: RedisLedger,
    pub(crate) clock_ms: Arc<AtomicI64>,
    nodes: Vec<String>,
}

impl Fresh {
    pub(crate) async fn on(nodes: Vec<String>) -> Self {
        for node in &nodes {
            // A replica refuses, and follows its master.
            let _: Result<(), redis::RedisError> =
                redis::cmd("FLUSHALL").query_async(&mut direct(node).await).await;
        }
        let clock_ms = Arc::new(AtomicI64::new(NOW_MS));
        let ledger = RedisLedger::new(&settings(nodes.clone()))
            .unwrap()
            .with_clock(clock_ms.clone());
        make_ready(&ledger).await;
        Self {
            ledger,
            clock_ms,
            nodes,
        }
    }
}

pub(crate) async fn direct(node: &str) -> MultiplexedConnection {
    let client = redis::Client::open(format!("redis://{node}")).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Rebuilds every group from nothing but its own books.
pub(crate) async fn make_ready(ledger: &RedisLedger) {
    let bidder_id = BidderId::from("bdr_test");
    loop {
        let rebuilds = ledger.rebuilds(&bidder_id, 0).await.unwrap();
        if rebuilds.is_empty() {
            return;
        }
        for rebuild in rebuilds {
            ledger.rebuilt(&rebuild, &bidder_id).await.unwrap();
        }
    }
}

/// What the keys of one server hold: (leased, pending) told by the accounts, and their sums over leases and wins.
pub(crate) async fn audit_node(node: &str) {
    let mut connection = direct(node).await;
    let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(&mut connection).await.unwrap();
    if role[0] != redis::Value::BulkString(b"master".to_vec()) {
        return;
    }
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*:a:*")
        .query_async(&mut connection)
        .await
        .unwrap();
    let mut told: HashMap<String, (i64, i64)> = HashMap::new();
    let mut summed: HashMap<String, (i64, i64)> = HashMap::new();
    for key in &keys {
        let fields: HashMap<String, String> = redis::cmd("HGETALL")
            .arg(key)
            .query_async(&mut connection)
            .await
            .unwrap();
        let amount = |name: &str| fields.get(name).map_or(0, |text| text.parse::<i64>().unwrap());
        told.insert(key.clone(), (amount("l"), amount("p")));
        let leases = fields.iter().filter(|(name, _)| name.starts_with('L'));
        let leases: Vec<i64> = leases
            .map(|(_, kept)| kept.split_once(' ').unwrap().0.parse().unwrap())
            .collect();
        let count = i64::try_from(leases.len()).unwrap();
        assert_eq!(amount("k"), count, "{key}: number of leases");
        for of in [key.clone(), lifetime_of(key)] {
            summed.entry(of).or_default().0 += leases.iter().sum::<i64>();
        }
    }
    let wins: Vec<String> = redis::cmd("KEYS")
        .arg("*:wins")
        .query_async(&mut connection)
        .await
        .unwrap();
    for wins_key in wins {
        let prefix = wins_key.strip_suffix("wins").unwrap();
        let wins: HashMap<Vec<u8>, String> = redis::cmd("HGETALL")
            .arg(&wins_key)
            .query_async(&mut connection)
            .await
            .unwrap();
        let due: usize = redis::cmd("ZCARD")
            .arg(format!("{prefix}wins-due"))
            .query_async(&mut connection)
            .await
            .unwrap();
        assert_eq!(due, wins.len(), "{wins_key}: wins that end");
        for kept in wins.values() {
            let fields: Vec<&str> = kept.splitn(3, ' ').collect();
            let key = format!("{prefix}a:{}", fields[2]);
            for of in [key.clone(), lifetime_of(&key)] {
                summed.entry(of).or_default().1 += fields[0].parse::<i64>().unwrap();
            }
        }
    }
    for (key, told) in told {
        assert_eq!(
            told,
            summed.get(&key).copied().unwrap_or_default(),
            "{key}: leased and pending"
        );
    }
}

/// `{g00}:a:2027-01-15:c` belongs to `{g00}:a::c`.
fn lifetime_of(key: &str) -> String {
    let (prefix, rest) = key.split_once(":a:").unwrap();
    format!("{prefix}:a::{}", rest.split_once(':').unwrap().1)
}

#[async_trait]
impl LedgerHarness for Fresh {
    fn ledger(&self) -> &dyn SpendLedger {
        &self.ledger
    }

    fn now_ms(&self) -> i64 {
        self.clock_ms.load(Ordering::SeqCst)
    }

    async fn advance(&self, ms: i64) {
        self.clock_ms.fetch_add(ms, Ordering::SeqCst);
    }

    async fn audit(&self) {
        for node in &self.nodes {
            audit_node(node).await;
        }
    }

    fn outlives_its_machine(&self) -> bool {
        self.nodes.len() > 1
    }

    async fn lose(&self, loss: Loss) {
        // Epochs are counted in seconds, and a server needs longer than one to fail again.
        self.advance(1_000).await;
        for node in &self.nodes {
            let mut connection = direct(node).await;
            match loss {
                Loss::Books => {
                    let _: Result<(), redis::RedisError> =
                        redis::cmd("FLUSHALL").query_async(&mut connection).await;
                }
                Loss::Trust => distrust(&mut connection).await,
            }
        }
        // A ledger that has seen its groups ready finds out when one refuses.
        assert!(self.ledger.forget(0).await.is_err());
    }
}

/// As if the groups had been good on another server.
async fn distrust(connection: &mut MultiplexedConnection) {
    let heads: Vec<String> = redis::cmd("KEYS")
        .arg("*:head")
        .query_async(connection)
        .await
        .unwrap();
    for head in heads {
        let set = redis::cmd("HSET").arg(head).arg("run").arg("another").to_owned();
        let _: Result<(), redis::RedisError> = set.query_async(connection).await;
    }
}
