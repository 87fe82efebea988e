//! Which adapter serves which port. The only file that names one.

use crate::config::Config;
use crate::{Ports, SERVICE};
use anyhow::Context;
use platform::config::{Backends, KafkaSettings, PostgresSettings, RedisSettings};
use platform::{Clock, Mistakes, Process, Refusals, StartError};
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

/// Makes an adapter for each backend that the settings name, and opens the embedded file for the others, unless it
/// is `shared` with other services of this process. Waits for no server: readiness does.
///
/// # Errors
/// [`Mistakes`] when an adapter refuses its settings; when the embedded file cannot be opened.
pub async fn ports(
    config: &Config,
    process: &Process,
    shared: Option<Arc<SqliteStore>>,
) -> Result<Ports, StartError> {
    let backends = &config.backends;
    let adapters = Adapters::of(backends)?;
    adapters.watch(process);
    let Adapters {
        campaigns,
        ledger,
        log,
        users,
    } = adapters;
    process.tell_backends(
        SERVICE,
        &[
            (
                "campaign store",
                campaigns.as_ref().map_or(EMBEDDED, |_| "postgresql"),
            ),
            (
                "spend ledger",
                backends.redis.as_ref().map_or(EMBEDDED, RedisSettings::kind),
            ),
            ("event log", log.as_ref().map_or(EMBEDDED, |_| "kafka")),
            (
                "user states",
                backends
                    .users_redis
                    .as_ref()
                    .map_or(EMBEDDED, RedisSettings::kind),
            ),
        ],
    );
    if let Some(store) = &campaigns {
        wait_for_schema(store.clone(), process);
    }
    if let Some(log) = &log
        && process.settings.environment.is_development()
    {
        make_topics(log.clone(), process);
    }
    let file = OnceCell::new_with(shared);
    let embedded = || file.get_or_try_init(|| open(&backends.embedded_url, &process.clock));
    Ok(Ports {
        campaigns: match campaigns {
            Some(store) => store,
            None => embedded().await?.clone(),
        },
        ledger: match ledger {
            Some(ledger) => ledger,
            None => embedded().await?.clone(),
        },
        log: match log {
            Some(log) => log,
            None => embedded().await?.clone(),
        },
        users: match users {
            Some(users) => users,
            None => embedded().await?.clone(),
        },
    })
}

/// One embedded store behind every port.
#[must_use]
pub fn embedded(store: Arc<SqliteStore>) -> Ports {
    Ports {
        campaigns: store.clone(),
        ledger: store.clone(),
        log: store.clone(),
        users: store,
    }
}

/// Those of the backends that the settings name.
struct Adapters {
    campaigns: Option<Arc<PostgresStore>>,
    ledger: Option<Arc<RedisLedger>>,
    log: Option<Arc<KafkaLog>>,
    users: Option<Arc<RedisUsers>>,
}

impl Adapters {
    fn of(backends: &Backends) -> Result<Self, Mistakes> {
        let mut refusals = Refusals::default();
        let ledger = backends.redis.as_ref().map(|at| RedisLedger::new(&redis(at)));
        let users = backends
            .users_redis
            .as_ref()
            .map(|at| RedisUsers::new(&redis(at)));
        let log = backends.kafka.as_ref().map(|at| KafkaLog::new(&kafka(at)));
        let campaigns = backends
            .postgres
            .as_ref()
            .map(|at| PostgresStore::new(&postgres(at)));
        let adapters = Self {
            campaigns: refusals.adapter("DATABASE_URL", campaigns).map(Arc::new),
            ledger: refusals.adapter("REDIS_HOST", ledger).map(Arc::new),
            log: refusals.adapter("KAFKA_BROKERS", log).map(Arc::new),
            users: refusals.adapter("REDIS_USERS_URL", users).map(Arc::new),
        };
        refusals.finish().map(|()| adapters)
    }

    /// Metric `backend_up`.
    fn watch(&self, process: &Process) {
        if let Some(store) = &self.campaigns {
            let store = store.clone();
            process.watch_backend(SERVICE, "postgresql", move || {
                let store = store.clone();
                async move { store.is_migrated().await.is_ok() }
            });
        }
        if let Some(ledger) = &self.ledger {
            let ledger = ledger.clone();
            process.watch_backend(SERVICE, "redis_ledger", move || {
                let ledger = ledger.clone();
                // Of every group, and not refused while one is rebuilt.
                async move { ledger.outbox(0, 1).await.is_ok() }
            });
        }
        if let Some(users) = &self.users {
            let users = users.clone();
            process.watch_backend(SERVICE, "redis_users", move || {
                let users = users.clone();
                async move { users.read("", 0).await.is_ok() }
            });
        }
        if let Some(log) = &self.log {
            let log = log.clone();
            process.watch_backend(SERVICE, "kafka", move || {
                let log = log.clone();
                async move { log.partitions(Topic::Campaigns).await.is_ok() }
            });
        }
    }
}

fn postgres(at: &PostgresSettings) -> storage_postgres::Settings {
    let PostgresSettings {
        database_url,
        replica_url,
        pool_size,
    } = at.clone();
    storage_postgres::Settings {
        database_url,
        replica_url,
        pool_size,
    }
}

fn redis(at: &RedisSettings) -> storage_redis::Settings {
    let RedisSettings {
        nodes,
        cluster,
        username,
        password,
        ca_file,
    } = at.clone();
    storage_redis::Settings {
        nodes,
        cluster,
        username,
        password,
        ca_file,
    }
}

fn kafka(at: &KafkaSettings) -> storage_kafka::Settings {
    let KafkaSettings {
        brokers,
        security_protocol,
        sasl_mechanism,
        sasl_username,
        sasl_password,
        ca_file,
    } = at.clone();
    storage_kafka::Settings {
        brokers,
        security_protocol: Some(security_protocol),
        sasl_mechanism,
        sasl_username,
        sasl_password,
        ca_file,
        topic_prefix: String::new(),
    }
}

/// Not ready before. Migrations are a job of their own, but for development, which has nobody to run it.
fn wait_for_schema(store: Arc<PostgresStore>, process: &Process) {
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
fn make_topics(log: Arc<KafkaLog>, process: &Process) {
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

async fn open(url: &str, clock: &Clock) -> anyhow::Result<Arc<SqliteStore>> {
    let clock = clock.clone();
    let store = SqliteStore::open(url, Arc::new(move || clock.unix_ms()))
        .await
        .with_context(|| format!("cannot open {url}"))?;
    Ok(Arc::new(store))
}
