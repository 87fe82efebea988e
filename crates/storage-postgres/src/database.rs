//! One database on a list of hosts: connections to the host that plays the wanted role, transactions with limits, and
//! what is tried again.

use crate::error::Failure;
use crate::settings::{UrlError, hosts};
use crate::transaction::Transaction;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres};
use std::future::Future;
use std::time::Duration;
use storage::StorageError;
use tokio::time::{Instant, sleep, timeout};

/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one host has for saying what it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// The server's own limits end a statement earlier; this one is for a network that swallows the answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
const ATTEMPTS: u32 = 4;

/// The limits are of the transaction, not of the session, which a pooler may share out. The last one keeps a process
/// that froze or lost its network from holding the store's lock.
const BEGIN_WRITE: &str = "BEGIN; SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '3s'; \
                           SET LOCAL idle_in_transaction_session_timeout = '5s'";
const BEGIN_READ: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '3s'; \
                          SET LOCAL idle_in_transaction_session_timeout = '5s'";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Primary,
    /// Any server of the list that answers.
    Any,
}

pub(crate) struct Database {
    pool: PgPool,
    hosts: Vec<PgConnectOptions>,
    role: Role,
}

impl Database {
    /// Connects to nothing yet.
    pub(crate) fn new(url: &str, pool_size: u32, role: Role) -> Result<Self, UrlError> {
        let hosts = hosts(url)?;
        let first = hosts.first().cloned().unwrap_or_default();
        let pool = PgPoolOptions::new()
            .max_connections(pool_size.max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // `begin` finds out by itself, without a round trip before each transaction.
            .test_before_acquire(false)
            .after_connect(move |connection, _| Box::pin(check_role(connection, role)))
            .connect_lazy_with(first);
        Ok(Self { pool, hosts, role })
    }

    pub(crate) async fn write(&self) -> Result<Transaction, Failure> {
        self.begin(BEGIN_WRITE).await
    }

    pub(crate) async fn read(&self) -> Result<Transaction, Failure> {
        self.begin(BEGIN_READ).await
    }

    /// The first connection, to the host that is the right one now.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, Failure> {
        self.turn_to_the_right_host().await;
        Ok(self.pool.acquire().await?)
    }

    async fn begin(&self, begin: &'static str) -> Result<Transaction, Failure> {
        let deadline = Instant::now() + ACQUIRE_TIMEOUT;
        loop {
            let failure = match Transaction::begin(&self.pool, begin).await {
                Ok(transaction) => return Ok(transaction),
                Err(error) => Failure::from(error),
            };
            if !failure.lost_connection() || Instant::now() >= deadline {
                return match self.turn_to_the_right_host().await {
                    true => Ok(Transaction::begin(&self.pool, begin).await?),
                    false => Err(failure),
                };
            }
            // Connections that died idle are thrown away one by one; then a new one tells how the server is.
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs the operation again while its failure says that it has changed nothing.
    pub(crate) async fn attempt<T, Fut>(&self, mut operation: impl FnMut() -> Fut) -> Result<T, StorageError>
    where
        Fut: Future<Output = Result<T, Failure>>,
    {
        let mut attempt = 1;
        loop {
            let failure = match timeout(ATTEMPT_TIMEOUT, operation()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    return Err(StorageError::Unavailable(
                        "the database does not answer".to_owned(),
                    ));
                }
            };
            if attempt == ATTEMPTS || !failure.may_be_repeated() {
                return Err(failure.into());
            }
            tracing::debug!(attempt, ?failure, "a transaction is repeated");
            // Apart from each other, so that those that collided do not collide again.
            sleep(Duration::from_millis(u64::from(attempt) * fastrand::u64(2..20))).await;
            attempt += 1;
        }
    }

    /// Whether a host was found that new connections go to from now on.
    async fn turn_to_the_right_host(&self) -> bool {
        if self.hosts.len() < 2 {
            return false;
        }
        for host in &self.hosts {
            if let Ok(Ok(())) = timeout(PROBE_TIMEOUT, probe(host, self.role)).await {
                tracing::info!(
                    host = host.get_host(),
                    port = host.get_port(),
                    "connecting to this database host"
                );
                self.pool.set_connect_options(host.clone());
                return true;
            }
        }
        false
    }
}

async fn probe(host: &PgConnectOptions, role: Role) -> Result<(), sqlx::Error> {
    let mut connection = host.connect().await?;
    check_role(&mut connection, role).await?;
    connection.close().await
}

async fn check_role(connection: &mut PgConnection, role: Role) -> Result<(), sqlx::Error> {
    if role == Role::Any {
        return Ok(());
    }
    // Not a prepared statement: a pooler may send the next one elsewhere.
    let is_standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()")
        .persistent(false)
        .fetch_one(connection)
        .await?;
    if is_standby {
        return Err(sqlx::Error::Protocol("the server is a standby".to_owned()));
    }
    Ok(())
}
