//! The store: the primary, and where there is one, a replica for reports.

use crate::campaigns::in_transaction;
use crate::database::{Database, Role};
use crate::replica::Replica;
use crate::rollup_days::KnownDays;
use crate::schema;
use crate::settings::{Settings, UrlError};
use crate::writes::Writes;
use std::sync::Arc;
use std::time::Duration;
use storage::StorageError;
use tokio::time::timeout;

const MIGRATION_TIMEOUT: Duration = Duration::from_secs(15 * 60);

pub struct PostgresStore {
    pub(crate) primary: Arc<Database>,
    pub(crate) writes: Arc<Writes>,
    pub(crate) replica: Option<Replica>,
    pub(crate) known_days: KnownDays,
}

impl PostgresStore {
    /// Connects to nothing yet: a process may start before its database.
    pub fn new(settings: &Settings) -> Result<Self, UrlError> {
        let replica = settings
            .replica_url
            .as_ref()
            .map(|url| Database::new(url, settings.pool_size, Role::Any));
        let primary = Database::new(&settings.database_url, settings.pool_size, Role::Primary)?;
        let primary = Arc::new(primary);
        Ok(Self {
            writes: Writes::new(primary.clone()),
            primary,
            replica: replica.transpose()?.map(Replica::new),
            known_days: KnownDays::default(),
        })
    }

    /// How old reports of the replica may be before the primary answers them; looked at for each, for tests.
    #[must_use]
    pub fn with_replica_lag_limit(self, limit: Duration) -> Self {
        if let Some(replica) = &self.replica {
            replica.limit_lag(limit);
        }
        self
    }

    /// Brings the database to this program's schema; to be repeated while it answers `Unavailable`, and before
    /// anything else. Safe to run twice and by several processes at once.
    pub async fn migrate(&self) -> Result<(), StorageError> {
        self.migrate_to(None).await
    }

    /// As [`PostgresStore::migrate`], up to the migration of this number: the schema of an earlier release, for tests.
    pub async fn migrate_up_to(&self, version: i64) -> Result<(), StorageError> {
        self.migrate_to(Some(version)).await
    }

    async fn migrate_to(&self, target: Option<i64>) -> Result<(), StorageError> {
        let migrated = timeout(MIGRATION_TIMEOUT, async {
            let mut connection = self.primary.connection().await?;
            schema::migrate(&mut connection, self.primary.shares_connections, target).await
        })
        .await;
        match migrated {
            Ok(migrated) => migrated.map_err(StorageError::from),
            Err(_) => Err(StorageError::Unavailable(
                "the migration takes too long".to_owned(),
            )),
        }
    }

    /// Whether the database has every migration of this program: not before, its tables are as it expects them.
    pub async fn is_migrated(&self) -> Result<bool, StorageError> {
        in_transaction!(self.primary, read, |connection| schema::is_current(connection))
    }
}
