//! A transaction that gives its connection back only when it ended well.

use crate::error::Failure;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use std::ops::{Deref, DerefMut};

/// Dropped before [`Transaction::finish`] (by a deadline, by a caller that went away) its connection is closed, which
/// rolls back: nobody knows what is still under way on it.
pub(crate) struct Transaction {
    connection: PoolConnection<Postgres>,
    ended_well: bool,
}

impl Transaction {
    /// `begin` opens the transaction and sets its limits, in one round trip.
    pub(crate) async fn begin(pool: &PgPool, begin: &'static str) -> Result<Self, sqlx::Error> {
        let mut transaction = Self {
            connection: pool.acquire().await?,
            ended_well: false,
        };
        sqlx::raw_sql(begin).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// For one statement that only reads: no transaction is begun.
    pub(crate) async fn lend(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self {
            connection: pool.acquire().await?,
            ended_well: false,
        })
    }

    /// What was lent is given back.
    pub(crate) fn give_back<T>(mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        self.ended_well = match &outcome {
            Ok(_) => true,
            Err(failure) => failure.spares_connection(),
        };
        outcome
    }

    /// Commits what succeeded, rolls back what failed.
    pub(crate) async fn finish<T>(mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        match outcome {
            Ok(value) => {
                sqlx::raw_sql("COMMIT").execute(&mut *self).await?;
                self.ended_well = true;
                Ok(value)
            }
            Err(failure) => {
                if failure.spares_connection() {
                    self.ended_well = sqlx::raw_sql("ROLLBACK").execute(&mut *self).await.is_ok();
                }
                Err(failure)
            }
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended_well {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
