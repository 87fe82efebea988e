//! PostgreSQL's error codes as the errors of the ports: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use sqlx::migrate::MigrateError;
use std::borrow::Cow;
use storage::StorageError;

/// Why one attempt at an operation failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Database(sqlx::Error),
    /// What the port says to its caller.
    Port(StorageError),
    /// Another transaction was in between, and this one has changed nothing: the same again will do.
    Overtaken(&'static str),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Port(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Port(error.into())
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Self::Database(error),
            other => Self::Port(StorageError::Corrupt(other.to_string())),
        }
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Database(error) => storage_error(&error),
            Failure::Port(error) => error,
            Failure::Overtaken(what) => Self::Unavailable(what.to_owned()),
        }
    }
}

impl Failure {
    fn code(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Database(error) => error.as_database_error()?.code(),
            Self::Port(_) | Self::Overtaken(_) => None,
        }
    }

    /// Whether the transaction certainly took no effect, and may succeed when it is begun again: serialization
    /// failure, deadlock, a server that turned out to be a standby, a day without its partition.
    pub(crate) fn may_be_repeated(&self) -> bool {
        let code = self.code();
        matches!(self, Self::Overtaken(_))
            || matches!(code.as_deref(), Some("40001" | "40P01" | "25006"))
            || self.lacks_partition()
    }

    /// Somebody else holds a lock for longer than this transaction may wait.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        self.code().as_deref() == Some("55P03")
    }

    /// The partition of a day was dropped after this process saw it (23514 without a constraint's name).
    pub(crate) fn lacks_partition(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().as_deref() == Some("23514") && error.constraint().is_none()
            }
            _ => false,
        }
    }

    /// Whether a rollback makes the connection fit for others. Not when the server is a standby (25006), has lost what
    /// was prepared on it (26000, 42P05: a pooler gave it to another), is going down, or does not answer.
    pub(crate) fn spares_connection(&self) -> bool {
        match (self, self.code()) {
            (Self::Port(_) | Self::Overtaken(_), _) => true,
            (_, Some(code)) => {
                !matches!(&*code, "25006" | "26000" | "42P05")
                    && !["08", "53", "58", "XX"].contains(&&code[..2.min(code.len())])
                    && !code.starts_with("57P")
            }
            _ => false,
        }
    }

    /// Whether the connection is gone, as one that was idle while its server stopped.
    pub(crate) fn lost_connection(&self) -> bool {
        match (self, self.code()) {
            (_, Some(code)) => code.starts_with("08") || code.starts_with("57P"),
            (Self::Database(error), None) => {
                matches!(
                    error,
                    sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_)
                )
            }
            _ => false,
        }
    }
}

fn storage_error(error: &sqlx::Error) -> StorageError {
    let text = error.to_string();
    let Some(code) = error.as_database_error().and_then(|error| error.code()) else {
        return match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => StorageError::Unavailable(text),
            // A column that is missing or of another type.
            _ => StorageError::Corrupt(text),
        };
    };
    match &*code {
        "23505" => StorageError::Conflict(text),
        // A table or column that the migration to this program's schema has yet to make.
        "42P01" | "42703" => StorageError::Unavailable(text),
        // A day's partition; a standby; what a pooler mixed up.
        "23514" | "25006" | "25P03" | "26000" | "42P05" | "3D000" => StorageError::Unavailable(text),
        code => match code.get(..2) {
            // Connection, authorization, rolled back, resources, objects in use, intervention, system.
            Some("08" | "28" | "40" | "53" | "55" | "57" | "58") => StorageError::Unavailable(text),
            // Among others: a sum beyond 64 bits, a damaged page.
            _ => StorageError::Corrupt(text),
        },
    }
}

/// Text as PostgreSQL can keep it: it has no NUL, which exchanges and URLs can contain.
pub(crate) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}
