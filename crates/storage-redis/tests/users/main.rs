//! User states on real servers, which each test starts for itself. Without Redis' programs the tests say that they were
//! skipped; with `REQUIRE_SERVICES=1` they fail.

#![expect(clippy::unwrap_used, reason = "test code, its helper functions included")]

mod contract;
mod faults;
mod memory;
mod moves;

use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::user_states::{CounterKey, UserState};
use storage::{StorageError, UserStates};
use storage_redis::{RedisUsers, Settings};
use test_servers::redis::{Cluster, Node};

const NOW_MS: i64 = 1_800_000_000_000;
const UNTIL_MS: i64 = NOW_MS + 30 * 24 * 3_600_000;
const PATIENCE: Duration = Duration::from_secs(30);

fn settings(nodes: Vec<String>) -> Settings {
    Settings {
        cluster: nodes.len() > 1,
        nodes,
        username: None,
        password: None,
        ca_file: None,
    }
}

fn users_at(addr: String) -> Arc<RedisUsers> {
    Arc::new(RedisUsers::new(&settings(vec![addr])).unwrap())
}

async fn flush(nodes: &[Node]) {
    for node in nodes {
        // A replica refuses, and follows its master.
        let _ = node.command(&["FLUSHALL"]).await;
    }
}

fn on_cluster(cluster: &Cluster) -> Arc<RedisUsers> {
    Arc::new(RedisUsers::new(&settings(cluster.addrs())).unwrap())
}

fn daily(scope_id: &str) -> CounterKey {
    CounterKey {
        scope_id: scope_id.to_owned(),
        window_ms: 24 * 3_600_000,
    }
}

/// Whatever the servers do, nobody waits longer.
async fn bounded<T>(asking: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
    let began = Instant::now();
    let answer = asking.await;
    assert!(
        began.elapsed() < Duration::from_millis(1_200),
        "{:?}",
        began.elapsed()
    );
    answer
}

/// Reads until Redis answers.
async fn read_again(users: &dyn UserStates, user_key: &str) -> UserState {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match bounded(users.read(user_key, NOW_MS)).await {
            Ok(state) => return state,
            Err(StorageError::Unavailable(why)) => assert!(Instant::now() < give_up, "{why}"),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
