//! Operations of one kind that wait at the same time, done together: a few statements for all of them instead
//! of a few for each.
//!
//! Group commit shares the sync to disk; this shares the statements, each of which costs a hand-off to SQLite's
//! thread and back. While one batch is being committed, the next one gathers.

use crate::writer::Writer;
use futures_util::future::BoxFuture;
use sqlx::SqliteConnection;
use storage::StorageError;
use tokio::sync::{mpsc, oneshot};

/// Operations of one batch, at most.
const BATCH: usize = 256;
/// Operations waiting, at most; more wait to be queued.
const QUEUE: usize = 4 * BATCH;

/// One answer for each operation, in their order. `Err`: the batch left nothing behind, and all have failed.
pub(crate) type Answers<A> = Result<Vec<Result<A, StorageError>>, StorageError>;

pub(crate) struct Batches<Q, A> {
    queue: mpsc::Sender<Waiting<Q, A>>,
}

struct Waiting<Q, A> {
    operation: Q,
    reply: oneshot::Sender<Result<A, StorageError>>,
}

impl<Q: Send + 'static, A: Send + 'static> Batches<Q, A> {
    /// Starts the task that runs `work` on what is waiting; it ends with the `Batches`.
    ///
    /// `work` must undo what an operation it answers with an error has changed.
    pub(crate) fn start<W>(writer: Writer, work: W) -> Self
    where
        W: for<'c> Fn(&'c mut SqliteConnection, Vec<Q>) -> BoxFuture<'c, Answers<A>>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let (queue, mut waiting) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut taken = Vec::with_capacity(BATCH);
            while waiting.recv_many(&mut taken, BATCH).await > 0 {
                // Nobody waits for the answer any more: it need not run.
                taken.retain(|one: &Waiting<Q, A>| !one.reply.is_closed());
                let (operations, replies): (Vec<Q>, Vec<_>) =
                    taken.drain(..).map(|one| (one.operation, one.reply)).unzip();
                if !operations.is_empty() {
                    let work = work.clone();
                    let answers = writer.run(move |connection| work(connection, operations)).await;
                    answer(replies, answers);
                }
            }
        });
        Self { queue }
    }

    /// Returns once the operation is committed and synced, or has failed and left nothing behind.
    pub(crate) async fn run(&self, operation: Q) -> Result<A, StorageError> {
        let stopped = || StorageError::Unavailable("the writer has stopped".to_owned());
        let (reply, answer) = oneshot::channel();
        self.queue
            .send(Waiting { operation, reply })
            .await
            .map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

/// A caller that went away needs no answer.
fn answer<A>(replies: Vec<oneshot::Sender<Result<A, StorageError>>>, answers: Answers<A>) {
    match answers {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                let _ = reply.send(answer);
            }
        }
        Err(error) => {
            for reply in replies {
                let _ = reply.send(Err(again(&error)));
            }
        }
    }
}

fn again(error: &StorageError) -> StorageError {
    match error {
        StorageError::Conflict(why) => StorageError::Conflict(why.clone()),
        StorageError::Unavailable(why) => StorageError::Unavailable(why.clone()),
        StorageError::Corrupt(why) => StorageError::Corrupt(why.clone()),
    }
}
