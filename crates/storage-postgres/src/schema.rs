//! Migrations, embedded in the program.

use crate::error::Failure;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

/// "ads\0mig1" as a number: the lock under which one process of many migrates.
const MIGRATION_LOCK: i64 = 0x6164_7300_6d69_6731;

/// Replicas that start together wait here for the one that migrates.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '10min'";

/// Brings the database to this program's schema, all of it or nothing. The lock is the transaction's, not the session's,
/// so that it holds beside a transaction pooler too. A database with newer migrations is left as it is: they only add.
pub(crate) async fn migrate(connection: &mut PgConnection) -> Result<(), Failure> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .persistent(false)
        .execute(&mut *transaction)
        .await?;
    let mut migrator: Migrator = sqlx::migrate!("./migrations");
    migrator.set_ignore_missing(true).set_locking(false);
    migrator.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(())
}
