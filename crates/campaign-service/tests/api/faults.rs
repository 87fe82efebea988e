//! Ports that fail on purpose, and what clients see of it.

use crate::app::{NOON_MS, TestApp, campaign_of, memory_ports};
use async_trait::async_trait;
use axum::http::StatusCode;
use domain::id::{AdvertiserId, BidderId};
use platform::Clock;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use storage::campaign_store::*;
use storage::event_log::{Batch, Membership, NewRecord, Topic};
use storage::spend_ledger::*;
use storage::{CampaignStore, EventLog, SpendLedger, StorageError};

/// A message such as a driver gives, which no client may see.
const CAUSE: &str = "unable to open database file /var/lib/secret.sqlite (code 14)";

#[tokio::test]
async fn a_store_that_is_away_is_503_that_says_when_to_come_back_and_nothing_else() {
    let (app, store) = faulty().await;
    let advertiser = app.advertiser().await;
    store.fail(StorageError::Unavailable(CAUSE.to_owned()));
    for reply in [
        app.admin().get("/campaigns").await,
        app.admin().get("/campaigns/cmp_1").await,
        app.admin().post("/campaigns", campaign_of(&advertiser)).await,
        app.admin()
            .header("idempotency-key", "k")
            .post("/advertisers", json!({"name": "n"}))
            .await,
        app.with_key("adp_key_1_2").get("/campaigns").await,
    ] {
        let reply = reply.expect(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.header("retry-after"), "1");
        assert!(
            !reply.text.contains("sqlite") && !reply.text.contains("code 14"),
            "{}",
            reply.text
        );
    }
    store.heal();
    assert_eq!(app.admin().get("/advertisers").await.items().len(), 1);
}

#[tokio::test]
async fn the_relay_goes_on_when_the_store_is_back() {
    let (app, store) = faulty().await;
    let advertiser = app.advertiser().await;
    store.fail(StorageError::Unavailable(CAUSE.to_owned()));
    crate::app::within(Duration::from_secs(10), async || store.refused() >= 3).await;
    store.heal();
    app.admin()
        .post("/campaigns", campaign_of(&advertiser))
        .await
        .created();
    let is_sent = async || store.inner.outgoing_backlog().await.unwrap().0 == 0;
    crate::app::within(Duration::from_secs(10), is_sent).await;
}

#[tokio::test]
async fn corrupt_data_is_an_opaque_500_with_a_request_id() {
    let (app, store) = faulty().await;
    store.fail(StorageError::Corrupt(CAUSE.to_owned()));
    let reply = app
        .admin()
        .get("/advertisers/adv_1")
        .await
        .expect(StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!reply.text.contains("secret"), "{}", reply.text);
    assert_eq!(reply.body["request_id"], reply.header("x-request-id"));
}

#[tokio::test]
async fn a_service_is_not_ready_before_it_has_reached_its_store() {
    let clock = Clock::manual(NOON_MS);
    let mut ports = memory_ports(&clock).await;
    let store = Arc::new(FaultyStore::new(ports.campaigns.clone()));
    store.fail(StorageError::Unavailable(CAUSE.to_owned()));
    ports.campaigns = store.clone();
    let app = TestApp::over(ports, clock, &[]);
    crate::app::within(Duration::from_secs(10), async || store.refused() >= 2).await;
    assert_eq!(app.readiness.waiting_for(), ["store reached"]);
    store.heal();
    crate::app::within(Duration::from_secs(10), async || app.readiness.is_ready()).await;
    store.fail(StorageError::Unavailable(CAUSE.to_owned()));
    assert!(app.readiness.is_ready());
}

async fn faulty() -> (TestApp, Arc<FaultyStore>) {
    let clock = Clock::manual(NOON_MS);
    let mut ports = memory_ports(&clock).await;
    let store = Arc::new(FaultyStore::new(ports.campaigns.clone()));
    ports.campaigns = store.clone();
    (TestApp::over(ports, clock, &[]), store)
}

/// A store that can be taken away.
pub(crate) struct FaultyStore {
    inner: Arc<dyn CampaignStore>,
    /// 0 healthy, 1 unavailable, 2 corrupt.
    fault: AtomicU8,
    refused: AtomicUsize,
}

impl FaultyStore {
    fn new(inner: Arc<dyn CampaignStore>) -> Self {
        Self {
            inner,
            fault: AtomicU8::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    fn fail(&self, error: StorageError) {
        self.fault.store(
            if matches!(error, StorageError::Corrupt(_)) {
                2
            } else {
                1
            },
            SeqCst,
        );
    }

    fn heal(&self) {
        self.fault.store(0, SeqCst);
    }

    fn refused(&self) -> usize {
        self.refused.load(SeqCst)
    }

    fn reach(&self) -> Result<&dyn CampaignStore, StorageError> {
        let fault = self.fault.load(SeqCst);
        if fault == 0 {
            return Ok(&*self.inner);
        }
        self.refused.fetch_add(1, SeqCst);
        Err(if fault == 1 {
            StorageError::Unavailable(CAUSE.to_owned())
        } else {
            StorageError::Corrupt(CAUSE.to_owned())
        })
    }
}

#[async_trait]
impl CampaignStore for FaultyStore {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Document>, StorageError> {
        self.reach()?.get(kind, id).await
    }

    async fn list(&self, kind: Kind, query: &ListQuery) -> Result<Vec<Document>, StorageError> {
        self.reach()?.list(kind, query).await
    }

    async fn write(&self, write: Write) -> Result<Written, StorageError> {
        self.reach()?.write(write).await
    }

    async fn answered(&self, key: &str, now_ms: i64) -> Result<Option<Idempotent>, StorageError> {
        self.reach()?.answered(key, now_ms).await
    }

    async fn history(
        &self,
        kind: Kind,
        id: &str,
        before_version: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Revision>, StorageError> {
        self.reach()?.history(kind, id, before_version, limit).await
    }

    async fn claim_relay(
        &self,
        id: &str,
        now_ms: i64,
        hold_ms: i64,
    ) -> Result<Option<RelayClaim>, StorageError> {
        self.reach()?.claim_relay(id, now_ms, hold_ms).await
    }

    async fn outgoing(&self, limit: u32) -> Result<Vec<Outgoing>, StorageError> {
        self.reach()?.outgoing(limit).await
    }

    async fn outgoing_backlog(&self) -> Result<(i64, Option<i64>), StorageError> {
        self.reach()?.outgoing_backlog().await
    }

    async fn mark_sent(&self, claim: &RelayClaim, sequences: &[i64]) -> Result<(), StorageError> {
        self.reach()?.mark_sent(claim, sequences).await
    }

    async fn bundle(&self, campaign_id: &str) -> Result<Option<CampaignBundle>, StorageError> {
        self.reach()?.bundle(campaign_id).await
    }

    async fn revision(&self) -> Result<(i64, i64), StorageError> {
        self.reach()?.revision().await
    }

    async fn announce_all(&self, now_ms: i64) -> Result<u64, StorageError> {
        self.reach()?.announce_all(now_ms).await
    }

    async fn begin_generation(&self, past: i64, now_ms: i64) -> Result<i64, StorageError> {
        self.reach()?.begin_generation(past, now_ms).await
    }
}

/// A log whose appends can be held up or refused.
pub(crate) struct GatedLog {
    inner: Arc<dyn EventLog>,
    state: tokio::sync::watch::Sender<Gate>,
    waiting: AtomicUsize,
    passed: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq)]
enum Gate {
    Open,
    Closed,
    Refusing,
}

impl GatedLog {
    pub(crate) fn new(inner: Arc<dyn EventLog>) -> Self {
        let state = tokio::sync::watch::Sender::new(Gate::Open);
        Self {
            inner,
            state,
            waiting: AtomicUsize::new(0),
            passed: AtomicUsize::new(0),
        }
    }

    pub(crate) fn close(&self) {
        self.passed.store(0, SeqCst);
        self.state.send_replace(Gate::Closed);
    }

    pub(crate) fn refuse(&self) {
        self.state.send_replace(Gate::Refusing);
    }

    pub(crate) fn open(&self) {
        self.state.send_replace(Gate::Open);
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// Appends done since the gate was last closed.
    pub(crate) fn passed(&self) -> usize {
        self.passed.load(SeqCst)
    }
}

#[async_trait]
impl EventLog for GatedLog {
    async fn append(&self, topic: Topic, records: Vec<NewRecord>, now_ms: i64) -> Result<(), StorageError> {
        if *self.state.borrow() == Gate::Refusing {
            return Err(StorageError::Unavailable("refused".to_owned()));
        }
        self.waiting.fetch_add(1, SeqCst);
        self.state
            .subscribe()
            .wait_for(|gate| *gate != Gate::Closed)
            .await
            .unwrap();
        self.waiting.fetch_sub(1, SeqCst);
        self.inner.append(topic, records, now_ms).await?;
        self.passed.fetch_add(1, SeqCst);
        Ok(())
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
        self.inner.read(topic, partition, from_offset, limit, wait).await
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

/// A ledger nobody can reach.
pub(crate) struct AwayLedger;

fn away<T>() -> Result<T, StorageError> {
    Err(StorageError::Unavailable("no route to the ledger".to_owned()))
}

#[async_trait]
impl SpendLedger for AwayLedger {
    fn group_of(&self, _: &AdvertiserId) -> u32 {
        0
    }

    async fn renew(
        &self,
        _: u32,
        _: &BidderId,
        _: i64,
        _: &[LeaseRequest],
    ) -> Result<Vec<Grant>, StorageError> {
        away()
    }

    async fn win(&self, _: &Reservation) -> Result<WinVerdict, StorageError> {
        away()
    }

    async fn bill(&self, _: &Billing) -> Result<BillVerdict, StorageError> {
        away()
    }

    async fn outbox(&self, _: i64, _: u32) -> Result<Vec<Settled>, StorageError> {
        away()
    }

    async fn settled(&self, _: &BidRef) -> Result<Option<Settled>, StorageError> {
        away()
    }

    async fn is_safe(&self, _: &BidRef) -> Result<bool, StorageError> {
        away()
    }

    async fn appended(&self, _: &[BidRef]) -> Result<(), StorageError> {
        away()
    }

    async fn balances(&self, _: BalancesOf<'_>) -> Result<Vec<Balance>, StorageError> {
        away()
    }

    async fn forget(&self, _: i64) -> Result<(), StorageError> {
        away()
    }

    async fn rebuilds(&self, _: &BidderId, _: i64) -> Result<Vec<Rebuild>, StorageError> {
        away()
    }

    async fn restore(&self, _: &Rebuild, _: &BidderId, _: &[Fact]) -> Result<(), StorageError> {
        away()
    }

    async fn rebuilt(&self, _: &Rebuild, _: &BidderId) -> Result<(), StorageError> {
        away()
    }
}
