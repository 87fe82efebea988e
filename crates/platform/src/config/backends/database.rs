//! `DATABASE_URL` and what belongs to it.

use std::fmt;

use crate::config::{SettingHelp, Settings};

pub(super) const URL: &str = "DATABASE_URL";
const REPLICA_URL: &str = "DATABASE_REPLICA_URL";
const POOL_SIZE: &str = "DATABASE_POOL_SIZE";

pub(super) const HELP: &[SettingHelp] = &[
    ("DATA_DIR", "folder of what is kept (./data)"),
    (
        URL,
        "postgres://user:password@host,host/database, or sqlite:PATH (in development: adplatform.sqlite in DATA_DIR)",
    ),
    (
        REPLICA_URL,
        "postgres:// of standbys that answer reports (the primary does)",
    ),
    (
        POOL_SIZE,
        "connections to PostgreSQL, and as many to a replica (10)",
    ),
];

/// A PostgreSQL of one or several hosts.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// May hold a password.
    pub database_url: String,
    pub replica_url: Option<String>,
    pub pool_size: u32,
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

/// What `DATABASE_URL` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Database {
    Absent,
    Wrong,
    Sqlite { url: String },
    Postgres(PostgresSettings),
}

impl Database {
    pub(super) fn read(settings: &mut Settings) -> Self {
        let pool_size = settings.parse_within(POOL_SIZE, 10, 1..=1_000);
        // Secrets: the URL of a server may hold its password in several places.
        let replica_url = settings
            .optional_secret(REPLICA_URL)
            .map(|url| url.expose().to_owned());
        if replica_url.as_deref().is_some_and(|url| !is_postgres(url)) {
            settings.mistake(REPLICA_URL, "", "expected postgres://");
        }
        let database = match settings.optional_secret(URL) {
            None => Self::Absent,
            Some(url) if is_sqlite(url.expose()) => Self::Sqlite {
                url: url.expose().to_owned(),
            },
            Some(url) if is_postgres(url.expose()) => Self::Postgres(PostgresSettings {
                database_url: url.expose().to_owned(),
                replica_url: replica_url.clone(),
                pool_size,
            }),
            Some(_) => {
                settings.mistake(
                    URL,
                    "",
                    "expected postgres://user:password@host/database or sqlite:PATH",
                );
                Self::Wrong
            }
        };
        if replica_url.is_some() && matches!(database, Self::Absent | Self::Sqlite { .. }) {
            settings.mistake(REPLICA_URL, "", "only beside a DATABASE_URL that is postgres://");
        }
        database
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.sqlite_url().is_some()
    }

    pub(super) fn sqlite_url(&self) -> Option<&str> {
        match self {
            Self::Sqlite { url } => Some(url),
            _ => None,
        }
    }

    pub(super) fn postgres(&self) -> Option<PostgresSettings> {
        match self {
            Self::Postgres(settings) => Some(settings.clone()),
            _ => None,
        }
    }
}

/// Without a path SQLite would open a database that is gone with the process.
fn is_sqlite(url: &str) -> bool {
    url.strip_prefix("sqlite:")
        .map(|rest| rest.trim_start_matches('/'))
        .is_some_and(|path| !path.is_empty() && !path.starts_with('?'))
}

fn is_postgres(url: &str) -> bool {
    ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}
