//! Sends a script to the node that serves its group, and follows the group when it moves.
//!
//! The `redis` crate's own routing hides which server answered. The ledger must know: a verdict counts only on the server
//! whose run id the script was given, and `WAIT` only on the connection that wrote.
//!
//! Nor does a master count that hung, was replaced and wakes: its books say that they are good, until others tell it. Who has
//! not heard from a server lately asks all of them whose the group is, before anything is sent; an answer that was waited for too
//! long is none. So a verdict of a replaced master is at most [`HEARD_LATELY`] and [`CALL_WITHIN`] younger than its replacement,
//! and that one's books are rebuilt later than that, by the whole wait for its leases (T1 and 3 s).

use crate::connection::{Connection, Link, Warned};
use crate::error::{storage_error, unavailable};
use crate::settings::{Settings, SettingsError};
use crate::topology::{self, Address, Master, masters, owner, slot_of};
use futures_util::future::join_all;
use redis::{Cmd, ConnectionAddr, ConnectionInfo, RedisError, ServerErrorKind, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use storage::StorageError;

pub(crate) const GROUPS: u32 = 64;

const CALL_WITHIN: Duration = Duration::from_millis(1_000);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
const VIEW_WITHIN: Duration = Duration::from_millis(400);
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// For so long after an answer a server is taken for what it was. A bidder asks each every second, for groups to rebuild.
const HEARD_LATELY: Duration = Duration::from_secs(2);
/// Of one call: a group that moved, a script that a new server does not know.
const ATTEMPTS: u32 = 4;

/// Each node has a connection for each: a renewal that waits for a replica must not hold up a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Renewals,
    Notices,
}

pub(crate) struct Script {
    code: &'static str,
    script: redis::Script,
}

impl Script {
    pub(crate) fn new(code: &'static str) -> Self {
        Self {
            code,
            script: redis::Script::new(code),
        }
    }
}

/// One run of a script in one group. The group's head key and the server's run id come first by themselves.
pub(crate) struct Call<'a> {
    pub(crate) group: u32,
    pub(crate) lane: Lane,
    pub(crate) script: &'a Script,
    /// After `{gNN}:`.
    pub(crate) keys: &'a [String],
    /// After the run id.
    pub(crate) args: &'a [Vec<u8>],
    /// Whether it may run where the group is moving to while half of it is still here.
    pub(crate) follows_moves: bool,
}

pub(crate) struct Reply {
    pub(crate) value: Value,
    pub(crate) connection: Arc<Connection>,
    pub(crate) has_replica: bool,
}

struct Node {
    host: String,
    renewals: Link,
    notices: Link,
    /// When the last question was sent that it answered in time.
    heard_at: Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Place {
    node: Arc<Node>,
    has_replica: bool,
}

pub(crate) struct Router {
    seeds: Vec<ConnectionInfo>,
    is_cluster: bool,
    nodes: Mutex<HashMap<Address, Arc<Node>>>,
    /// By group; `None` while nobody says who serves it.
    places: RwLock<Vec<Option<Place>>>,
    looked: tokio::sync::Mutex<Option<Instant>>,
}

impl Router {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let seeds = settings.connection_infos()?;
        let router = Self {
            places: RwLock::new(vec![None; GROUPS as usize]),
            is_cluster: settings.cluster,
            nodes: Mutex::default(),
            looked: tokio::sync::Mutex::default(),
            seeds,
        };
        if let (false, Some(only)) = (router.is_cluster, router.seeds.first()) {
            let place = Place {
                node: Arc::new(Node::new(only)),
                has_replica: false,
            };
            *router.places.write().unwrap_or_else(PoisonError::into_inner) =
                vec![Some(place); GROUPS as usize];
        }
        Ok(router)
    }

    /// Within a second, whatever the servers do.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Reply, StorageError> {
        match tokio::time::timeout(CALL_WITHIN, self.call_until_answered(call)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(unavailable("no answer in time")),
        }
    }

    async fn call_until_answered(&self, call: &Call<'_>) -> Result<Reply, StorageError> {
        let mut last = unavailable("the group moves about");
        for _ in 0..ATTEMPTS {
            let place = self.place(call.group).await?;
            let link = place.node.link(call.lane);
            let connection = match link.connection().await {
                Ok(connection) => connection,
                Err(error) => {
                    self.look(false).await;
                    return Err(error);
                }
            };
            let sent_at = Instant::now();
            let error = match connection.send(&command(call, &connection)).await {
                // This process hung, too, and the server may have been replaced before it answered.
                Ok(_) if sent_at.elapsed() > CALL_WITHIN => return Err(unavailable("no answer in time")),
                Ok(value) => {
                    place.node.heard(sent_at);
                    return Ok(Reply {
                        value,
                        connection,
                        has_replica: place.has_replica,
                    });
                }
                Err(error) => error,
            };
            link.failed(&connection, &error).await;
            last = storage_error(&error);
            match kind(&error) {
                Some(ServerErrorKind::NoScript) => load(&connection, call.script).await?,
                Some(ServerErrorKind::Moved) => self.look(true).await,
                Some(ServerErrorKind::Ask) if call.follows_moves => {
                    return self.ask(call, &error, &place.node.host).await;
                }
                Some(ServerErrorKind::Ask) => return Err(unavailable("the group is moving")),
                _ => {
                    // Whether it took effect is unknown, and the caller's to repeat.
                    self.look(false).await;
                    return Err(last);
                }
            }
        }
        Err(last)
    }

    /// `host`: of the node that said so.
    async fn ask(&self, call: &Call<'_>, asked: &RedisError, host: &str) -> Result<Reply, StorageError> {
        let address = asked
            .redirect_node()
            .and_then(|(told, _slot)| topology::address_of(told, host, self.is_tls()));
        let node = self.node(&address.ok_or_else(|| storage_error(asked))?);
        let connection = node.link(call.lane).connection().await?;
        load(&connection, call.script).await?;
        let value = connection
            .send_asking(&command(call, &connection))
            .await
            .map_err(|error| storage_error(&error))?;
        Ok(Reply {
            value,
            connection,
            has_replica: true,
        })
    }

    async fn place(&self, group: u32) -> Result<Place, StorageError> {
        let known = || {
            let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
            places.get(group as usize).cloned().flatten()
        };
        match known() {
            Some(place) if !self.is_cluster || place.node.was_heard_lately() => return Ok(place),
            Some(_) => self.look_unless_within(HEARD_LATELY).await,
            None => self.look(false).await,
        }
        known().ok_or_else(|| unavailable("no node serves the group"))
    }

    /// The server that a group is on now: it is asked, since a connection that nobody uses does not learn that its server
    /// was started again.
    pub(crate) async fn run_id(&self, group: u32) -> Result<String, StorageError> {
        let find = async {
            let place = self.place(group).await?;
            let outcome = place.node.answering().await;
            if outcome.is_err() {
                self.look(false).await;
            }
            Ok(outcome?.run_id.clone())
        };
        tokio::time::timeout(CALL_WITHIN, find)
            .await
            .unwrap_or_else(|_elapsed| Err(unavailable("no answer in time")))
    }

    /// Nodes and replicas come and go without anybody being told.
    pub(crate) async fn look_now_and_then(&self) {
        let is_old = self
            .looked
            .lock()
            .await
            .is_none_or(|at| at.elapsed() > LOOK_AGAIN_AFTER);
        if is_old {
            self.look(false).await;
        }
    }

    /// `is_told`: a node said that the map is wrong.
    async fn look(&self, is_told: bool) {
        let pause = if is_told {
            BETWEEN_LOOKS / 10
        } else {
            BETWEEN_LOOKS
        };
        self.look_unless_within(pause).await;
    }

    /// Asks every node known who serves what, and believes the highest configuration epoch: one node may be cut off.
    /// One at a time.
    async fn look_unless_within(&self, pause: Duration) {
        if !self.is_cluster {
            return;
        }
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        let asked = self.asked().into_iter().map(|(address, node)| async move {
            let view = tokio::time::timeout(VIEW_WITHIN, node.view(&address.host, self.is_tls()));
            view.await.ok().flatten()
        });
        let found: Vec<Master> = join_all(asked).await.into_iter().flatten().flatten().collect();
        *looked = Some(Instant::now());
        if found.is_empty() {
            return;
        }
        let places = (0..GROUPS).map(|group| {
            let master = owner(&found, slot_of(&tag(group)))?;
            Some(Place {
                node: self.node(&master.address),
                has_replica: master.has_replica,
            })
        });
        let places: Vec<Option<Place>> = places.collect();
        *self.places.write().unwrap_or_else(PoisonError::into_inner) = places;
        // A node that has left would be asked for ever.
        self.nodes()
            .retain(|address, _| found.iter().any(|master| master.address == *address));
    }

    fn asked(&self) -> Vec<(Address, Arc<Node>)> {
        let seeds = self.seeds.iter().filter_map(|seed| address_of(seed.addr()));
        let known: Vec<Address> = self.nodes().keys().cloned().collect();
        let mut addresses: Vec<Address> = seeds.chain(known).collect();
        addresses.sort_by(|one, other| (&one.host, one.port).cmp(&(&other.host, other.port)));
        addresses.dedup();
        addresses
            .into_iter()
            .map(|address| {
                let node = self.node(&address);
                (address, node)
            })
            .collect()
    }

    fn node(&self, address: &Address) -> Arc<Node> {
        let mut nodes = self.nodes();
        let node = nodes
            .entry(address.clone())
            .or_insert_with(|| Arc::new(Node::new(&self.info(address))));
        node.clone()
    }

    /// As the first seed is reached, at another address.
    fn info(&self, address: &Address) -> ConnectionInfo {
        let (host, port) = (address.host.clone(), address.port);
        let like = |seed: &ConnectionInfo| match seed.addr() {
            ConnectionAddr::TcpTls {
                insecure, tls_params, ..
            } => ConnectionAddr::TcpTls {
                host: host.clone(),
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host.clone(), port),
        };
        // `seeds` is never empty.
        let seed = &self.seeds[0];
        seed.clone().set_addr(like(seed))
    }

    fn is_tls(&self) -> bool {
        matches!(self.seeds[0].addr(), ConnectionAddr::TcpTls { .. })
    }

    fn nodes(&self) -> std::sync::MutexGuard<'_, HashMap<Address, Arc<Node>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    fn new(info: &ConnectionInfo) -> Self {
        let warned = Warned::default();
        Self {
            host: address_of(info.addr()).map_or_else(String::new, |of| of.host),
            renewals: Link::new(info.clone(), warned.clone()),
            notices: Link::new(info.clone(), warned),
            heard_at: Mutex::default(),
        }
    }

    async fn answering(&self) -> Result<Arc<Connection>, StorageError> {
        let connection = self.notices.connection().await?;
        let asked_at = Instant::now();
        if let Err(error) = connection.send(&redis::cmd("PING")).await {
            self.notices.failed(&connection, &error).await;
            return Err(storage_error(&error));
        }
        self.heard(asked_at);
        Ok(connection)
    }

    fn heard(&self, asked_at: Instant) {
        let mut heard_at = self.heard_at.lock().unwrap_or_else(PoisonError::into_inner);
        *heard_at = (*heard_at).max(Some(asked_at));
    }

    fn was_heard_lately(&self) -> bool {
        let heard_at = *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner);
        heard_at.is_some_and(|at| at.elapsed() < HEARD_LATELY)
    }

    async fn view(&self, host: &str, is_tls: bool) -> Option<Vec<Master>> {
        let connection = self.notices.connection().await.ok()?;
        let nodes = redis::cmd("CLUSTER").arg("NODES").to_owned();
        match connection.send(&nodes).await {
            Ok(told) => Some(masters(
                &redis::from_redis_value::<String>(told).ok()?,
                host,
                is_tls,
            )),
            Err(error) => {
                self.notices.failed(&connection, &error).await;
                None
            }
        }
    }

    fn link(&self, lane: Lane) -> &Link {
        match lane {
            Lane::Renewals => &self.renewals,
            Lane::Notices => &self.notices,
        }
    }
}

/// The part of a group's keys that says where they are.
pub(crate) fn tag(group: u32) -> String {
    format!("g{group:02}")
}

fn command(call: &Call<'_>, connection: &Connection) -> Cmd {
    let prefix = format!("{{{}}}:", tag(call.group));
    let mut command = redis::cmd("EVALSHA");
    command
        .arg(call.script.script.get_hash())
        .arg(call.keys.len() + 1);
    command.arg(format!("{prefix}head"));
    for key in call.keys {
        command.arg(format!("{prefix}{key}"));
    }
    command.arg(&connection.run_id);
    for arg in call.args {
        command.arg(arg.as_slice());
    }
    command
}

async fn load(connection: &Connection, script: &Script) -> Result<(), StorageError> {
    let load = redis::cmd("SCRIPT").arg("LOAD").arg(script.code).to_owned();
    connection
        .send(&load)
        .await
        .map(|_hash| ())
        .map_err(|error| storage_error(&error))
}

fn address_of(addr: &ConnectionAddr) -> Option<Address> {
    match addr {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some(Address {
            host: host.clone(),
            port: *port,
        }),
        _ => None,
    }
}

fn kind(error: &RedisError) -> Option<ServerErrorKind> {
    match error.kind() {
        redis::ErrorKind::Server(kind) => Some(kind),
        _ => None,
    }
}
