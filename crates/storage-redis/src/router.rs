//! Sends a script to the node that serves its group, and follows the group when it moves.
//!
//! The `redis` crate's own routing hides which server answered. The ledger must know: a verdict counts only on the server
//! whose run id the script was given, and `WAIT` only on the connection that wrote.
//!
//! Nor does a master count that hung, was replaced and wakes: its books say that they are good, until others tell it. Who has
//! not heard from a server lately asks all of them whose the group is, before anything is sent, and where none of them answers
//! nothing is; an answer that was waited for too long is none. So a verdict of a replaced master is at most [`HEARD_LATELY`],
//! [`VIEW_WITHIN`] and [`CALL_WITHIN`] younger than its replacement, and that one's books are rebuilt later than that, by the whole
//! wait for its leases (T1 and 3 s).

use crate::connection::{Connection, Link, Warned};
use crate::error::{storage_error, unavailable};
use crate::settings::{Settings, SettingsError, address, at};
use crate::topology::{self, Address, Master, masters, owner, slot_of};
use futures_util::future::join_all;
use redis::{Cmd, ConnectionAddr, ConnectionInfo, RedisError, ServerErrorKind, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use storage::StorageError;
use tokio::time::timeout_at;

pub(crate) const GROUPS: u32 = 64;

const CALL_WITHIN: Duration = Duration::from_millis(1_000);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
const VIEW_WITHIN: Duration = Duration::from_millis(400);
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// For so long after a question that was answered a server is taken for what it was. A bidder asks each every second, for groups
/// to rebuild.
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
    /// When the last question was begun that it answered.
    heard_at: Mutex<Option<Instant>>,
}

/// Of all nodes, for whose the groups are.
#[derive(Default)]
struct Looks {
    last: Option<Instant>,
    /// When the last one was begun that anybody answered.
    confirmed_at: Option<Instant>,
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
    looks: tokio::sync::Mutex<Looks>,
}

impl Router {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let seeds = settings.connection_infos()?;
        let router = Self {
            places: RwLock::new(vec![None; GROUPS as usize]),
            is_cluster: settings.cluster,
            nodes: Mutex::default(),
            looks: tokio::sync::Mutex::default(),
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
        in_time(self.call_until_answered(call)).await
    }

    async fn call_until_answered(&self, call: &Call<'_>) -> Result<Reply, StorageError> {
        let mut last = unavailable("the group moves about");
        for _ in 0..ATTEMPTS {
            // Before it is known where: this process may hang from then on, and the server be replaced.
            let asked_at = Instant::now();
            let place = self.place(call.group).await?;
            let link = place.node.link(call.lane);
            let connection = match link.connection().await {
                Ok(connection) => connection,
                Err(error) => {
                    self.look(false).await;
                    return Err(error);
                }
            };
            let error = match connection.send(&command(call, &connection)).await {
                Ok(value) => {
                    place.node.heard(asked_at);
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
        let told = asked
            .redirect_node()
            .and_then(|(told, _slot)| topology::address_of(told, host, self.is_tls()));
        let node = self.node(&told.ok_or_else(|| storage_error(asked))?);
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
            Some(_) if !self.is_confirmed().await => {
                return Err(unavailable("nobody says whose the group is"));
            }
            Some(_) => {}
            None => self.look(false).await,
        }
        known().ok_or_else(|| unavailable("no node serves the group"))
    }

    /// The server that a group is on now: it is asked, since a connection that nobody uses does not learn that its server
    /// was started again.
    pub(crate) async fn run_id(&self, group: u32) -> Result<String, StorageError> {
        in_time(async {
            let asked_at = Instant::now();
            let place = self.place(group).await?;
            let outcome = place.node.answering(asked_at).await;
            if outcome.is_err() {
                self.look(false).await;
            }
            Ok(outcome?.run_id.clone())
        })
        .await
    }

    /// Nodes and replicas come and go without anybody being told.
    pub(crate) async fn look_now_and_then(&self) {
        self.look_unless_within(LOOK_AGAIN_AFTER).await;
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

    async fn look_unless_within(&self, pause: Duration) {
        let mut looks = self.looks.lock().await;
        if self.is_cluster && !is_younger(looks.last, pause) {
            self.look_around(&mut looks).await;
        }
    }

    /// Whether anybody said lately whose the groups are; asks where nobody did.
    async fn is_confirmed(&self) -> bool {
        let mut looks = self.looks.lock().await;
        if !is_younger(looks.confirmed_at, HEARD_LATELY) && !is_younger(looks.last, BETWEEN_LOOKS) {
            self.look_around(&mut looks).await;
        }
        is_younger(looks.confirmed_at, HEARD_LATELY)
    }

    /// Asks every node known who serves what, and believes the highest configuration epoch: one node may be cut off.
    /// One at a time.
    async fn look_around(&self, looks: &mut Looks) {
        let began = Instant::now();
        let asked = self
            .asked()
            .into_iter()
            .map(|(address, node)| async move { node.view(&address.host, self.is_tls()).await });
        let found: Vec<Master> = join_all(asked).await.into_iter().flatten().flatten().collect();
        looks.last = Some(Instant::now());
        if found.is_empty() {
            return;
        }
        looks.confirmed_at = Some(began);
        let places = (0..GROUPS).map(|group| {
            let master = owner(&found, slot_of(&tag(group)))?;
            Some(Place {
                node: self.node(&master.address),
                has_replica: master.has_replica,
            })
        });
        let places: Vec<Option<Place>> = places.collect();
        *self.places.write().unwrap_or_else(PoisonError::into_inner) = places;
        // A node that has left would be asked for ever; the seeds are in any case, and are not forgotten in between.
        let seeds = self.seed_addresses();
        self.nodes().retain(|address, _| {
            seeds.contains(address) || found.iter().any(|master| master.address == *address)
        });
    }

    fn seed_addresses(&self) -> Vec<Address> {
        let addresses = self.seeds.iter().filter_map(address);
        addresses.collect()
    }

    fn asked(&self) -> Vec<(Address, Arc<Node>)> {
        let mut addresses = self.seed_addresses();
        addresses.extend(self.nodes().keys().cloned());
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
        // `seeds` is never empty.
        let node = nodes
            .entry(address.clone())
            .or_insert_with(|| Arc::new(Node::new(&at(&self.seeds[0], address))));
        node.clone()
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
            host: address(info).map_or_else(String::new, |of| of.host),
            renewals: Link::new(info.clone(), warned.clone()),
            notices: Link::new(info.clone(), warned),
            heard_at: Mutex::default(),
        }
    }

    async fn answering(&self, asked_at: Instant) -> Result<Arc<Connection>, StorageError> {
        let connection = self.notices.connection().await?;
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
        is_younger(heard_at, HEARD_LATELY)
    }

    async fn view(&self, host: &str, is_tls: bool) -> Option<Vec<Master>> {
        let ends = tokio::time::Instant::now() + VIEW_WITHIN;
        let connection = timeout_at(ends, self.notices.connection()).await.ok()?.ok()?;
        let nodes = redis::cmd("CLUSTER").arg("NODES").to_owned();
        match timeout_at(ends, connection.send(&nodes)).await {
            Ok(Ok(told)) => Some(masters(
                &redis::from_redis_value::<String>(told).ok()?,
                host,
                is_tls,
            )),
            Ok(Err(error)) => {
                self.notices.failed(&connection, &error).await;
                None
            }
            // Lost without a word, perhaps: no call would find out, since none is sent before somebody has answered this.
            Err(_elapsed) => {
                self.notices.discard(&connection).await;
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

/// An answer that comes later does not count, even where it was this process that hung: the server may have been replaced before
/// it answered.
async fn in_time<T>(answer: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
    let began = Instant::now();
    match tokio::time::timeout(CALL_WITHIN, answer).await {
        Ok(answer) if began.elapsed() <= CALL_WITHIN => answer,
        _ => Err(unavailable("no answer in time")),
    }
}

fn is_younger(at: Option<Instant>, age: Duration) -> bool {
    at.is_some_and(|at| at.elapsed() < age)
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

fn kind(error: &RedisError) -> Option<ServerErrorKind> {
    match error.kind() {
        redis::ErrorKind::Server(kind) => Some(kind),
        _ => None,
    }
}
