//! One open store.

use crate::connection::{Connection, Source};
use crate::error::{is_busy, storage_error};
use crate::event_log::{self, AppendBatches};
use crate::ledger::LedgerBatches;
use crate::readers::Readers;
use crate::schema;
use crate::writer::Writer;
use futures_util::future::BoxFuture;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use storage::event_log::Topic;
use storage::{LedgerClock, StorageError};
use tokio::sync::Notify;

/// Several processes that make the same file at once get in each other's way, past SQLite's own waiting.
const OPEN_ATTEMPTS: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// Every port in one file. Cheap to clone; the file is released when the last clone is gone.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) writer: Writer,
    /// `None` in memory, where the one connection does everything.
    readers: Option<Readers>,
    pub(crate) ledger_clock: LedgerClock,
    pub(crate) ledger: LedgerBatches,
    pub(crate) appends: AppendBatches,
    /// Wakes readers of a topic that this process appended to; in the order of `Topic::ALL`.
    pub(crate) appended: [Notify; Topic::ALL.len()],
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("not a sqlite url ({0}): write sqlite:path/to/file or sqlite::memory:")]
    Url(String),
    #[error("cannot create folder {0}: {1}")]
    Folder(String, std::io::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl SqliteStore {
    /// Opens `sqlite:path` (file and folder are created when missing, the schema brought up to date) or
    /// `sqlite::memory:` (empty, its own, gone with the last clone). Needs a Tokio runtime.
    ///
    /// Ends of leases and of pending wins follow `ledger_clock`, Unix milliseconds.
    pub async fn open(url: &str, ledger_clock: LedgerClock) -> Result<Self, OpenError> {
        if !url.starts_with("sqlite:") {
            return Err(OpenError::Url(url.to_owned()));
        }
        let options = SqliteConnectOptions::from_str(url).map_err(|_| OpenError::Url(url.to_owned()))?;
        let in_memory = url.contains(":memory:") || url.contains("mode=memory");
        let source = Source::new(options, in_memory);
        create_folder(&source)?;
        let connection = open_migrated(&source).await?;
        let readers = (!source.in_memory()).then(|| Readers::new(source.clone()));
        let writer = Writer::start(source, connection);
        Ok(Self {
            shared: Arc::new(Shared {
                readers,
                ledger: LedgerBatches::start(&writer, ledger_clock.clone()),
                appends: event_log::batches(&writer),
                writer,
                ledger_clock,
                appended: std::array::from_fn(|_| Notify::new()),
            }),
        })
    }

    pub(crate) async fn run_write<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StorageError>>
            + Send
            + 'static,
    {
        self.shared.writer.run(work).await
    }

    pub(crate) async fn run_read<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StorageError>>
            + Send
            + 'static,
    {
        match &self.shared.readers {
            Some(readers) => readers.run(work).await,
            None => self.shared.writer.run(work).await,
        }
    }

    /// Several statements that must agree with each other.
    pub(crate) async fn snapshot<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StorageError>>
            + Send
            + 'static,
    {
        match &self.shared.readers {
            Some(readers) => readers.snapshot(work).await,
            None => self.shared.writer.run(work).await,
        }
    }
}

fn create_folder(source: &Source) -> Result<(), OpenError> {
    let Some(folder) = source.path().and_then(|path| path.parent()) else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|error| OpenError::Folder(folder.display().to_string(), error))
}

async fn open_migrated(source: &Source) -> Result<Connection, StorageError> {
    let mut attempt = 1;
    let mut connection = loop {
        match source.writer(true).await {
            Ok(connection) => break connection,
            Err(error) if is_busy(&error) && attempt < OPEN_ATTEMPTS => attempt += 1,
            Err(error) => return Err(storage_error(error)),
        }
        tokio::time::sleep(OPEN_PAUSE).await;
    };
    schema::migrate(&mut connection.sqlite).await?;
    Ok(connection)
}
