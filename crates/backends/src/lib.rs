//! The backends that settings name, as adapters: what every service's `wiring.rs` is made of.
//!
//! Promises: an adapter is made without waiting for its server; a mistake in its settings is told with all others; the
//! embedded file is opened only where something has no backend of its own.
//! Must never: decide which port a service has; that is its wiring's.

mod settings;

pub use settings::{kafka, postgres, redis};

use anyhow::Context;
use futures_util::future::join_all;
use platform::config::Backends;
use platform::{Clock, Mistakes, Process, Refusals};
use std::sync::Arc;
use std::time::Duration;
use storage::event_log::Topic;
use storage::{EventLog, SpendLedger, UserStates};
use storage_kafka::KafkaLog;
use storage_postgres::PostgresStore;
use storage_redis::{RedisLedger, RedisUsers};
use storage_sqlite::SqliteStore;
use tokio::sync::OnceCell;

/// What stands for a backend that is not named.
const EMBEDDED: &str = "embedded sqlite";

/// Nobody's keys, spread over the slots of a cluster, so that the loss of one of its nodes is seen.
const PROBED_USERS: [&str; 6] = ["probe:1", "probe:2", "probe:3", "probe:4", "probe:5", "probe:6"];

/// What a service may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Campaigns and reports.
    Database,
    Ledger,
    Users,
    Log,
}

/// Those of the parts that have a backend of their own.
#[derive(Default)]
pub struct Adapters {
    pub database: Option<Arc<PostgresStore>>,
    pub ledger: Option<Arc<RedisLedger>>,
    pub users: Option<Arc<RedisUsers>>,
    pub log: Option<Arc<KafkaLog>>,
}

impl Adapters {
    /// # Errors
    /// When an adapter refuses its settings.
    pub fn of(backends: &Backends, parts: &[Part]) -> Result<Self, Mistakes> {
        let mut refusals = Refusals::default();
        let is_asked = |part| parts.contains(&part);
        let database = backends.postgres.as_ref().filter(|_| is_asked(Part::Database));
        let database = database.map(|at| PostgresStore::new(&postgres(at)));
        let ledger = backends.redis.as_ref().filter(|_| is_asked(Part::Ledger));
        let ledger = ledger.map(|at| RedisLedger::new(&redis(at)));
        let users = backends.users_redis.as_ref().filter(|_| is_asked(Part::Users));
        let users = users.map(|at| RedisUsers::new(&redis(at)));
        let log = backends.kafka.as_ref().filter(|_| is_asked(Part::Log));
        let log = log.map(|at| KafkaLog::new(&kafka(at)));
        let adapters = Self {
            database: refusals.adapter("DATABASE_URL", database).map(Arc::new),
            ledger: refusals.adapter("REDIS_HOST", ledger).map(Arc::new),
            users: refusals.adapter("REDIS_USERS_URL", users).map(Arc::new),
            log: refusals.adapter("KAFKA_BROKERS", log).map(Arc::new),
        };
        refusals.finish().map(|()| adapters)
    }

    /// Names of the backends, for people.
    #[must_use]
    pub fn database_kind(&self) -> &'static str {
        self.database.as_ref().map_or(EMBEDDED, |_| "postgresql")
    }

    #[must_use]
    pub fn log_kind(&self) -> &'static str {
        self.log.as_ref().map_or(EMBEDDED, |_| "kafka")
    }

    /// Metric `backend_up`.
    pub fn watch(&self, process: &Process, service: &'static str) {
        if let Some(store) = &self.database {
            watch(process, service, "postgresql", store, |store| async move {
                store.is_migrated().await.is_ok()
            });
        }
        if let Some(ledger) = &self.ledger {
            // Of every group, and not refused while one is rebuilt.
            watch(process, service, "redis_ledger", ledger, |ledger| async move {
                ledger.outbox(0, 1).await.is_ok()
            });
        }
        if let Some(users) = &self.users {
            watch(process, service, "redis_users", users, |users| async move {
                let reads = PROBED_USERS.map(|user| users.read(user, 0));
                join_all(reads).await.iter().all(Result::is_ok)
            });
        }
        if let Some(log) = &self.log {
            watch(process, service, "kafka", log, |log| async move {
                log.partitions(Topic::Campaigns).await.is_ok()
            });
        }
    }
}

fn watch<A, Asking>(
    process: &Process,
    service: &'static str,
    backend: &'static str,
    adapter: &Arc<A>,
    ask: fn(Arc<A>) -> Asking,
) where
    A: Send + Sync + 'static,
    Asking: Future<Output = bool> + Send + 'static,
{
    let adapter = adapter.clone();
    process.watch_backend(service, backend, move || ask(adapter.clone()));
}

/// The kind of a Redis, for people.
#[must_use]
pub fn redis_kind(redis: Option<&platform::config::RedisSettings>) -> &'static str {
    redis.map_or(EMBEDDED, platform::config::RedisSettings::kind)
}

/// The file of all that has no backend of its own: opened once, when the first part asks for it.
pub struct Embedded<'a> {
    file: OnceCell<Arc<SqliteStore>>,
    url: &'a str,
    clock: &'a Clock,
}

impl<'a> Embedded<'a> {
    /// `shared` is the file that other services of this process have open.
    #[must_use]
    pub fn new(backends: &'a Backends, clock: &'a Clock, shared: Option<Arc<SqliteStore>>) -> Self {
        Self {
            file: OnceCell::new_with(shared),
            url: &backends.embedded_url,
            clock,
        }
    }

    /// # Errors
    /// When the file cannot be opened.
    pub async fn store(&self) -> anyhow::Result<Arc<SqliteStore>> {
        let file = self.file.get_or_try_init(|| open_file(self.url, self.clock));
        file.await.cloned()
    }
}

/// # Errors
/// When the file cannot be opened.
pub async fn open_file(url: &str, clock: &Clock) -> anyhow::Result<Arc<SqliteStore>> {
    let clock = clock.clone();
    let store = SqliteStore::open(url, Arc::new(move || clock.unix_ms()))
        .await
        .with_context(|| format!("cannot open {url}"))?;
    Ok(Arc::new(store))
}

/// Not ready before. Migrations are a job of their own, but for development, which has nobody to run it.
pub fn wait_for_schema(store: Arc<PostgresStore>, process: &Process) {
    let is_current = process
        .readiness
        .latch("the database's schema is at least our own");
    let migrates = process.settings.environment.is_development();
    let stopped = process.shutdown.requested().clone();
    process.shutdown.spawn("schema", async move {
        tokio::select! {
            () = store.wait_for_schema(migrates) => is_current.set(),
            () = stopped.cancelled() => {}
        }
    });
}

/// For development, as migrations are; elsewhere `adplatform topics` is a job.
pub fn make_topics(log: Arc<KafkaLog>, process: &Process) {
    let stopped = process.shutdown.requested().clone();
    process.shutdown.spawn("topics", async move {
        // Away or refused: told by the log itself, and tried again.
        let made = async {
            while log.create_topics(1, 1).await.is_err() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = made => tracing::info!("kafka has every topic"),
            () = stopped.cancelled() => {}
        }
    });
}
