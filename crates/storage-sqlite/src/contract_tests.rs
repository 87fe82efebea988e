//! The contract suite of every port, in memory and on a file, and what only this adapter promises.

use crate::SqliteStore;
use crate::error::storage_error;
use crate::event_log::REMOVE_KEYS;
use async_trait::async_trait;
use domain::exchange::{Exchange, ExchangeSpec};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use storage::campaign_store::Kind;
use storage::contract::spend_ledger::LedgerHarness;
use storage::contract::{self, event_log::read_all, event_log::record};
use storage::event_log::{NewRecord, Topic};
use storage::{CampaignStore, EventLog, LedgerClock, ReportStore, SpendLedger, UserStates};
use tempfile::TempDir;

const NOW_MS: i64 = 1_800_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A store on its own file, or in memory, with a ledger clock that a test moves.
struct Fresh {
    store: SqliteStore,
    clock_ms: Arc<AtomicI64>,
    _folder: Option<TempDir>,
}

impl Fresh {
    async fn memory() -> Self {
        Self::open("sqlite::memory:", None).await
    }

    async fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/new/store.db", folder.path().display());
        Self::open(&url, Some(folder)).await
    }

    async fn open(url: &str, folder: Option<TempDir>) -> Self {
        let clock_ms = Arc::new(AtomicI64::new(NOW_MS));
        let reading = clock_ms.clone();
        let clock: LedgerClock = Arc::new(move || reading.load(Ordering::SeqCst));
        Self {
            store: SqliteStore::open(url, clock).await.unwrap(),
            clock_ms,
            _folder: folder,
        }
    }
}

#[async_trait]
impl LedgerHarness for Fresh {
    fn ledger(&self) -> &dyn SpendLedger {
        &self.store
    }

    fn now_ms(&self) -> i64 {
        self.clock_ms.load(Ordering::SeqCst)
    }

    async fn advance(&self, ms: i64) {
        self.clock_ms.fetch_add(ms, Ordering::SeqCst);
    }

    async fn audit(&self) {
        let wrong: Vec<(String, String)> = self
            .store
            .snapshot(|connection| {
                Box::pin(async move {
                    sqlx::query_as(
                        "SELECT campaign_id, date FROM ledger_accounts AS a WHERE \
                           leased_nanos <> (SELECT coalesce(sum(leased_nanos), 0) FROM ledger_leases AS l \
                             WHERE l.campaign_id = a.campaign_id AND a.date IN ('', l.date)) \
                           OR pending_nanos <> (SELECT coalesce(sum(pending_nanos), 0) FROM ledger_bids AS b \
                             WHERE b.campaign_id = a.campaign_id AND a.date IN ('', b.date))",
                    )
                    .fetch_all(connection)
                    .await
                    .map_err(storage_error)
                })
            })
            .await
            .unwrap();
        assert!(
            wrong.is_empty(),
            "accounts that differ from their leases or pending wins: {wrong:?}"
        );
    }
}

/// Both kinds of store, one after the other.
macro_rules! in_memory_and_on_a_file {
    ($($name:ident: $port:ident, $all:path;)+) => {$(
        #[tokio::test]
        async fn $name() {
            $all(async || Arc::new(Fresh::memory().await.store) as Arc<dyn $port>).await;
            let folder = tempfile::tempdir().unwrap();
            let opened = AtomicI64::new(0);
            $all(async || {
                let n = opened.fetch_add(1, Ordering::SeqCst);
                let url = format!("sqlite:{}/{n}/store.db", folder.path().display());
                Arc::new(Fresh::open(&url, None).await.store) as Arc<dyn $port>
            })
            .await;
        }
    )+};
}

in_memory_and_on_a_file! {
    campaign_store_keeps_its_contract: CampaignStore, contract::campaign_store::all;
    event_log_keeps_its_contract: EventLog, contract::event_log::all;
    report_store_keeps_its_contract: ReportStore, contract::report_store::all;
    user_states_keep_their_contract: UserStates, contract::user_states::all;
}

#[tokio::test]
async fn spend_ledger_keeps_its_contract() {
    contract::spend_ledger::all(async || Box::new(Fresh::memory().await) as Box<dyn LedgerHarness>).await;
    contract::spend_ledger::all(async || Box::new(Fresh::file().await) as Box<dyn LedgerHarness>).await;
}

#[tokio::test]
async fn the_ledger_walks_with_its_model() {
    let memory = async || Box::new(Fresh::memory().await) as Box<dyn LedgerHarness>;
    contract::ledger_walk::walk(memory, 0..30, 200).await;
    let file = async || Box::new(Fresh::file().await) as Box<dyn LedgerHarness>;
    contract::ledger_walk::walk(file, 1_000..1_002, 150).await;
}

#[tokio::test]
async fn the_default_exchange_is_the_domain_s_default_with_rates() {
    let store = Fresh::memory().await.store;
    let stored = store.get(Kind::Exchange, "default").await.unwrap().unwrap();
    let exchange: Exchange = serde_json::from_value(stored.body.clone()).unwrap();
    let expected = ExchangeSpec {
        name: "default".to_owned(),
        usd_rates_e9: exchange.spec.usd_rates_e9.clone(),
        ..ExchangeSpec::default()
    };
    assert_eq!(exchange.spec, expected);
    for currency in ["EUR", "GBP", "JPY", "KRW"] {
        assert!(exchange.spec.usd_rates_e9[&currency.parse().unwrap()] > 0);
    }
    assert_eq!(exchange.created_at.as_millisecond(), stored.created_at_ms);
    // SQLite writes three digits of a second, the domain as many as it takes: one instant, two texts.
    let mut body = stored.body;
    for name in ["created_at", "updated_at"] {
        body[name] = serde_json::to_value(exchange.created_at).unwrap();
    }
    assert_eq!(serde_json::to_value(&exchange).unwrap(), body);
}

#[tokio::test]
async fn opening_a_store_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/store.db", folder.path().display());
    let first = Fresh::open(&url, None).await.store;
    let second = Fresh::open(&url, None).await.store;
    assert_eq!(first.revision().await.unwrap(), second.revision().await.unwrap());
    assert_eq!(second.outgoing_backlog().await.unwrap().0, 1);
}

#[tokio::test]
async fn a_waiting_read_sees_what_another_store_appends_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/store.db", folder.path().display());
    let reader = Fresh::open(&url, None).await.store;
    let writer = Fresh::open(&url, None).await.store;
    let waiting = tokio::spawn(async move {
        EventLog::read(&reader, Topic::Bids, 0, 0, 10, Duration::from_secs(20))
            .await
            .unwrap()
    });
    writer
        .append(Topic::Bids, vec![record("k", "v")], NOW_MS)
        .await
        .unwrap();
    assert_eq!(waiting.await.unwrap().records.len(), 1);
}

#[tokio::test]
async fn compaction_keeps_one_record_of_a_key_and_offsets_go_on() {
    let store = Fresh::memory().await.store;
    for round in 0..3 {
        let batch = vec![record("a", "x"), record("b", &round.to_string())];
        store.append(Topic::Exchanges, batch, NOW_MS).await.unwrap();
    }
    let records = read_all(&store, Topic::Exchanges).await;
    let found: Vec<(i64, &str)> = records.iter().map(|one| (one.offset, one.key.as_str())).collect();
    assert_eq!(found, [(4, "a"), (5, "b")]);
    let tombstone = NewRecord {
        key: "a".to_owned(),
        value: None,
    };
    store
        .append(Topic::Exchanges, vec![tombstone], NOW_MS)
        .await
        .unwrap();
    assert_eq!(read_all(&store, Topic::Exchanges).await.len(), 2);
    store.trim(NOW_MS + 2 * DAY_MS).await.unwrap();
    assert_eq!(read_all(&store, Topic::Exchanges).await.len(), 1);
    assert_eq!(store.end_offset(Topic::Exchanges, 0).await.unwrap(), 7);
}

#[tokio::test]
async fn retention_removes_old_records_and_offsets_go_on() {
    let store = Fresh::memory().await.store;
    for topic in [Topic::Bids, Topic::Spend] {
        for day in 0..3 {
            let batch = vec![record("k", &day.to_string())];
            store.append(topic, batch, NOW_MS + day * DAY_MS).await.unwrap();
        }
    }
    store.trim(NOW_MS + 4 * DAY_MS).await.unwrap();
    let kept = EventLog::read(&store, Topic::Bids, 0, 0, 10, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(
        (kept.records.len(), kept.records[0].offset, kept.next_offset),
        (2, 1, 3)
    );
    assert_eq!(read_all(&store, Topic::Spend).await.len(), 3);
    store.trim(NOW_MS + 100 * DAY_MS).await.unwrap();
    let batch = EventLog::read(&store, Topic::Bids, 0, 0, 10, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!((batch.records.len(), batch.next_offset), (0, 3));
}

#[tokio::test]
async fn replacing_records_of_a_compacted_topic_looks_at_their_keys_alone() {
    let fresh = Fresh::memory().await;
    let plan: Vec<(i64, i64, i64, String)> = fresh
        .store
        .run_read(|connection| {
            Box::pin(async move {
                sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {REMOVE_KEYS}")))
                    .bind("campaigns")
                    .bind("[]")
                    .fetch_all(connection)
                    .await
                    .map_err(storage_error)
            })
        })
        .await
        .unwrap();
    let looks = plan.iter().map(|(.., step)| step.as_str());
    let looks: Vec<&str> = looks.filter(|step| step.contains("records")).collect();
    assert_eq!(
        looks,
        ["SEARCH records USING INDEX records_key (topic=? AND key=?)"]
    );
}
