//! A way to Redis that is never waited for when it is known to be closed.
//!
//! A single node has one multiplexed connection. It is made in the background, so that a caller that gives up does not stop it;
//! callers wait for it at the start and after a loss, and once it could not be made, they are told so at once until it is
//! there again. The attempts of one process are spread in time, and there is one at a time. A Cluster's connections
//! are the `redis` crate's own, which do the same per node, but for those to nodes that it does not know ([`Targets`]).

use super::targets::Targets;
use crate::error::breaks_connection;
use crate::settings::{Settings, SettingsError, tcp};
use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult,
    ServerErrorKind, Value,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;

pub(super) const CONNECT_WITHIN: Duration = Duration::from_millis(500);
pub(super) const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// Between two attempts to connect: at least, and up to twice as much.
pub(super) const PAUSE_MS: u64 = 100;
const CLUSTER_RETRIES: u32 = 3;

/// Fields of two hashes, and a text.
type All = (Vec<(String, String)>, Vec<(String, String)>, Option<String>);

pub(super) struct Door {
    way: Way,
}

enum Way {
    Node(Arc<Node>),
    Cluster(Box<Cluster>),
}

struct Cluster {
    following: Connecting,
    /// Tells of a redirection instead of following it.
    told: Connecting,
    targets: Targets,
}

/// Connected when it is first needed.
struct Connecting(ClusterClient, OnceLock<ClusterConnection>);

struct Node {
    client: Client,
    /// What the last attempt came to.
    state: watch::Sender<State>,
    /// Callers gave up waiting since then, and nothing was answered; milliseconds after `began`, 0 for never.
    silent_since_ms: AtomicU64,
    began: Instant,
}

#[derive(Clone)]
enum State {
    Closed,
    /// `known_dead`: the attempt before this one failed.
    Connecting {
        known_dead: bool,
    },
    Open(MultiplexedConnection, u64),
}

impl Door {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let infos: Vec<ConnectionInfo> = settings.connection_infos()?.into_iter().map(quick).collect();
        let unreadable = |error: RedisError| SettingsError::Address {
            number: 1,
            reason: error.to_string(),
        };
        // Never empty, says `connection_infos`.
        let first = infos.first().cloned().ok_or(SettingsError::NoNode)?;
        let way = if settings.cluster {
            let certificates = settings.certificates()?;
            let connecting = |retries: u32| {
                let mut builder = ClusterClient::builder(infos.clone())
                    .connection_timeout(CONNECT_WITHIN)
                    .response_timeout(ANSWER_WITHIN)
                    .overall_response_timeout(Some(2 * ANSWER_WITHIN))
                    .tcp_settings(tcp())
                    .retries(retries);
                if let Some(certificates) = &certificates {
                    builder = builder.certs(certificates.clone());
                }
                let client = builder.build().map_err(unreadable)?;
                Ok::<_, SettingsError>(Connecting(client, OnceLock::new()))
            };
            Way::Cluster(Box::new(Cluster {
                following: connecting(CLUSTER_RETRIES)?,
                told: connecting(0)?,
                targets: Targets::new(first),
            }))
        } else {
            Way::Node(Arc::new(Node {
                client: Client::open(first).map_err(unreadable)?,
                state: watch::Sender::new(State::Closed),
                silent_since_ms: AtomicU64::new(0),
                began: Instant::now(),
            }))
        };
        Ok(Self { way })
    }

    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        match &self.way {
            Way::Node(node) => {
                let (connection, generation) = node.connection().await?;
                node.heard(generation, command.query_async(&mut connection.clone()))
                    .await
            }
            Way::Cluster(cluster) => command.query_async(&mut cluster.following.connection()).await,
        }
    }

    /// Three reads of one slot.
    pub(super) async fn send_all(&self, pipeline: &Pipeline) -> RedisResult<All> {
        match &self.way {
            Way::Node(node) => {
                let (connection, generation) = node.connection().await?;
                node.heard(generation, pipeline.query_async(&mut connection.clone()))
                    .await
            }
            Way::Cluster(cluster) => {
                let mut following = cluster.following.connection();
                match pipeline.query_async(&mut following).await {
                    Err(error) if is_redirected(&error) => one_by_one(pipeline, cluster).await,
                    answer => answer,
                }
            }
        }
    }
}

impl Connecting {
    fn connection(&self) -> ClusterConnection {
        let connect = || {
            let config = redis::cluster::ClusterConfig::new();
            self.0.get_pending_async_connection_with_config(config)
        };
        self.1.get_or_init(connect).clone()
    }
}

impl Node {
    async fn connection(self: &Arc<Self>) -> RedisResult<(MultiplexedConnection, u64)> {
        self.close_when_silent();
        let mut states = self.state.subscribe();
        loop {
            let state = states.borrow_and_update().clone();
            match state {
                State::Open(connection, generation) => return Ok((connection, generation)),
                State::Connecting { known_dead: true } => return Err(gone()),
                State::Connecting { known_dead: false } => {}
                State::Closed => self.open(),
            }
            if states.changed().await.is_err() {
                return Err(gone());
            }
        }
    }

    /// One task at a time, until it has made a connection.
    fn open(self: &Arc<Self>) {
        let is_mine = self.state.send_if_modified(|state| {
            let is_closed = matches!(state, State::Closed);
            if is_closed {
                *state = State::Connecting { known_dead: false };
            }
            is_closed
        });
        if !is_mine {
            return;
        }
        let node = self.clone();
        tokio::spawn(async move {
            let mut was_told = false;
            loop {
                match node.attempt().await {
                    Ok(connection) => {
                        node.silent_since_ms.store(0, Ordering::Relaxed);
                        let generation = node.now_ms();
                        node.state.send_replace(State::Open(connection, generation));
                        if was_told {
                            tracing::info!("redis with user states is back");
                        }
                        return;
                    }
                    Err(error) if !was_told => {
                        tracing::warn!(%error, "redis with user states cannot be reached");
                        was_told = true;
                        node.state.send_replace(State::Connecting { known_dead: true });
                    }
                    Err(_) => {}
                }
                let pause = PAUSE_MS + fastrand::u64(..PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        });
    }

    /// Makes sure that somebody answers: a server that hangs takes connections too.
    async fn attempt(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
        Ok(connection)
    }

    /// Waits for the answer, and keeps in mind whether it came.
    async fn heard<T>(
        &self,
        generation: u64,
        answer: impl Future<Output = RedisResult<T>>,
    ) -> RedisResult<T> {
        let mut waiting = Waiting {
            node: self,
            ended: false,
        };
        let answer = answer.await;
        waiting.ended = true;
        match &answer {
            Err(error) if breaks_connection(error) => self.close(generation),
            _ => self.silent_since_ms.store(0, Ordering::Relaxed),
        }
        answer
    }

    /// Callers with short deadlines never see the connection's own time run out.
    fn close_when_silent(&self) {
        let since_ms = self.silent_since_ms.load(Ordering::Relaxed);
        let long_ago = self.now_ms().saturating_sub(since_ms) > ANSWER_WITHIN.as_millis() as u64;
        if since_ms == 0 || !long_ago {
            return;
        }
        let open = match &*self.state.borrow() {
            State::Open(_, generation) => Some(*generation),
            _ => None,
        };
        if let Some(generation) = open {
            self.close(generation);
        }
    }

    fn close(&self, generation: u64) {
        self.state.send_if_modified(|state| {
            let is_it = matches!(state, State::Open(_, open) if *open == generation);
            if is_it {
                *state = State::Closed;
            }
            is_it
        });
    }

    /// Never 0.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }
}

/// Dropped before its end: the caller gave up.
struct Waiting<'a> {
    node: &'a Node,
    ended: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let now_ms = self.node.now_ms();
            let silent = &self.node.silent_since_ms;
            let _ = silent.compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// While a slot moves, each of its keys is at one of two nodes, and what does not exist at the other.
async fn one_by_one(pipeline: &Pipeline, cluster: &Cluster) -> RedisResult<All> {
    let answers = pipeline
        .cmd_iter()
        .map(|command| wherever_it_is(command, cluster));
    Ok(redis::from_redis_value(Value::Array(
        try_join_all(answers).await?,
    ))?)
}

async fn wherever_it_is(command: &Cmd, cluster: &Cluster) -> RedisResult<Value> {
    match command.query_async(&mut cluster.told.connection()).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) => {
            cluster.targets.send(&error, command).await
        }
        answer => answer,
    }
}

fn is_redirected(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::Ask | ServerErrorKind::Moved | ServerErrorKind::TryAgain)
    )
}

fn quick(info: ConnectionInfo) -> ConnectionInfo {
    info.set_tcp_settings(tcp())
}

fn gone() -> RedisError {
    std::io::Error::new(std::io::ErrorKind::NotConnected, "no connection").into()
}
