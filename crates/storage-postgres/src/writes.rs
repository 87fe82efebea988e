//! Writes of one process, together: those that come while others are being committed wait for them, and then go in one
//! transaction.
//!
//! Writes pass the store's lock one after the other, each until its commit is on the disk. Together they take one turn
//! at it, one revision and one flush, and each still gets its own answer: a conflict is told to whose it is while the
//! others go on; where one of them fails otherwise, nothing of the transaction holds and each is done again alone. One
//! transaction at a time: with two the groups were smaller, and fewer writes came through.

use crate::campaigns::{tried_in_transaction, write_all};
use crate::database::Database;
use crate::documents::kind_name;
use crate::error::Failure;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::StorageError;
use storage::campaign_store::{Write, Written};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Documents of one transaction; one write of more goes alone.
const DOCUMENTS_TOGETHER: usize = 64;
/// A database that is slow or away must not gather requests without end.
const MOST_WAITING: usize = 1_000;
/// Who waited longer is told so instead of being tried.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

type Answer = Result<Written, StorageError>;

pub(crate) struct Writes {
    database: Arc<Database>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    writes: VecDeque<Asked>,
    /// A task takes them.
    is_served: bool,
}

struct Asked {
    write: Write,
    since: Instant,
    answer: oneshot::Sender<Answer>,
}

impl Writes {
    pub(crate) fn new(database: Arc<Database>) -> Arc<Self> {
        Arc::new(Self {
            database,
            waiting: Mutex::default(),
        })
    }

    /// The work is a task of its own: a caller that goes away takes no other's write with it.
    pub(crate) async fn write(self: &Arc<Self>, write: Write) -> Answer {
        let (answer, answered) = oneshot::channel();
        let asked = Asked {
            write,
            since: Instant::now(),
            answer,
        };
        if self.is_left_to_serve(asked)? {
            tokio::spawn(self.clone().serve());
        }
        answered.await.unwrap_or_else(|_| Err(too_busy()))
    }

    /// Whether nobody serves them.
    fn is_left_to_serve(&self, asked: Asked) -> Result<bool, StorageError> {
        let mut waiting = self.waiting();
        if waiting.writes.len() >= MOST_WAITING {
            return Err(too_busy());
        }
        waiting.writes.push_back(asked);
        Ok(!std::mem::replace(&mut waiting.is_served, true))
    }

    async fn serve(self: Arc<Self>) {
        let mut serving = Serving {
            writes: &self,
            is_done: false,
        };
        while let Some(group) = self.next_group() {
            self.commit(group).await;
        }
        serving.is_done = true;
    }

    /// `None`: nobody waits, and the next one to come needs a new task.
    fn next_group(&self) -> Option<Vec<Asked>> {
        let mut waiting = self.waiting();
        let mut group: Vec<Asked> = Vec::new();
        let mut documents = 0_usize;
        while let Some(asked) = waiting.writes.pop_front() {
            if asked.answer.is_closed() {
                continue;
            }
            if asked.since.elapsed() > LONGEST_WAIT {
                asked.tell(Err(too_busy()));
                continue;
            }
            documents = documents.saturating_add(asked.write.changes.len());
            if documents > DOCUMENTS_TOGETHER && !group.is_empty() {
                waiting.writes.push_front(asked);
                break;
            }
            group.push(asked);
        }
        if group.is_empty() {
            waiting.is_served = false;
            return None;
        }
        // In one order in every process: most groups that lock the same documents wait for each other once. Writes of several
        // documents may still wait crosswise; the server ends one of them, and it is done again.
        group.sort_by(|one, other| one.first_document().cmp(&other.first_document()));
        Some(group)
    }

    async fn commit(&self, group: Vec<Asked>) {
        let failure = match self.committed(&group).await {
            Ok(answers) => {
                let answers = group.into_iter().zip(answers);
                return answers.for_each(|(asked, answer)| asked.tell(answer));
            }
            Err(failure) => failure,
        };
        // Of what is unavailable nobody knows whether it took effect; anything else is told before the commit, and so is
        // that somebody holds what one of them wants.
        let waited_in_vain = failure.is_lock_timeout();
        let error = StorageError::from(failure);
        let is_undone = waited_in_vain || !matches!(error, StorageError::Unavailable(_));
        if group.len() == 1 || !is_undone {
            return group.into_iter().for_each(|asked| asked.tell(Err(same(&error))));
        }
        for asked in group {
            if asked.since.elapsed() > LONGEST_WAIT {
                asked.tell(Err(too_busy()));
                continue;
            }
            let alone = self.committed(std::slice::from_ref(&asked)).await;
            let alone = alone.map_err(StorageError::from);
            asked.tell(alone.and_then(|mut answers| answers.pop().unwrap_or_else(|| Err(too_busy()))));
        }
    }

    async fn committed(&self, group: &[Asked]) -> Result<Vec<Answer>, Failure> {
        let writes: Vec<&Write> = group.iter().map(|asked| &asked.write).collect();
        tried_in_transaction!(self.database, write, |connection| write_all(connection, &writes))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    fn tell(self, answer: Answer) {
        // Who asked may have gone away.
        let _ = self.answer.send(answer);
    }

    fn first_document(&self) -> Option<(&str, &str)> {
        let document = &self.write.changes.first()?.document;
        Some((kind_name(document.kind), &document.id))
    }
}

/// A task that panics, or ends with its runtime, must not keep everybody waiting for ever.
struct Serving<'a> {
    writes: &'a Writes,
    is_done: bool,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            *self.writes.waiting() = Waiting::default();
        }
    }
}

fn too_busy() -> StorageError {
    StorageError::Unavailable("the database takes too long for all that is to be written".to_owned())
}

fn same(error: &StorageError) -> StorageError {
    match error {
        StorageError::Conflict(why) => StorageError::Conflict(why.clone()),
        StorageError::Unavailable(why) => StorageError::Unavailable(why.clone()),
        StorageError::Corrupt(why) => StorageError::Corrupt(why.clone()),
    }
}
