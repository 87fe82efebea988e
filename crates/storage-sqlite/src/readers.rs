//! A few read-only connections.
//!
//! No timers: how long a read may take is its caller's matter, and a paused test clock must not end one.

use crate::connection::{Connection, Source};
use crate::error::storage_error;
use futures_util::future::BoxFuture;
use sqlx::SqliteConnection;
use std::sync::{Mutex, PoisonError};
use storage::StorageError;
use tokio::sync::Semaphore;

/// Reads at once, at most.
const READERS: usize = 4;

pub(crate) struct Readers {
    source: Source,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            permits: Semaphore::new(READERS),
            idle: Mutex::new(Vec::with_capacity(READERS)),
        }
    }

    /// Runs `work` on one unchanging view of the file.
    pub(crate) async fn snapshot<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StorageError>>
            + Send
            + 'static,
    {
        self.run(move |connection| {
            Box::pin(async move {
                sqlx::query("BEGIN")
                    .execute(&mut *connection)
                    .await
                    .map_err(storage_error)?;
                let answer = work(connection).await?;
                sqlx::query("COMMIT")
                    .execute(&mut *connection)
                    .await
                    .map_err(storage_error)?;
                Ok(answer)
            })
        })
        .await
    }

    /// Runs `work`, each statement of which sees the file as it then is.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StorageError>>,
    {
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| StorageError::Unavailable("the store is closed".to_owned()))?;
        let mut connection = match self.take_idle() {
            Some(open) if self.source.is_current(&open) => open,
            _ => self.source.reader().await?,
        };
        let answer = work(&mut connection.sqlite).await;
        // After an error, or when the caller went away, the connection may hold an open transaction: it is dropped.
        if answer.is_ok() {
            self.idle().push(connection);
        }
        answer
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle().pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
