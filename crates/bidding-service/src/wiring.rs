//! Which adapter stands behind each port.

use crate::config::Config;
use crate::{Ports, SERVICE};
use anyhow::Context;
use futures_util::future::join_all;
use platform::config::{Backends, KafkaSettings, RedisSettings};
use platform::{Clock, Mistakes, Process, Refusals, StartError};
use std::sync::Arc;
use storage::event_log::Topic;
use storage::{EventLog, SpendLedger, UserStates};
use storage_kafka::KafkaLog;
use storage_redis::{RedisLedger, RedisUsers};
use storage_sqlite::SqliteStore;
use tokio::sync::OnceCell;

/// What stands for a backend that is not named.
const EMBEDDED: &str = "embedded sqlite";

/// Nobody's keys, spread over the slots of a cluster, so that the loss of one of its nodes is seen.
const PROBED_USERS: [&str; 6] = ["probe:1", "probe:2", "probe:3", "probe:4", "probe:5", "probe:6"];

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
    let Adapters { ledger, users, log } = adapters;
    let redis_or_embedded =
        |redis: &Option<RedisSettings>| redis.as_ref().map_or(EMBEDDED, RedisSettings::kind);
    process.tell_backends(
        SERVICE,
        &[
            ("spend ledger", redis_or_embedded(&backends.redis)),
            ("user states", redis_or_embedded(&backends.users_redis)),
            ("event log", log.as_ref().map_or(EMBEDDED, |_| "kafka")),
        ],
    );
    let file = OnceCell::new_with(shared);
    let embedded = || file.get_or_try_init(|| open(&backends.embedded_url, &process.clock));
    Ok(Ports {
        event_log: match log {
            Some(log) => log,
            None => embedded().await?.clone(),
        },
        spend_ledger: match ledger {
            Some(ledger) => ledger,
            None => embedded().await?.clone(),
        },
        user_states: match users {
            Some(users) => users,
            None => embedded().await?.clone(),
        },
    })
}

/// One embedded store behind every port.
#[must_use]
pub fn embedded(store: Arc<SqliteStore>) -> Ports {
    Ports {
        event_log: store.clone(),
        spend_ledger: store.clone(),
        user_states: store,
    }
}

/// Those of the backends that the settings name.
struct Adapters {
    ledger: Option<Arc<RedisLedger>>,
    users: Option<Arc<RedisUsers>>,
    log: Option<Arc<KafkaLog>>,
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
        let adapters = Self {
            ledger: refusals.adapter("REDIS_HOST", ledger).map(Arc::new),
            users: refusals.adapter("REDIS_USERS_URL", users).map(Arc::new),
            log: refusals.adapter("KAFKA_BROKERS", log).map(Arc::new),
        };
        refusals.finish().map(|()| adapters)
    }

    /// Metric `backend_up`.
    fn watch(&self, process: &Process) {
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
                async move {
                    join_all(PROBED_USERS.map(|user| users.read(user, 0)))
                        .await
                        .iter()
                        .all(Result::is_ok)
                }
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

async fn open(url: &str, clock: &Clock) -> anyhow::Result<Arc<SqliteStore>> {
    let clock = clock.clone();
    let store = SqliteStore::open(url, Arc::new(move || clock.unix_ms()))
        .await
        .with_context(|| format!("cannot open {url}"))?;
    Ok(Arc::new(store))
}
