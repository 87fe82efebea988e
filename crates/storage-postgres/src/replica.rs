//! The replica for reports: while it is away the primary answers.

use crate::database::Database;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use storage::StorageError;
use tokio::time::Instant;

/// Finding out that it is still away costs one caller its patience.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);

pub(crate) struct Replica {
    pub(crate) database: Database,
    /// When it was last found away.
    away_at: Mutex<Option<Instant>>,
}

impl Replica {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            away_at: Mutex::default(),
        }
    }

    pub(crate) fn may_be_there(&self) -> bool {
        let away_at = *self.away_at.lock().unwrap_or_else(PoisonError::into_inner);
        away_at.is_none_or(|at| at.elapsed() >= ASK_AGAIN_AFTER)
    }

    /// Whether its answer is one, good or bad, and not that it is unavailable. Says when that changes.
    pub(crate) fn has_answered<T>(&self, answer: &Result<T, StorageError>) -> bool {
        let mut away_at = self.away_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(StorageError::Unavailable(why)) = answer {
            if away_at.replace(Instant::now()).is_none() {
                tracing::warn!(why, "the replica is away, the primary answers reports");
            }
            return false;
        }
        if away_at.take().is_some() {
            tracing::info!("the replica answers reports again");
        }
        true
    }
}
