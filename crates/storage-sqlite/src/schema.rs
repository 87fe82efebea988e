//! Migrations, embedded in the program.

use crate::error::{migration_error, storage_error};
use sqlx::migrate::Migrator;
use sqlx::{Connection, SqliteConnection};
use storage::StorageError;

/// Brings the file to this program's schema. Safe to run twice and by several processes at once: the whole
/// run holds the write lock. A file with newer migrations is left as it is, since they only add.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StorageError> {
    let mut migrator: Migrator = sqlx::migrate!("./migrations");
    migrator.set_ignore_missing(true);
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(storage_error)?;
    migrator
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(migration_error)?;
    transaction.commit().await.map_err(storage_error)
}
