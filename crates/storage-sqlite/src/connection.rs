//! Connections to one file, and whether it is still the file at its path.

use crate::error::storage_error;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use std::path::PathBuf;
use std::time::Duration;
use storage::StorageError;

/// How long SQLite waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than the adapter has statements, so that none is prepared twice.
const CACHED_STATEMENTS: usize = 256;
/// At sqlx's 50, the thread that reads a thousand leases falls asleep twenty times on the way, and is woken each time.
const BUFFERED_ROWS: usize = 1_024;
/// Of a writing connection, in KiB: with SQLite's 2 MB a round of leases wrote its pages to the disk before its end.
const WRITER_CACHE: &str = "-32768";

#[derive(Clone, Debug)]
pub(crate) struct Source {
    options: SqliteConnectOptions,
    /// `None` for a store in memory.
    path: Option<PathBuf>,
}

/// Which file a connection has open. A connection to a deleted file would go on writing into nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileIdentity(u64, u64);

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sqlite: SqliteConnection,
    identity: Option<FileIdentity>,
}

impl Source {
    pub(crate) fn new(options: SqliteConnectOptions, in_memory: bool) -> Self {
        let path = (!in_memory).then(|| options.get_filename().to_owned());
        let options = options
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(CACHED_STATEMENTS)
            .row_buffer_size(BUFFERED_ROWS)
            .disable_statement_logging();
        Self { options, path }
    }

    pub(crate) fn path(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }

    pub(crate) fn in_memory(&self) -> bool {
        self.path.is_none()
    }

    /// For writing. Only the first one of a process may create the file: later, a missing file is a fault.
    pub(crate) async fn writer(&self, create: bool) -> Result<Connection, sqlx::Error> {
        // What an operation may have to undo is kept in memory, instead of in a file that is made and deleted each time.
        let mut options = self
            .options
            .clone()
            .create_if_missing(create)
            .pragma("temp_store", "MEMORY")
            .pragma("cache_size", WRITER_CACHE);
        if !self.in_memory() {
            options = options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full);
        }
        self.connect(options).await
    }

    pub(crate) async fn reader(&self) -> Result<Connection, StorageError> {
        let options = self.options.clone().create_if_missing(false).read_only(true);
        self.connect(options).await.map_err(storage_error)
    }

    async fn connect(&self, options: SqliteConnectOptions) -> Result<Connection, sqlx::Error> {
        let sqlite = options.connect().await?;
        Ok(Connection {
            sqlite,
            identity: self.identity(),
        })
    }

    /// Whether the connection's file is the one at the path now.
    pub(crate) fn is_current(&self, connection: &Connection) -> bool {
        self.in_memory() || (connection.identity.is_some() && connection.identity == self.identity())
    }

    #[cfg(unix)]
    fn identity(&self) -> Option<FileIdentity> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(self.path.as_ref()?).ok()?;
        Some(FileIdentity(metadata.dev(), metadata.ino()))
    }

    /// Elsewhere an open file cannot be deleted.
    #[cfg(not(unix))]
    fn identity(&self) -> Option<FileIdentity> {
        Some(FileIdentity(0, 0))
    }
}
