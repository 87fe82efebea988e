//! One database on a list of hosts: connections to the host that plays the wanted role, transactions with limits, and
//! what is tried again.

use crate::error::Failure;
use crate::settings::{UrlError, hosts};
use crate::transaction::Transaction;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres, Row};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::StorageError;
use tokio::time::{Instant, sleep, timeout};

/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a pooled connection has for beginning a transaction, the waiting for it included: a server that hangs is
/// found out before a statement is.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(4);
/// How long one host has for saying what it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// The server's own limits end a statement earlier; this one is for a network that swallows the answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
const ATTEMPTS: u32 = 4;

/// `sqlx` names its statements all the same, and only forgets the names.
const NO_STATEMENT_CACHE: &str = "statement-cache-capacity=0";

/// Limits of a session of our own. The last one keeps a process that froze or lost its network from holding the store's lock.
const LIMITS: &str =
    "SET statement_timeout = '10s'; SET lock_timeout = '3s'; SET idle_in_transaction_session_timeout = '5s'";

/// A pooler shares sessions out: the limits are of each transaction.
macro_rules! begin_shared {
    ($first:literal) => {
        concat!(
            $first,
            "; DEALLOCATE ALL; SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '3s'; \
             SET LOCAL idle_in_transaction_session_timeout = '5s'"
        )
    };
}

/// What opens a transaction: on a connection of our own, or on one of a pooler's, where others have left statements by
/// the names that ours are going to have.
struct Begin {
    own: &'static str,
    shared: &'static str,
}

const WRITE: Begin = Begin {
    own: "BEGIN",
    shared: begin_shared!("BEGIN"),
};
/// What a crash may take back.
const WRITE_LAZILY: Begin = Begin {
    own: "BEGIN; SET LOCAL synchronous_commit = off",
    shared: begin_shared!("BEGIN; SET LOCAL synchronous_commit = off"),
};
/// All of one instant, however many statements it takes.
const READ: Begin = Begin {
    own: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    shared: begin_shared!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
};

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
    turn: Turn,
    /// A pooler is before the server, and prepared statements are not kept.
    pub(crate) shares_connections: bool,
}

/// Which host of the list connections go to, and since when. Older connections lead to the host before: they are not
/// used again, even where it still answers.
#[derive(Clone, Default)]
struct Turn(Arc<Mutex<Option<(usize, Instant)>>>);

impl Turn {
    fn last(&self) -> Option<(usize, Instant)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether that is another host than before.
    fn to(&self, host: usize) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = last.is_none_or(|(before, _)| before != host);
        if is_new {
            *last = Some((host, Instant::now()));
        }
        is_new
    }

    fn is_older_than_connection(&self, age: Duration) -> bool {
        self.last().is_none_or(|(_, at)| age <= at.elapsed())
    }
}

impl Database {
    /// Connects to nothing yet.
    pub(crate) fn new(url: &str, pool_size: u32, role: Role) -> Result<Self, UrlError> {
        let hosts = hosts(url)?;
        let first = hosts.first().cloned().unwrap_or_default();
        let shares_connections = url.contains(NO_STATEMENT_CACHE);
        let turn = Turn::default();
        let pool_turn = turn.clone();
        let pool = PgPoolOptions::new()
            .max_connections(pool_size.max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // `begin` finds out by itself, without a round trip before each transaction.
            .test_before_acquire(false)
            .before_acquire(move |_, connection| {
                let leads_to_the_right_host = pool_turn.is_older_than_connection(connection.age);
                Box::pin(async move { Ok(leads_to_the_right_host) })
            })
            .after_connect(move |connection, _| Box::pin(welcome(connection, role, shares_connections)))
            .connect_lazy_with(first);
        Ok(Self {
            pool,
            hosts,
            role,
            turn,
            shares_connections,
        })
    }

    pub(crate) async fn write(&self) -> Result<Transaction, Failure> {
        self.begin(WRITE).await
    }

    pub(crate) async fn write_lazily(&self) -> Result<Transaction, Failure> {
        self.begin(WRITE_LAZILY).await
    }

    pub(crate) async fn read(&self) -> Result<Transaction, Failure> {
        self.begin(READ).await
    }

    /// The first connection, to the host that is the right one now.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, Failure> {
        self.turn_to_the_right_host().await;
        Ok(self.pool.acquire().await?)
    }

    /// A connection for one statement that reads.
    pub(crate) async fn lend(&self) -> Result<Transaction, Failure> {
        Ok(Transaction::lend(&self.pool).await?)
    }

    async fn begin(&self, begin: Begin) -> Result<Transaction, Failure> {
        let begin = if self.shares_connections {
            begin.shared
        } else {
            begin.own
        };
        self.on_a_connection_that_works(async || Ok(Transaction::begin(&self.pool, begin).await?))
            .await
    }

    /// For what comes first on a connection and changes nothing, which may be repeated on another one.
    pub(crate) async fn on_a_connection_that_works<T, Fut>(
        &self,
        first: impl Fn() -> Fut,
    ) -> Result<T, Failure>
    where
        Fut: Future<Output = Result<T, Failure>>,
    {
        if self.turn.last().is_none() {
            self.turn_to_the_right_host().await;
        }
        let deadline = Instant::now() + ACQUIRE_TIMEOUT;
        loop {
            let failure = match timeout(BEGIN_TIMEOUT, first()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(failure)) => failure,
                Err(_) => does_not_answer().into(),
            };
            if !failure.lost_connection() || Instant::now() >= deadline {
                return match self.turn_to_the_right_host().await {
                    true => first().await,
                    false => Err(failure),
                };
            }
            // Connections that died idle are thrown away one by one; then a new one tells how the server is.
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs the operation again while its failure says that it has changed nothing.
    pub(crate) async fn tried<T, Fut>(&self, mut operation: impl FnMut() -> Fut) -> Result<T, Failure>
    where
        Fut: Future<Output = Result<T, Failure>>,
    {
        let mut attempt = 1;
        loop {
            let failure = match timeout(ATTEMPT_TIMEOUT, operation()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    self.turn_to_the_right_host().await;
                    return Err(does_not_answer().into());
                }
            };
            if attempt == ATTEMPTS || !failure.may_be_repeated() {
                return Err(failure);
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
        for (number, host) in self.hosts.iter().enumerate() {
            if let Ok(Ok(())) = timeout(PROBE_TIMEOUT, probe(host, self.role)).await {
                self.pool.set_connect_options(host.clone());
                if self.turn.to(number) {
                    tracing::info!(
                        host = host.get_host(),
                        port = host.get_port(),
                        "connecting to this database host"
                    );
                }
                return true;
            }
        }
        false
    }
}

fn does_not_answer() -> StorageError {
    StorageError::Unavailable("the database does not answer".to_owned())
}

async fn probe(host: &PgConnectOptions, role: Role) -> Result<(), sqlx::Error> {
    let mut connection = host.connect().await?;
    check_role(&mut connection, role).await?;
    connection.close().await
}

/// On a connection of our own the limits are the session's: they hold for a lone statement, too, and cost a transaction nothing.
async fn welcome(
    connection: &mut PgConnection,
    role: Role,
    shares_connections: bool,
) -> Result<(), sqlx::Error> {
    check_role(connection, role).await?;
    if !shares_connections {
        sqlx::raw_sql(LIMITS).execute(connection).await?;
    }
    Ok(())
}

async fn check_role(connection: &mut PgConnection, role: Role) -> Result<(), sqlx::Error> {
    if role == Role::Any {
        return Ok(());
    }
    // One message, no prepared statement: outside a transaction a pooler may send the next message elsewhere.
    let row = sqlx::raw_sql("SELECT pg_is_in_recovery()")
        .fetch_one(connection)
        .await?;
    if row.try_get::<bool, _>(0)? {
        return Err(sqlx::Error::Protocol("the server is a standby".to_owned()));
    }
    Ok(())
}
