//! The replica for reports: the primary answers while it is away, and while it is too far behind.

use crate::campaigns::in_transaction;
use crate::database::Database;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use storage::StorageError;
use tokio::time::Instant;

/// Finding out that it is still away costs one caller its patience.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Reports are at most this much older than the primary's, as far as [`LOOK_AFTER`] sees it.
const LAG_LIMIT: Duration = Duration::from_secs(60);
/// How often the replica is compared with the primary.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// Where a server stands in the log of all changes: the primary's end, or how far a standby has come.
const POSITION: &str = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END \
    - '0/0'::PG_LSN)::BIGINT";

pub(crate) struct Replica {
    pub(crate) database: Database,
    /// When it was last found away.
    away_at: Mutex<Option<Instant>>,
    lag: Mutex<Lag>,
}

/// A standby has no clock of its own changes: an idle primary's last one is old, and one that lost its primary does not
/// know what it lacks. So it is compared with where the primary was seen.
struct Lag {
    limit: Duration,
    look_after: Duration,
    looked_at: Option<Instant>,
    /// The primary's end when it was seen, which the replica has yet to reach.
    target: Option<(i64, Instant)>,
    is_told: bool,
}

impl Replica {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            away_at: Mutex::default(),
            lag: Mutex::new(Lag {
                limit: LAG_LIMIT,
                look_after: LOOK_AFTER,
                looked_at: None,
                target: None,
                is_told: false,
            }),
        }
    }

    /// Others than are meant for service.
    pub(crate) fn limit_lag(&self, limit: Duration) {
        let mut lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        (lag.limit, lag.look_after) = (limit, Duration::ZERO);
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

    /// Whether it has all that the primary had not longer ago than the limit. While the primary cannot be asked the
    /// replica is the best there is.
    pub(crate) async fn keeps_up(&self, primary: &Database) -> bool {
        let target = match self.lag().target_to_look_at() {
            Look::NotYet(keeps_up) => return keeps_up,
            Look::At(target) => Some(target),
            Look::Anew => None,
        };
        let target = match target {
            Some(target) => target,
            None => match position(primary).await {
                Ok(end) => (end, Instant::now()),
                Err(_) => return true,
            },
        };
        // One that does not answer is found away by the report itself.
        let Ok(replayed) = position(&self.database).await else {
            return true;
        };
        self.lag().looked(target, replayed)
    }

    fn lag(&self) -> std::sync::MutexGuard<'_, Lag> {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Look {
    NotYet(bool),
    At((i64, Instant)),
    Anew,
}

impl Lag {
    fn target_to_look_at(&mut self) -> Look {
        if self.looked_at.is_some_and(|at| at.elapsed() < self.look_after) {
            return Look::NotYet(self.keeps_up());
        }
        self.looked_at = Some(Instant::now());
        self.target.map_or(Look::Anew, Look::At)
    }

    fn keeps_up(&self) -> bool {
        self.target.is_none_or(|(_, seen)| seen.elapsed() < self.limit)
    }

    fn looked(&mut self, target: (i64, Instant), replayed: i64) -> bool {
        self.target = (replayed < target.0).then_some(target);
        let keeps_up = self.keeps_up();
        if keeps_up == self.is_told {
            self.is_told = !keeps_up;
            let bytes = target.0.saturating_sub(replayed);
            match keeps_up {
                true => tracing::info!("the replica keeps up again, and answers reports"),
                false => tracing::warn!(
                    bytes,
                    "the replica is too far behind, the primary answers reports"
                ),
            }
        }
        keeps_up
    }
}

async fn position(database: &Database) -> Result<i64, StorageError> {
    in_transaction!(database, read, |connection| async {
        Ok(sqlx::query_scalar(POSITION).fetch_one(connection).await?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag() -> Lag {
        Lag {
            limit: Duration::from_secs(60),
            look_after: Duration::from_secs(5),
            looked_at: None,
            target: None,
            is_told: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_has_not_come_to_where_the_primary_was_a_minute_ago_is_behind() {
        let mut lag = lag();
        let seen = (1_000, Instant::now());
        assert!(lag.looked(seen, 900));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(matches!(lag.target_to_look_at(), Look::At((1_000, _))));
        assert!(lag.looked(seen, 950));
        assert!(matches!(lag.target_to_look_at(), Look::NotYet(true)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(matches!(lag.target_to_look_at(), Look::NotYet(false)));
        assert!(!lag.looked(seen, 999));
        // It is there: from now on it is compared with where the primary is now.
        assert!(lag.looked(seen, 1_000));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(matches!(lag.target_to_look_at(), Look::Anew));
    }
}
