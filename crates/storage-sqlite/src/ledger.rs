//! [`SpendLedger`]: leases, wins, settlement.
//!
//! Each operation loads the rows it may touch into [`books::Books`], lets [`rules`] decide on them in plain
//! checked arithmetic, and writes them back, all under the file's one write lock. What ended by the ledger's
//! clock returns to free before anything else. Notices that wait at the same time share these steps.

mod books;
mod notices;
mod outbox;
mod renewal;
mod rules;
mod sweep;

use crate::batches::Batches;
use crate::error::storage_error;
use crate::store::SqliteStore;
use crate::writer::Writer;
use async_trait::async_trait;
use books::Account;
use domain::id::{AdvertiserId, BidId, BidderId};
use notices::{Notice, Verdict};
use storage::spend_ledger::{
    Balance, BalancesOf, BidRef, BillVerdict, Billing, Fact, Grant, LeaseRequest, Rebuild, Reservation,
    Settled, WinVerdict,
};
use storage::{LedgerClock, SpendLedger, StorageError};

/// The ledger's small and frequent operations, in batches.
pub(crate) struct LedgerBatches {
    notices: Batches<Notice, Verdict>,
    appended: Batches<Vec<BidId>, ()>,
}

impl LedgerBatches {
    pub(crate) fn start(writer: &Writer, clock: LedgerClock) -> Self {
        Self {
            notices: Batches::start(writer.clone(), move |connection, notices| {
                let clock = clock.clone();
                Box::pin(async move { notices::apply(connection, clock(), notices).await })
            }),
            appended: Batches::start(writer.clone(), |connection, bid_ids: Vec<Vec<BidId>>| {
                Box::pin(async move {
                    outbox::remove(connection, &bid_ids.concat()).await?;
                    Ok(bid_ids.iter().map(|_| Ok(())).collect())
                })
            }),
        }
    }
}

#[async_trait]
impl SpendLedger for SqliteStore {
    fn group_of(&self, _advertiser_id: &AdvertiserId) -> u32 {
        0
    }

    async fn renew(
        &self,
        _group: u32,
        bidder_id: &BidderId,
        hold_ms: i64,
        requests: &[LeaseRequest],
    ) -> Result<Vec<Grant>, StorageError> {
        let clock = self.shared.ledger_clock.clone();
        let (bidder_id, requests) = (bidder_id.clone(), requests.to_vec());
        self.run_write(move |connection| {
            Box::pin(async move { renewal::renew(connection, clock(), bidder_id, hold_ms, requests).await })
        })
        .await
    }

    async fn win(&self, reservation: &Reservation) -> Result<WinVerdict, StorageError> {
        match self
            .shared
            .ledger
            .notices
            .run(Notice::Win(reservation.clone()))
            .await?
        {
            Verdict::Win(verdict) => Ok(verdict),
            Verdict::Bill(_) => Err(answers_another()),
        }
    }

    async fn bill(&self, billing: &Billing) -> Result<BillVerdict, StorageError> {
        match self
            .shared
            .ledger
            .notices
            .run(Notice::Bill(billing.clone()))
            .await?
        {
            Verdict::Bill(verdict) => Ok(verdict),
            Verdict::Win(_) => Err(answers_another()),
        }
    }

    async fn outbox(&self, settled_before_ms: i64, limit: u32) -> Result<Vec<Settled>, StorageError> {
        self.run_read(move |connection| Box::pin(outbox::oldest(connection, settled_before_ms, limit)))
            .await
    }

    async fn settled(&self, bid: &BidRef) -> Result<Option<Settled>, StorageError> {
        let bid_id = bid.bid_id;
        self.run_read(move |connection| Box::pin(outbox::of_bid(connection, bid_id)))
            .await
    }

    /// Written with a full sync: the file outlives the process, and this machine is all there is.
    async fn is_safe(&self, bid: &BidRef) -> Result<bool, StorageError> {
        Ok(self.settled(bid).await?.is_some())
    }

    async fn appended(&self, bids: &[BidRef]) -> Result<(), StorageError> {
        let bid_ids = bids.iter().map(|bid| bid.bid_id).collect();
        self.shared.ledger.appended.run(bid_ids).await
    }

    async fn balances(&self, of: BalancesOf<'_>) -> Result<Vec<Balance>, StorageError> {
        let accounts: Vec<Account> = match of {
            BalancesOf::Campaigns(campaigns) => {
                let campaign_ids: Vec<_> = campaigns.iter().map(|(_, campaign_id)| campaign_id).collect();
                let campaign_ids = serde_json::to_string(&campaign_ids)?;
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
                        // No campaign's id is empty, so that everything comes after ('', '').
                        let (campaign_id, date) =
                            after.map_or_else(Default::default, |(campaign_id, date)| (campaign_id.0, date));
                        sqlx::query_as(
                            "SELECT * FROM ledger_accounts WHERE (campaign_id, date) > (?1, ?2) \
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

    /// The file is the truth: there is nothing that it could be rebuilt from.
    async fn rebuilds(&self, _: &BidderId, _: i64) -> Result<Vec<Rebuild>, StorageError> {
        Ok(Vec::new())
    }

    async fn restore(&self, _: &Rebuild, _: &BidderId, _: &[Fact]) -> Result<(), StorageError> {
        Err(nothing_to_rebuild())
    }

    async fn rebuilt(&self, _: &Rebuild, _: &BidderId) -> Result<(), StorageError> {
        Err(nothing_to_rebuild())
    }
}

fn nothing_to_rebuild() -> StorageError {
    StorageError::Conflict("the embedded ledger is never rebuilt".to_owned())
}

fn answers_another() -> StorageError {
    StorageError::Corrupt("the ledger answered another notice".to_owned())
}
