//! Group commit: one task owns the one writing connection of the process; operations queue to it.
//!
//! It takes what is waiting, runs all of it in one transaction with a savepoint an operation (so that one
//! that fails takes nothing else with it), commits once, and only then answers.

use crate::connection::{Connection, Source};
use crate::error::is_busy;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::SqliteConnection;
use std::panic::AssertUnwindSafe;
use storage::StorageError;
use tokio::sync::{mpsc, oneshot};

/// Operations of one transaction, at most.
const GROUP: usize = 256;
/// Operations waiting, at most; more wait to be queued.
const QUEUE: usize = 4 * GROUP;
/// What the caller of an operation that panicked gets; the panic itself is in the log.
const PANICKED: &str = "the operation panicked and was undone";

#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Queued>>,
}

/// One operation with its answer, whose type only its caller knows.
trait Queued: Send {
    /// Nobody waits for the answer any more: it need not run.
    fn is_abandoned(&self) -> bool;
    /// Runs the operation and keeps its answer; `Err` when its changes must be undone.
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), Undo>>;
    /// `failure` says why the group was not committed.
    fn answer(self: Box<Self>, failure: Option<&str>);
}

struct Undo;

struct Operation<T, F> {
    work: Option<F>,
    outcome: Option<Result<T, StorageError>>,
    reply: oneshot::Sender<Result<T, StorageError>>,
}

impl<T, F> Queued for Operation<T, F>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StorageError>> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), Undo>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else {
                return Ok(());
            };
            // Unwind safety: what the operation did is rolled back to its savepoint. A panic must not end the task that
            // every write of the process goes through.
            let outcome = AssertUnwindSafe(async { work(connection).await })
                .catch_unwind()
                .await;
            let outcome = outcome.unwrap_or_else(|_panic| Err(StorageError::Corrupt(PANICKED.to_owned())));
            let kept = if outcome.is_ok() { Ok(()) } else { Err(Undo) };
            self.outcome = Some(outcome);
            kept
        })
    }

    fn answer(self: Box<Self>, failure: Option<&str>) {
        let answer = match (self.outcome, failure) {
            (Some(Ok(value)), None) => Ok(value),
            (Some(Err(error)), _) => Err(error),
            (_, failure) => Err(StorageError::Unavailable(
                failure.unwrap_or("the operation did not run").to_owned(),
            )),
        };
        // A caller that went away needs no answer.
        let _ = self.reply.send(answer);
    }
}

impl Writer {
    /// Starts the task; it ends when the last clone of the writer is gone.
    pub(crate) fn start(source: Source, connection: Connection) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let task = Task {
            source,
            connection: Some(connection),
        };
        tokio::spawn(task.run(waiting));
        Self { queue }
    }

    /// Returns once the operation is committed and synced, or has failed and left nothing behind.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StorageError>>
            + Send
            + 'static,
    {
        let stopped = || StorageError::Unavailable("the writer has stopped".to_owned());
        let (reply, answer) = oneshot::channel();
        let operation = Operation {
            work: Some(work),
            outcome: None,
            reply,
        };
        self.queue
            .send(Box::new(operation))
            .await
            .map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

struct Task {
    source: Source,
    /// `None` after a failure: the next group opens the file anew.
    connection: Option<Connection>,
}

impl Task {
    async fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Queued>>) {
        let mut group = Vec::with_capacity(GROUP);
        while waiting.recv_many(&mut group, GROUP).await > 0 {
            group.retain(|operation| !operation.is_abandoned());
            let committed = self.commit(&mut group).await.map_err(|error| error.to_string());
            if let Err(error) = &committed {
                tracing::warn!(
                    operations = group.len(),
                    error,
                    "a group of writes was not committed"
                );
            }
            for operation in group.drain(..) {
                operation.answer(committed.as_ref().err().map(String::as_str));
            }
        }
    }

    async fn commit(&mut self, group: &mut [Box<dyn Queued>]) -> Result<(), sqlx::Error> {
        if self
            .connection
            .as_ref()
            .is_some_and(|open| !self.source.is_current(open))
        {
            self.connection = None;
        }
        let mut connection = match self.connection.take() {
            Some(open) => open,
            None => self.source.writer(false).await?,
        };
        let committed = commit_group(&mut connection.sqlite, group).await;
        if committed.is_err() {
            // Nothing may be left open; where SQLite rolled back by itself this fails, and need not work.
            let _ = sqlx::query("ROLLBACK").execute(&mut connection.sqlite).await;
        }
        // A store in memory lives and dies with its connection.
        if committed.as_ref().err().is_none_or(is_busy) || self.source.in_memory() {
            self.connection = Some(connection);
        }
        committed
    }
}

async fn commit_group(
    connection: &mut SqliteConnection,
    group: &mut [Box<dyn Queued>],
) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    for operation in group {
        sqlx::query("SAVEPOINT operation")
            .execute(&mut *connection)
            .await?;
        if operation.run(connection).await.is_err() {
            // Fails when SQLite has rolled back the whole transaction (full disk, read error): then all fail.
            sqlx::query("ROLLBACK TO operation")
                .execute(&mut *connection)
                .await?;
        }
        sqlx::query("RELEASE operation").execute(&mut *connection).await?;
    }
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    Ok(())
}
