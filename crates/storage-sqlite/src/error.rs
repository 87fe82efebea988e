//! SQLite's result codes as the errors of the ports.

use sqlx::migrate::MigrateError;
use storage::StorageError;

/// Primary result codes: <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NOMEM: i32 = 7;
    pub(super) const READONLY: i32 = 8;
    pub(super) const INTERRUPT: i32 = 9;
    pub(super) const IOERR: i32 = 10;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const PROTOCOL: i32 = 15;
    /// Extended, the two of a row that is there already.
    pub(super) const CONSTRAINT_PRIMARYKEY: i32 = 1555;
    pub(super) const CONSTRAINT_UNIQUE: i32 = 2067;
    pub(super) const AUTH: i32 = 23;
}

/// Where the error is SQLite's.
fn extended_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// The low byte of the extended one.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    Some(extended_code(error)? & 0xff)
}

pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(code::BUSY | code::LOCKED))
}

pub(crate) fn storage_error(error: sqlx::Error) -> StorageError {
    let text = error.to_string();
    if let Some(code::CONSTRAINT_PRIMARYKEY | code::CONSTRAINT_UNIQUE) = extended_code(&error) {
        return StorageError::Conflict(text);
    }
    match (primary_code(&error), &error) {
        (
            Some(
                code::PERM
                | code::BUSY
                | code::LOCKED
                | code::NOMEM
                | code::READONLY
                | code::INTERRUPT
                | code::IOERR
                | code::FULL
                | code::CANTOPEN
                | code::PROTOCOL
                | code::AUTH,
            ),
            _,
        )
        | (
            None,
            sqlx::Error::Io(_)
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::PoolClosed
            | sqlx::Error::PoolTimedOut,
        ) => StorageError::Unavailable(text),
        // Malformed, not a database, a missing table, a value of the wrong type (as a sum beyond 64 bits is, which SQLite
        // makes a floating-point number).
        _ => StorageError::Corrupt(text),
    }
}

pub(crate) fn migration_error(error: MigrateError) -> StorageError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => storage_error(error),
        other => StorageError::Corrupt(other.to_string()),
    }
}
