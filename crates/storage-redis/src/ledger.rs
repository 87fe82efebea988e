//! [`SpendLedger`]: leases, wins, settlement, rebuilding.
//!
//! Each operation is one script on the node that serves the advertiser's group. The script ends by the server's clock what
//! is over, checks everything, then writes: it happens whole or not at all. A script is given the run id of the server
//! behind its connection and refuses unless the group was last rebuilt for that server (`scripts/claim.lua`).

mod answers;
mod balances;
mod groups;
mod notices;
mod outbox;
mod rebuild;
mod renewal;
mod scripts;

use crate::error::{is_rebuilding, storage_error, unavailable};
use crate::router::{Call, Reply, Router};
use crate::settings::{Settings, SettingsError};
use answers::Answer;
use async_trait::async_trait;
use domain::id::{AdvertiserId, BidderId};
use scripts::Scripts;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use storage::spend_ledger::{
    Balance, BalancesOf, BidRef, BillVerdict, Billing, Fact, Grant, LeaseRequest, Rebuild, Reservation,
    Settled, WinVerdict,
};
use storage::{SpendLedger, StorageError};

/// Each frees a step of what the clock has ended; there is rarely more than one.
const SWEEPS: u32 = 200;

/// The spend ledger on Redis.
pub struct RedisLedger {
    router: Router,
    scripts: Scripts,
    /// Instead of the servers' clock, in tests: Unix milliseconds.
    clock_ms: Option<Arc<AtomicI64>>,
    ready_on: Mutex<HashMap<u32, String>>,
}

impl std::fmt::Debug for RedisLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLedger").finish_non_exhaustive()
    }
}

impl RedisLedger {
    /// Connects to nothing yet: a process may start before its Redis.
    ///
    /// # Errors
    /// An address or certificate that cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            router: Router::new(settings)?,
            scripts: Scripts::new(),
            clock_ms: None,
            ready_on: Mutex::default(),
        })
    }

    /// For tests alone: the time is what the test says, Unix milliseconds.
    #[doc(hidden)]
    #[must_use]
    pub fn with_clock(mut self, clock_ms: Arc<AtomicI64>) -> Self {
        self.clock_ms = Some(clock_ms);
        self
    }

    fn clock(&self) -> Vec<u8> {
        let told = self
            .clock_ms
            .as_ref()
            .map(|clock_ms| clock_ms.load(Ordering::SeqCst));
        told.map(|ms| ms.to_string().into_bytes()).unwrap_or_default()
    }

    async fn answered(&self, call: &Call<'_>) -> Result<Answer, StorageError> {
        Ok(self.replied(call).await?.0)
    }

    /// Comes again while there is more to free than one script takes.
    async fn replied(&self, call: &Call<'_>) -> Result<(Answer, Reply), StorageError> {
        for _ in 0..SWEEPS {
            let mut reply = self.router.call(call).await?;
            let answer = Answer::of(std::mem::take(&mut reply.value)).inspect_err(|error| {
                if is_rebuilding(error) {
                    self.ready_on().remove(&call.group);
                }
            })?;
            if answer.word != "again" {
                return Ok((answer, reply));
            }
        }
        Err(unavailable("too much has ended at once"))
    }

    async fn is_replicated(&self, reply: &Reply) -> Result<bool, StorageError> {
        let waited = reply.connection.is_replicated().await;
        waited.map_err(|error| storage_error(&error))
    }
}

#[async_trait]
impl SpendLedger for RedisLedger {
    fn group_of(&self, advertiser_id: &AdvertiserId) -> u32 {
        groups::group_of(advertiser_id)
    }

    async fn renew(
        &self,
        group: u32,
        bidder_id: &BidderId,
        hold_ms: i64,
        requests: &[LeaseRequest],
    ) -> Result<Vec<Grant>, StorageError> {
        self.renew_group(group, bidder_id, hold_ms, requests).await
    }

    async fn win(&self, reservation: &Reservation) -> Result<WinVerdict, StorageError> {
        self.apply_win(reservation).await
    }

    async fn bill(&self, billing: &Billing) -> Result<BillVerdict, StorageError> {
        self.apply_bill(billing).await
    }

    async fn outbox(&self, settled_before_ms: i64, limit: u32) -> Result<Vec<Settled>, StorageError> {
        self.oldest_settled(settled_before_ms, limit).await
    }

    async fn settled(&self, bid: &BidRef) -> Result<Option<Settled>, StorageError> {
        let group = groups::group_of(&bid.advertiser_id);
        Ok(self.verdicts(group, &[bid.bid_id]).await?.pop())
    }

    /// Memory of one machine is no durable place: without a replica nothing is safe.
    async fn is_safe(&self, bid: &BidRef) -> Result<bool, StorageError> {
        self.is_kept_safe(bid).await
    }

    async fn appended(&self, bids: &[BidRef]) -> Result<(), StorageError> {
        self.remove_appended(bids).await
    }

    async fn balances(&self, of: BalancesOf<'_>) -> Result<Vec<Balance>, StorageError> {
        match of {
            BalancesOf::Campaigns(campaigns) => self.balances_of(campaigns).await,
            BalancesOf::All { after, limit } => self.all_balances(after, limit).await,
        }
    }

    async fn forget(&self, before_ms: i64) -> Result<(), StorageError> {
        self.forget_before(before_ms).await
    }

    async fn rebuilds(&self, bidder_id: &BidderId, hold_ms: i64) -> Result<Vec<Rebuild>, StorageError> {
        self.claims(bidder_id, hold_ms).await
    }

    async fn restore(
        &self,
        rebuild: &Rebuild,
        bidder_id: &BidderId,
        facts: &[Fact],
    ) -> Result<(), StorageError> {
        self.restore_facts(rebuild, bidder_id, facts).await
    }

    async fn rebuilt(&self, rebuild: &Rebuild, bidder_id: &BidderId) -> Result<(), StorageError> {
        self.declare_rebuilt(rebuild, bidder_id).await
    }
}
