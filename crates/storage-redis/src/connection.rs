//! One connection to one server process, and who that process is.
//!
//! A connection never outlives the process it was made to, so that what it learned of it when it was made (`run_id`) holds
//! for everything that is sent over it.

use crate::error::{breaks_connection, storage_error, unavailable};
use crate::settings::tcp;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, RedisError, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use storage::StorageError;
use tokio::sync::Mutex;

const CONNECT_WITHIN: Duration = Duration::from_millis(700);
const ANSWER_WITHIN: Duration = Duration::from_millis(800);
/// Nobody tries again sooner, so that callers of a dead server learn it at once.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);
/// How long a write may take to reach a replica.
const WAIT_MS: u32 = 400;
/// The policy that refuses writes instead of throwing away what was written.
const KEEPS_ALL: &str = "noeviction";

pub(crate) struct Connection {
    redis: MultiplexedConnection,
    /// Another after each start of the server.
    pub(crate) run_id: String,
    /// What the server does when its memory is full (`maxmemory-policy`).
    policy: String,
    waits: Waits,
}

/// One `WAIT` at a time stands for everybody who wrote before it.
#[derive(Default)]
struct Waits {
    asked: AtomicU64,
    /// Up to which of those who asked it was answered, and how.
    answered: Mutex<(u64, bool)>,
}

impl Connection {
    async fn open(info: &ConnectionInfo) -> Result<Self, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let mut redis = Client::open(info.clone().set_tcp_settings(tcp()))?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut asking = redis::pipe();
        asking.cmd("INFO").arg("server").cmd("INFO").arg("memory");
        let (server, memory): (String, String) = asking.query_async(&mut redis).await?;
        let run_id = said(&server, "run_id")
            .ok_or_else(|| std::io::Error::other("the server does not say its run id"))?;
        Ok(Self {
            run_id: run_id.to_owned(),
            policy: said(&memory, "maxmemory_policy").unwrap_or_default().to_owned(),
            redis,
            waits: Waits::default(),
        })
    }

    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        command.query_async(&mut self.redis.clone()).await
    }

    /// `command` of a slot that is moving here.
    pub(crate) async fn send_asking(&self, command: &Cmd) -> Result<Value, RedisError> {
        let mut asking = redis::pipe();
        asking.cmd("ASKING").ignore().add_command(command.clone());
        let (value,): (Value,) = asking.query_async(&mut self.redis.clone()).await?;
        Ok(value)
    }

    /// Whether everything written over this connection before the call is on a replica too.
    pub(crate) async fn is_replicated(&self) -> Result<bool, RedisError> {
        let mine = self.waits.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut answered = self.waits.answered.lock().await;
        if answered.0 >= mine {
            return Ok(answered.1);
        }
        let so_far = self.waits.asked.load(Ordering::SeqCst);
        let wait = redis::cmd("WAIT").arg(1).arg(WAIT_MS).to_owned();
        let replicas: u32 = wait.query_async(&mut self.redis.clone()).await?;
        *answered = (so_far, replicas >= 1);
        Ok(answered.1)
    }
}

/// A line of what `INFO` says.
fn said<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(value).map(str::trim)
}

/// What was last warned of, of one server.
#[derive(Clone, Default)]
pub(crate) struct Warned(Arc<std::sync::Mutex<String>>);

impl Warned {
    /// Where keys are evicted, spent money is forgotten and spent again. A warning alone: of a server that belongs to others
    /// the setting may be out of reach, and until the memory is full nothing is wrong.
    fn of_eviction(&self, policy: &str, addr: &ConnectionAddr) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == policy {
            return;
        }
        if !matches!(policy, "" | KEEPS_ALL) {
            tracing::warn!(
                policy,
                redis = %addr,
                "redis may throw keys away when its memory is full: the spend ledger needs maxmemory-policy noeviction"
            );
        }
        policy.clone_into(&mut last);
    }
}

/// Where a connection is kept, made when it is first needed and again after it broke.
pub(crate) struct Link {
    info: ConnectionInfo,
    kept: Mutex<Kept>,
    warned: Warned,
}

#[derive(Default)]
struct Kept {
    connection: Option<Arc<Connection>>,
    failed: Option<(Instant, String)>,
}

impl Link {
    /// `warned`: shared by all links to a server.
    pub(crate) fn new(info: ConnectionInfo, warned: Warned) -> Self {
        Self {
            info,
            kept: Mutex::default(),
            warned,
        }
    }

    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, StorageError> {
        let mut kept = self.kept.lock().await;
        if let Some(connection) = &kept.connection {
            return Ok(connection.clone());
        }
        if let Some((at, why)) = &kept.failed
            && at.elapsed() < BETWEEN_ATTEMPTS
        {
            return Err(unavailable(why));
        }
        // A server that accepts and says nothing must not hold everybody up.
        let opened = tokio::time::timeout(CONNECT_WITHIN, Connection::open(&self.info)).await;
        let failed = match opened {
            Ok(Ok(connection)) => {
                self.warned.of_eviction(&connection.policy, self.info.addr());
                let connection = Arc::new(connection);
                kept.connection = Some(connection.clone());
                kept.failed = None;
                return Ok(connection);
            }
            Ok(Err(error)) => storage_error(&error),
            Err(_elapsed) => unavailable(format!("{} did not answer", self.info.addr())),
        };
        kept.failed = Some((Instant::now(), format!("{} cannot be reached", self.info.addr())));
        Err(unavailable(failed))
    }

    /// After an error: the next caller makes a new connection where this one is of no more use.
    pub(crate) async fn failed(&self, connection: &Arc<Connection>, error: &RedisError) {
        if breaks_connection(error) {
            self.discard(connection).await;
        }
    }

    pub(crate) async fn discard(&self, connection: &Arc<Connection>) {
        let mut kept = self.kept.lock().await;
        if kept
            .connection
            .as_ref()
            .is_some_and(|one| Arc::ptr_eq(one, connection))
        {
            kept.connection = None;
        }
    }
}
