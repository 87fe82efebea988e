//! The embedded stores behind switches.

use async_trait::async_trait;
use domain::id::{AdvertiserId, BidderId};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::event_log::{Batch, Membership, NewRecord, Topic};
use storage::spend_ledger::{
    Balance, BalancesOf, BidRef, BillVerdict, Billing, Fact, Grant, LeaseRequest, Rebuild, Reservation,
    Settled, WinVerdict,
};
use storage::user_states::{CounterKey, UserState};
use storage::{EventLog, SpendLedger, StorageError, UserStates};
use storage_sqlite::SqliteStore;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Works,
    FailsAtOnce,
    /// Does what it is asked, and the answer is lost.
    LosesAnswers,
    Hangs,
}

#[derive(Debug)]
pub(super) struct Switch {
    line: Mutex<Line>,
    pub(super) calls: AtomicU32,
}

impl Switch {
    fn new() -> Self {
        Self {
            line: Mutex::new(Line::Works),
            calls: AtomicU32::new(0),
        }
    }

    pub(super) fn set(&self, line: Line) {
        *self.line.lock().unwrap() = line;
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let line = *self.line.lock().unwrap();
        let away = || Err(StorageError::Unavailable("switched off".to_owned()));
        match line {
            Line::Works => work.await,
            Line::FailsAtOnce => away(),
            Line::LosesAnswers => {
                work.await?;
                away()
            }
            Line::Hangs => std::future::pending().await,
        }
    }
}

pub(super) struct Ledger {
    inner: Arc<SqliteStore>,
    pub(super) line: Switch,
    /// Of 64: groups that are away.
    pub(super) groups_away: AtomicU64,
    pub(super) has_replica: AtomicBool,
}

impl Ledger {
    pub(super) fn new(inner: Arc<SqliteStore>) -> Self {
        Self {
            inner,
            line: Switch::new(),
            groups_away: AtomicU64::new(0),
            has_replica: AtomicBool::new(false),
        }
    }

    fn reach(&self, advertiser_id: &AdvertiserId) -> Result<(), StorageError> {
        let is_away = self.groups_away.load(Ordering::Relaxed) >> self.group_of(advertiser_id) & 1 == 1;
        let away = || StorageError::Unavailable("the ledger is being rebuilt".to_owned());
        if is_away { Err(away()) } else { Ok(()) }
    }
}

#[async_trait]
impl SpendLedger for Ledger {
    /// `adv_7` is in group 7.
    fn group_of(&self, advertiser_id: &AdvertiserId) -> u32 {
        advertiser_id.0.trim_start_matches("adv_").parse().unwrap_or(0)
    }

    async fn renew(
        &self,
        _: u32,
        bidder_id: &BidderId,
        hold_ms: i64,
        requests: &[LeaseRequest],
    ) -> Result<Vec<Grant>, StorageError> {
        self.line
            .call(self.inner.renew(0, bidder_id, hold_ms, requests))
            .await
    }

    async fn win(&self, reservation: &Reservation) -> Result<WinVerdict, StorageError> {
        self.reach(&reservation.advertiser_id)?;
        self.line.call(self.inner.win(reservation)).await
    }

    async fn bill(&self, billing: &Billing) -> Result<BillVerdict, StorageError> {
        self.reach(&billing.reservation.advertiser_id)?;
        self.line.call(self.inner.bill(billing)).await
    }

    async fn outbox(&self, settled_before_ms: i64, limit: u32) -> Result<Vec<Settled>, StorageError> {
        self.line.call(self.inner.outbox(settled_before_ms, limit)).await
    }

    async fn settled(&self, bid: &BidRef) -> Result<Option<Settled>, StorageError> {
        self.reach(&bid.advertiser_id)?;
        self.line.call(self.inner.settled(bid)).await
    }

    async fn is_safe(&self, bid: &BidRef) -> Result<bool, StorageError> {
        self.reach(&bid.advertiser_id)?;
        let is_there = self.line.call(self.inner.is_safe(bid)).await?;
        Ok(is_there && self.has_replica.load(Ordering::Relaxed))
    }

    async fn appended(&self, bids: &[BidRef]) -> Result<(), StorageError> {
        self.line.call(self.inner.appended(bids)).await
    }

    async fn balances(&self, of: BalancesOf<'_>) -> Result<Vec<Balance>, StorageError> {
        self.inner.balances(of).await
    }

    async fn forget(&self, before_ms: i64) -> Result<(), StorageError> {
        self.inner.forget(before_ms).await
    }

    async fn rebuilds(&self, bidder_id: &BidderId, hold_ms: i64) -> Result<Vec<Rebuild>, StorageError> {
        self.inner.rebuilds(bidder_id, hold_ms).await
    }

    async fn restore(
        &self,
        rebuild: &Rebuild,
        bidder_id: &BidderId,
        facts: &[Fact],
    ) -> Result<(), StorageError> {
        self.inner.restore(rebuild, bidder_id, facts).await
    }

    async fn rebuilt(&self, rebuild: &Rebuild, bidder_id: &BidderId) -> Result<(), StorageError> {
        self.inner.rebuilt(rebuild, bidder_id).await
    }
}

pub(super) struct Log {
    inner: Arc<SqliteStore>,
    pub(super) line: Switch,
}

impl Log {
    pub(super) fn new(inner: Arc<SqliteStore>) -> Self {
        Self {
            inner,
            line: Switch::new(),
        }
    }
}

#[async_trait]
impl EventLog for Log {
    async fn append(&self, topic: Topic, records: Vec<NewRecord>, now_ms: i64) -> Result<(), StorageError> {
        self.line.call(self.inner.append(topic, records, now_ms)).await
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
        EventLog::read(&*self.inner, topic, partition, from_offset, limit, wait).await
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

pub(super) struct Users {
    inner: Arc<SqliteStore>,
    pub(super) line: Switch,
}

impl Users {
    pub(super) fn new(inner: Arc<SqliteStore>) -> Self {
        Self {
            inner,
            line: Switch::new(),
        }
    }
}

#[async_trait]
impl UserStates for Users {
    async fn read(&self, user_key: &str, now_ms: i64) -> Result<UserState, StorageError> {
        UserStates::read(&*self.inner, user_key, now_ms).await
    }

    async fn count(
        &self,
        event_id: &str,
        user_key: &str,
        counters: &[CounterKey],
        now_ms: i64,
    ) -> Result<(), StorageError> {
        self.line
            .call(self.inner.count(event_id, user_key, counters, now_ms))
            .await
    }

    async fn set_members(
        &self,
        audience_id: &str,
        add: &[String],
        remove: &[String],
        until_ms: i64,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        self.inner
            .set_members(audience_id, add, remove, until_ms, now_ms)
            .await
    }

    async fn link(&self, user_key: &str, to: &str, until_ms: i64, now_ms: i64) -> Result<(), StorageError> {
        self.inner.link(user_key, to, until_ms, now_ms).await
    }

    async fn erase(&self, user_key: &str, now_ms: i64) -> Result<(), StorageError> {
        self.inner.erase(user_key, now_ms).await
    }

    async fn expire(&self, now_ms: i64) -> Result<(), StorageError> {
        self.inner.expire(now_ms).await
    }
}
