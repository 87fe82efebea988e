//! A program beside a database that is away, or older than the program is.

use crate::store::PostgresStore;
use std::time::Duration;
use storage::StorageError;
use tokio::time::sleep;

const PAUSE: Duration = Duration::from_secs(1);

impl PostgresStore {
    /// Returns once the database has this program's schema, which may take for ever. `migrates`: the program brings it
    /// there itself; otherwise somebody else does.
    pub async fn wait_for_schema(&self, migrates: bool) {
        let mut told = None;
        loop {
            let waits_for = match self.is_there(migrates).await {
                Ok(true) => break,
                Ok(false) => "a migration: its schema is older than this program's",
                Err(StorageError::Corrupt(_)) => "a person: it cannot be migrated",
                Err(_) => "its server",
            };
            // One line for each thing that is waited for.
            if told != Some(waits_for) {
                tracing::warn!(waits_for, "the database is not ready");
                told = Some(waits_for);
            }
            sleep(PAUSE).await;
        }
        tracing::info!("the database has this program's schema");
    }

    async fn is_there(&self, migrates: bool) -> Result<bool, StorageError> {
        let is_migrated = self.is_migrated().await?;
        if is_migrated || !migrates {
            return Ok(is_migrated);
        }
        let migrated = self.migrate().await;
        if let Err(error @ StorageError::Corrupt(_)) = &migrated {
            tracing::debug!(%error, "a migration failed");
        }
        migrated.map(|()| true)
    }
}
