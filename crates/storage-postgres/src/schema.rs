//! Migrations, embedded in the program.

use crate::error::Failure;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// "ads\0mig1" as a number: the lock under which one process of many migrates.
const MIGRATION_LOCK: i64 = 0x6164_7300_6d69_6731;

/// Replicas that start together wait here for the one that migrates.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '10min'";
/// A table that is in use is not waited for longer: whoever comes after a migration that waits, waits behind it.
const LOCK_BRIEFLY: &str = "SET LOCAL lock_timeout = '2s'";
/// For how long it is tried again where a table stays in use.
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_secs(1);
/// On a pooler's connection, where others have left statements by the names that ours are going to have.
const BEGIN_SHARED: &str =
    "BEGIN; DEALLOCATE ALL; SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '10min'";

/// In their order.
fn migrator() -> Migrator {
    let mut migrator: Migrator = sqlx::migrate!("./migrations");
    migrator.set_ignore_missing(true).set_locking(false);
    migrator
}

/// Brings the database to this program's schema, all of it or nothing. The lock is the transaction's, not the session's,
/// so that it holds beside a transaction pooler too. A database with newer migrations is left as it is: they only add.
///
/// `target` is the last migration to apply; `None` for all.
pub(crate) async fn migrate(
    connection: &mut PgConnection,
    shares_connections: bool,
    target: Option<i64>,
) -> Result<(), Failure> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match try_to_migrate(connection, shares_connections, target).await {
            Err(failure) if failure.is_lock_timeout() && Instant::now() < give_up => {
                tracing::info!("a migration waits for a table that is in use");
                sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

async fn try_to_migrate(
    connection: &mut PgConnection,
    shares_connections: bool,
    target: Option<i64>,
) -> Result<(), Failure> {
    let begin = if shares_connections { BEGIN_SHARED } else { BEGIN };
    let mut transaction = connection.begin_with(begin).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .persistent(false)
        .execute(&mut *transaction)
        .await?;
    sqlx::raw_sql(LOCK_BRIEFLY).execute(&mut *transaction).await?;
    migrator().run_direct(target, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(())
}

pub(crate) async fn is_current(connection: &mut PgConnection) -> Result<bool, Failure> {
    let newest = migrator().iter().map(|migration| migration.version).max();
    let has_table: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !has_table {
        return Ok(false);
    }
    let applied: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(connection)
        .await?;
    Ok(applied >= newest)
}
