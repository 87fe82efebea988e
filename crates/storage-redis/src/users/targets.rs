//! Where slots are moving to. The `redis` crate connects to nodes that serve one, and a node that a Cluster grows by serves none
//! until the first has arrived.

use super::door::{ANSWER_WITHIN, CONNECT_WITHIN, PAUSE_MS};
use crate::error::breaks_connection;
use crate::settings::{address, at};
use crate::topology::{Address, address_of};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, RedisError, RedisResult, Value,
};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A Cluster grows by a few at a time; where it grew on and on, all are connected to anew.
const MOST: usize = 16;

type Opening = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

pub(super) struct Targets {
    seed: ConnectionInfo,
    /// Since when.
    open: Mutex<HashMap<Address, (Instant, Opening)>>,
}

impl Targets {
    /// All are reached as `seed` is.
    pub(super) fn new(seed: ConnectionInfo) -> Self {
        Self {
            seed,
            open: Mutex::default(),
        }
    }

    /// ASKING holds for what comes next on the connection, whoever's that is: so both go in one piece, which the crate's own
    /// way of following does not see to. `asked`: who named the node, for `command`.
    pub(super) async fn send(&self, asked: &RedisError, command: &Cmd) -> RedisResult<Value> {
        let address = self.named_by(asked).ok_or_else(|| asked.clone())?;
        let opening = self.opening(&address);
        let mut asking = redis::pipe();
        asking.cmd("ASKING").ignore().add_command(command.clone());
        let answer = asking.query_async(&mut opening.clone().await?).await;
        if answer.as_ref().is_err_and(breaks_connection) {
            self.open().retain(|_, (_, kept)| !kept.ptr_eq(&opening));
        }
        let (value,): (Value,) = answer?;
        Ok(value)
    }

    /// A Cluster that names no hosts is reached at one, by several ports.
    fn named_by(&self, asked: &RedisError) -> Option<Address> {
        let (told, _slot) = asked.redirect_node()?;
        let is_tls = matches!(self.seed.addr(), ConnectionAddr::TcpTls { .. });
        address_of(told, &address(&self.seed)?.host, is_tls)
    }

    /// It goes on when whoever asked gives up.
    fn opening(&self, address: &Address) -> Opening {
        let mut open = self.open();
        if let Some((began, opening)) = open.get(address) {
            let has_failed = opening.peek().is_some_and(Result::is_err);
            if !has_failed || began.elapsed() < Duration::from_millis(PAUSE_MS) {
                return opening.clone();
            }
        }
        if open.len() >= MOST {
            open.clear();
        }
        let opening = connect(at(&self.seed, address)).boxed().shared();
        tokio::spawn(opening.clone());
        open.insert(address.clone(), (Instant::now(), opening.clone()));
        opening
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Address, (Instant, Opening)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(info: ConnectionInfo) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN));
    Client::open(info)?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}
