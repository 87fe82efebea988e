//! Where a process keeps its state: a database, Redis, Kafka, or one embedded file in their place.
//!
//! Backends are chosen by what is configured, never by the build. The values are plain, since an adapter's
//! settings take them as they are; what a driver alone can judge is told at the start, by
//! [`Refusals`](super::Refusals).

mod database;
mod kafka;
mod redis;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use database::PostgresSettings;
pub use kafka::KafkaSettings;
pub use redis::RedisSettings;

use super::{SettingHelp, Settings};
use database::Database;

/// What a service cannot do without; each may be the embedded file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Database,
    Redis,
    Kafka,
}

/// Every backend that the settings name. Cheap to clone; its `Debug` shows no address and no password.
#[derive(Clone, Debug)]
pub struct Backends {
    /// `DATA_DIR`: the folder of everything that a process keeps.
    pub data_dir: PathBuf,
    /// `sqlite:PATH`: the file of whatever has no backend of its own.
    pub embedded_url: String,
    /// Campaigns and reports.
    pub postgres: Option<PostgresSettings>,
    /// The spend ledger, and user states unless they are elsewhere.
    pub redis: Option<RedisSettings>,
    /// User states.
    pub users_redis: Option<RedisSettings>,
    /// The event log.
    pub kafka: Option<KafkaSettings>,
}

impl Backends {
    /// The settings about the database and the folder, as `--help` tells them.
    pub const DATABASE_HELP: &'static [SettingHelp] = database::HELP;
    /// Those about Redis.
    pub const REDIS_HELP: &'static [SettingHelp] = redis::HELP;
    /// Those about Kafka.
    pub const KAFKA_HELP: &'static [SettingHelp] = kafka::HELP;

    /// Reads them; mistakes stay in `settings` until its `finish`.
    ///
    /// Outside development each backend that is `needed` must be named, or `DATABASE_URL` must say `sqlite:`, which
    /// means that file for all that is absent: a typo must never give each replica a ledger of its own.
    pub fn read(settings: &mut Settings, needed: &[Backend]) -> Self {
        let data_dir = settings.path("DATA_DIR", "./data");
        let database = Database::read(settings);
        let redis = RedisSettings::read(settings);
        let backends = Self {
            embedded_url: database
                .sqlite_url()
                .map_or_else(|| default_file(&data_dir), str::to_owned),
            data_dir,
            users_redis: RedisSettings::read_for_users(settings).or_else(|| redis.clone()),
            redis,
            kafka: KafkaSettings::read(settings),
            postgres: database.postgres(),
        };
        let may_be_embedded = settings.environment().is_development() || database.is_sqlite();
        for (backend, name, expected) in [
            (
                Backend::Database,
                database::URL,
                "postgres://user:password@host/database, or sqlite:PATH for an embedded store",
            ),
            (Backend::Redis, redis::HOST, "its host, or REDIS_URL"),
            (Backend::Kafka, kafka::BROKERS, "host:port, several with commas"),
        ] {
            let is_absent = match backend {
                // One that is wrong has been told as that.
                Backend::Database => database == Database::Absent,
                Backend::Redis => !redis::is_named(settings),
                Backend::Kafka => !kafka::is_named(settings),
            };
            if is_absent && !may_be_embedded && needed.contains(&backend) {
                settings.missing(
                    name,
                    format_args!(
                        "required outside development unless DATABASE_URL is sqlite:PATH: {expected}"
                    ),
                );
            }
        }
        backends
    }

    /// Whether one of these has no backend of its own, so that the embedded file is opened.
    pub fn are_embedded(&self, needed: &[Backend]) -> bool {
        needed.iter().any(|backend| match backend {
            Backend::Database => self.postgres.is_none(),
            Backend::Redis => self.redis.is_none(),
            Backend::Kafka => self.kafka.is_none(),
        })
    }
}

fn default_file(data_dir: &std::path::Path) -> String {
    format!("sqlite:{}", data_dir.join("adplatform.sqlite").display())
}

/// `host`, `host:port`, `[::1]:port`: what stands between credentials and path of a URL.
fn is_address(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}
