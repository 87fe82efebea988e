//! Stores that fail: before they did what was asked, or after, so that only the answer is lost.

use async_trait::async_trait;
use domain::id::{AdvertiserId, BidderId};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::event_log::{Batch, Membership, NewRecord, Topic};
use storage::spend_ledger::{
    Balance, BalancesOf, BidRef, BillVerdict, Billing, Fact, Grant, LeaseRequest, Rebuild, Reservation,
    Settled, WinVerdict,
};
use storage::{EventLog, SpendLedger, StorageError};

/// In percent: how often a call fails. 100 is an outage.
pub(super) struct Fate {
    percent: AtomicU8,
    dice: Mutex<fastrand::Rng>,
    /// Calls that took verdicts out of the outbox.
    pub(super) removals: AtomicU32,
}

enum Fails {
    Before,
    After,
    Not,
}

impl Fate {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            percent: AtomicU8::new(0),
            dice: Mutex::new(fastrand::Rng::with_seed(seed)),
            removals: AtomicU32::new(0),
        })
    }

    pub(super) fn fail(&self, percent: u8) {
        self.percent.store(percent, Ordering::Relaxed);
    }

    fn next(&self) -> Fails {
        let percent = self.percent.load(Ordering::Relaxed);
        let mut dice = self.dice.lock().unwrap();
        match (dice.u8(..100) < percent, percent < 100 && dice.bool()) {
            (false, _) => Fails::Not,
            (true, true) => Fails::After,
            (true, false) => Fails::Before,
        }
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
        let away = || Err(StorageError::Unavailable("simulated".to_owned()));
        match self.next() {
            Fails::Not => work.await,
            Fails::Before => away(),
            Fails::After => {
                work.await?;
                away()
            }
        }
    }
}

pub(super) struct FaultyLedger {
    pub(super) inner: Arc<dyn SpendLedger>,
    pub(super) fate: Arc<Fate>,
}

#[async_trait]
impl SpendLedger for FaultyLedger {
    fn group_of(&self, advertiser_id: &AdvertiserId) -> u32 {
        self.inner.group_of(advertiser_id)
    }

    async fn renew(
        &self,
        group: u32,
        bidder_id: &BidderId,
        hold_ms: i64,
        requests: &[LeaseRequest],
    ) -> Result<Vec<Grant>, StorageError> {
        self.fate
            .call(self.inner.renew(group, bidder_id, hold_ms, requests))
            .await
    }

    async fn win(&self, reservation: &Reservation) -> Result<WinVerdict, StorageError> {
        self.fate.call(self.inner.win(reservation)).await
    }

    async fn bill(&self, billing: &Billing) -> Result<BillVerdict, StorageError> {
        self.fate.call(self.inner.bill(billing)).await
    }

    async fn outbox(&self, settled_before_ms: i64, limit: u32) -> Result<Vec<Settled>, StorageError> {
        self.fate.call(self.inner.outbox(settled_before_ms, limit)).await
    }

    async fn settled(&self, bid: &BidRef) -> Result<Option<Settled>, StorageError> {
        self.fate.call(self.inner.settled(bid)).await
    }

    async fn is_safe(&self, bid: &BidRef) -> Result<bool, StorageError> {
        self.fate.call(self.inner.is_safe(bid)).await
    }

    async fn appended(&self, bids: &[BidRef]) -> Result<(), StorageError> {
        self.fate.removals.fetch_add(1, Ordering::Relaxed);
        self.fate.call(self.inner.appended(bids)).await
    }

    async fn balances(&self, of: BalancesOf<'_>) -> Result<Vec<Balance>, StorageError> {
        self.inner.balances(of).await
    }

    async fn forget(&self, before_ms: i64) -> Result<(), StorageError> {
        self.inner.forget(before_ms).await
    }

    async fn rebuilds(&self, bidder_id: &BidderId, hold_ms: i64) -> Result<Vec<Rebuild>, StorageError> {
        self.fate.call(self.inner.rebuilds(bidder_id, hold_ms)).await
    }

    async fn restore(
        &self,
        rebuild: &Rebuild,
        bidder_id: &BidderId,
        facts: &[Fact],
    ) -> Result<(), StorageError> {
        self.fate
            .call(self.inner.restore(rebuild, bidder_id, facts))
            .await
    }

    async fn rebuilt(&self, rebuild: &Rebuild, bidder_id: &BidderId) -> Result<(), StorageError> {
        self.fate.call(self.inner.rebuilt(rebuild, bidder_id)).await
    }
}

pub(super) struct FaultyLog {
    pub(super) inner: Arc<dyn EventLog>,
    pub(super) fate: Arc<Fate>,
}

#[async_trait]
impl EventLog for FaultyLog {
    async fn append(&self, topic: Topic, records: Vec<NewRecord>, now_ms: i64) -> Result<(), StorageError> {
        self.fate.call(self.inner.append(topic, records, now_ms)).await
    }

    async fn partitions(&self, topic: Topic) -> Result<u32, StorageError> {
        self.inner.partitions(topic).await
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from_offset: i64,
        limit: u32,
        wait: Duration,
    ) -> Result<Batch, StorageError> {
        let read = self.inner.read(topic, partition, from_offset, limit, wait);
        self.fate.call(read).await
    }

    async fn end_offset(&self, topic: Topic, partition: u32) -> Result<i64, StorageError> {
        self.inner.end_offset(topic, partition).await
    }

    async fn offset_at(&self, topic: Topic, partition: u32, at_ms: i64) -> Result<i64, StorageError> {
        self.inner.offset_at(topic, partition, at_ms).await
    }

    async fn join(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Membership>, StorageError> {
        self.inner.join(group, topics).await
    }

    async fn trim(&self, now_ms: i64) -> Result<(), StorageError> {
        self.inner.trim(now_ms).await
    }
}
