//! [`SpendLedger`]: leases, wins, settlement.
//!
//! Each operation loads the rows it may touch into [`books::Books`], lets [`rules`] decide on them in plain
//! checked arithmetic, and writes them back, all under the file's one write lock. What ended by the ledger's
//! clock returns to free before anything else.

mod books;
mod operations;
mod outbox;
mod rules;
mod sweep;

use crate::error::storage_error;
use crate::store::SqliteStore;
use async_trait::async_trait;
use books::Account;
use domain::id::{BidId, BidderId};
use storage::spend_ledger::{
    Balance, BalancesOf, BillVerdict, Billing, Grant, LeaseRequest, Reservation, Settled, WinVerdict,
};
use storage::{SpendLedger, StorageError};

#[async_trait]
impl SpendLedger for SqliteStore {
    async fn renew(
        &self,
        bidder_id: &BidderId,
        hold_ms: i64,
        requests: &[LeaseRequest],
    ) -> Result<Vec<Grant>, StorageError> {
        let clock = self.shared.ledger_clock.clone();
        let (bidder_id, requests) = (bidder_id.clone(), requests.to_vec());
        self.run_write(move |connection| {
            Box::pin(
                async move { operations::renew(connection, clock(), bidder_id, hold_ms, requests).await },
            )
        })
        .await
    }

    async fn win(&self, reservation: &Reservation) -> Result<WinVerdict, StorageError> {
        let clock = self.shared.ledger_clock.clone();
        let reservation = reservation.clone();
        self.run_write(move |connection| {
            Box::pin(async move { operations::win(connection, clock(), reservation).await })
        })
        .await
    }

    async fn bill(&self, billing: &Billing) -> Result<BillVerdict, StorageError> {
        let clock = self.shared.ledger_clock.clone();
        let billing = billing.clone();
        self.run_write(move |connection| {
            Box::pin(async move { operations::bill(connection, clock(), billing).await })
        })
        .await
    }

    async fn outbox(&self, settled_before_ms: i64, limit: u32) -> Result<Vec<Settled>, StorageError> {
        self.run_read(move |connection| Box::pin(outbox::oldest(connection, settled_before_ms, limit)))
            .await
    }

    async fn settled(&self, bid_id: BidId) -> Result<Option<Settled>, StorageError> {
        self.run_read(move |connection| Box::pin(outbox::of_bid(connection, bid_id)))
            .await
    }

    async fn appended(&self, bid_ids: &[BidId]) -> Result<(), StorageError> {
        let bid_ids = bid_ids.to_vec();
        self.run_write(move |connection| Box::pin(outbox::remove(connection, bid_ids)))
            .await
    }

    async fn balances(&self, of: BalancesOf<'_>) -> Result<Vec<Balance>, StorageError> {
        let accounts: Vec<Account> = match of {
            BalancesOf::Campaigns(campaign_ids) => {
                let campaign_ids = serde_json::to_string(campaign_ids)?;
                self.run_read(move |connection| {
                    Box::pin(async move {
                        sqlx::query_as(
                            "SELECT * FROM ledger_accounts WHERE campaign_id IN (SELECT value FROM json_each(?)) \
                             ORDER BY campaign_id, date",
                        )
                        .bind(campaign_ids)
                        .fetch_all(connection)
                        .await
                        .map_err(storage_error)
                    })
                })
                .await?
            }
            BalancesOf::All { after, limit } => {
                self.run_read(move |connection| {
                    Box::pin(async move {
                        let (campaign_id, date) =
                            after.map_or((None, None), |(campaign_id, date)| (Some(campaign_id.0), Some(date)));
                        sqlx::query_as(
                            "SELECT * FROM ledger_accounts WHERE ?1 IS NULL OR (campaign_id, date) > (?1, ?2) \
                             ORDER BY campaign_id, date LIMIT ?3",
                        )
                        .bind(campaign_id)
                        .bind(date)
                        .bind(limit)
                        .fetch_all(connection)
                        .await
                        .map_err(storage_error)
                    })
                })
                .await?
            }
        };
        Ok(accounts.into_iter().map(Account::into_balance).collect())
    }

    async fn forget(&self, before_ms: i64) -> Result<(), StorageError> {
        while self
            .run_write(move |connection| Box::pin(sweep::forget_some(connection, before_ms)))
            .await?
        {}
        Ok(())
    }
}
