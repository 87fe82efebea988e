//! One bidder's settlement over switched stores, with a spool of its own, that can crash and start again.

use super::stores::{Ledger, Line, Log, Users};
use crate::lease_keeper::LeaseKeeper;
use crate::metrics::{BiddingMetrics, MoneyMetrics};
use crate::settlement::Settlement;
use crate::spool::Spool;
use crate::token::BidToken;
use domain::currency::Currency;
use domain::event::{BidEvent, Dimensions, SpendEvent};
use domain::exchange::{Billing, PriceForm};
use domain::id::{AdvertiserId, BidId, BidderId, CampaignId};
use domain::money::Terms;
use domain::period::{Day, Limits};
use platform::Clock;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;
use storage::event_log::Topic;
use storage::spend_ledger::{BalancesOf, LeaseRequest};
use storage::user_states::CounterKey;
use storage::{EventLog, SpendLedger};
use storage_sqlite::SqliteStore;
use tempfile::TempDir;

pub(super) const NOW_MS: i64 = 1_790_000_000_000;
pub(super) const BID_NANOS: i64 = 2_000_000;
pub(super) const ADVERTISERS: [&str; 2] = ["adv_1", "adv_2"];

pub(super) struct House {
    pub(super) clock: Clock,
    pub(super) store: Arc<SqliteStore>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) log: Arc<Log>,
    pub(super) users: Arc<Users>,
    pub(super) root: TempDir,
    pub(super) spool_bytes: u64,
    pub(super) metrics: MoneyMetrics,
    running: Option<Arc<Settlement>>,
}

pub(super) fn campaign_of(advertiser: &str) -> CampaignId {
    CampaignId(advertiser.replace("adv", "cmp"))
}

fn day() -> Day {
    Day {
        date: "2026-09-21".to_owned(),
        start_ms: NOW_MS - 1_000,
        end_ms: NOW_MS + 80_000_000,
    }
}

pub(super) fn token(bid: u128, advertiser: &str) -> BidToken {
    let campaign_id = campaign_of(advertiser);
    BidToken {
        bid_id: BidId(bid),
        bid_at_ms: NOW_MS,
        campaign_id: campaign_id.clone(),
        creative_id: "crv_1".into(),
        creative_version: 1,
        day: day(),
        bidder_id: "bdr_1".into(),
        price_cpm_micros: BID_NANOS,
        bid_currency: Currency::USD,
        currency: Currency::USD,
        terms: Terms::default(),
        reserved_nanos: BID_NANOS,
        billing_window_ms: 600_000,
        user_key: Some("user".to_owned()),
        dimensions: Dimensions {
            advertiser: advertiser.to_owned(),
            campaign: campaign_id.0,
            ..Dimensions::default()
        },
        billing: Billing::Notice,
        price_form: PriceForm::Plain,
        market: None,
        counters: vec![CounterKey {
            scope_id: "cmp_1".to_owned(),
            window_ms: 3_600_000,
        }],
        landing_url: String::new(),
        test: false,
    }
}

impl House {
    pub(super) async fn new() -> Self {
        Self::with_budget(1_000).await
    }

    /// Bids that each campaign's day can pay.
    pub(super) async fn with_budget(bids: i64) -> Self {
        let clock = Clock::manual(NOW_MS);
        let ledger_clock = clock.clone();
        let store = SqliteStore::open("sqlite::memory:", Arc::new(move || ledger_clock.unix_ms())).await;
        let store = Arc::new(store.unwrap());
        let requests: Vec<LeaseRequest> = ADVERTISERS
            .iter()
            .map(|advertiser| LeaseRequest {
                advertiser_id: AdvertiserId((*advertiser).to_owned()),
                campaign_id: campaign_of(advertiser),
                generation: 1,
                revision: 1,
                day: day(),
                limits: Limits {
                    daily_nanos: Some(bids * BID_NANOS),
                    total_nanos: None,
                },
                wanted_nanos: 10 * BID_NANOS,
                bid_nanos: BID_NANOS,
                opportunities: 0,
                bids: 0,
                renewal: 0,
            })
            .collect();
        store.renew(0, &"bdr_1".into(), 8_000, &requests).await.unwrap();
        let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
        let mut house = Self {
            clock,
            ledger: Arc::new(Ledger::new(store.clone())),
            log: Arc::new(Log::new(store.clone())),
            users: Arc::new(Users::new(store.clone())),
            store,
            root: TempDir::new().unwrap(),
            spool_bytes: 1 << 20,
            metrics: metrics.money,
            running: None,
        };
        house.start();
        house
    }

    /// With the folder that a crashed one left.
    pub(super) fn start(&mut self) {
        self.running = None;
        let spool = Spool::open(self.root.path(), self.spool_bytes, self.metrics.spool.clone()).unwrap();
        let keeper = Arc::new(LeaseKeeper::new(
            self.ledger.clone(),
            BidderId::from("bdr_2"),
            self.clock.clone(),
            Arc::new(AtomicI64::new(5_000)),
            self.metrics.clone(),
            1,
        ));
        let settlement = Settlement::new(
            self.ledger.clone(),
            self.log.clone(),
            self.users.clone(),
            keeper,
            self.clock.clone(),
            self.metrics.clone(),
        );
        self.running = Some(Arc::new(settlement.with_spool(Arc::new(spool))));
    }

    /// Everything in memory is gone, and the disk holds the beginning of a write that never ended.
    pub(super) fn crash_and_start(&mut self, torn: &[u8]) {
        self.running = None;
        if let Some(last) = self.segments().pop() {
            let mut bytes = std::fs::read(&last).unwrap();
            bytes.extend_from_slice(torn);
            std::fs::write(&last, bytes).unwrap();
        }
        self.start();
    }

    pub(super) fn segments(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.root.path().join("0")).unwrap();
        let mut segments: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|of| of == "spool"))
            .collect();
        segments.sort();
        segments
    }

    pub(super) fn settlement(&self) -> &Arc<Settlement> {
        self.running.as_ref().unwrap()
    }

    pub(super) fn spooled(&self) -> i64 {
        self.metrics.spool.records.get()
    }

    pub(super) fn all_work(&self) {
        for line in [&self.ledger.line, &self.log.line, &self.users.line] {
            line.set(Line::Works);
        }
        // Past the next probe.
        self.clock.advance(2_000);
    }

    /// Until nothing waits anywhere.
    pub(super) async fn come_to_rest(&self) {
        self.all_work();
        self.settlement().replay_once().await;
        assert_eq!(self.spooled(), 0, "left in the spool");
        self.clock.advance(10_000);
        self.settlement().sweep_once(false).await.unwrap();
        assert_eq!(self.store.outbox(i64::MAX, 100).await.unwrap(), []);
    }

    /// The records of a topic by event id; a repeat must say the same.
    async fn records<T: DeserializeOwned + PartialEq + std::fmt::Debug>(
        &self,
        topic: Topic,
        id: fn(&T) -> &str,
    ) -> BTreeMap<String, T> {
        let log: &dyn EventLog = &*self.store;
        let mut events = BTreeMap::new();
        for partition in 0..log.partitions(topic).await.unwrap() {
            let batch = log
                .read(topic, partition, 0, 10_000, Duration::ZERO)
                .await
                .unwrap();
            for record in batch.records {
                let event: T = serde_json::from_slice(&record.value.unwrap()).unwrap();
                let key = id(&event).to_owned();
                if topic == Topic::Spend
                    && let Some(first) = events.get(&key)
                {
                    assert_eq!(first, &event, "one bid, settled in two ways");
                }
                events.entry(key).or_insert(event);
            }
        }
        events
    }

    pub(super) async fn spend(&self) -> BTreeMap<String, SpendEvent> {
        self.records(Topic::Spend, |event: &SpendEvent| &event.event_id)
            .await
    }

    pub(super) async fn events(&self, topic: Topic) -> BTreeMap<String, BidEvent> {
        self.records(topic, |event: &BidEvent| &event.event_id).await
    }

    /// (charged, over-delivered, settled bids) of all campaigns' lifetimes.
    pub(super) async fn ledger_says(&self) -> (i64, i64, i64) {
        let all = BalancesOf::All {
            after: None,
            limit: 100,
        };
        let mut sums = (0, 0, 0);
        for balance in self.store.balances(all).await.unwrap() {
            if balance.day.is_none() {
                sums.0 += balance.account.spent_nanos;
                sums.1 += balance.over_delivery_nanos;
                sums.2 += balance.settled_bids;
            }
        }
        sums
    }

    /// Topic and ledger say the same; returns the bids that were settled.
    pub(super) async fn reconcile(&self) -> Vec<u128> {
        let spend = self.spend().await;
        let sums = spend.values().fold((0, 0, 0), |sums, event| {
            (
                sums.0 + event.charge_nanos,
                sums.1 + event.over_delivery_nanos,
                sums.2 + 1,
            )
        });
        assert_eq!(sums, self.ledger_says().await);
        let mut bids: Vec<u128> = spend.values().map(|event| event.bid_id.0).collect();
        bids.sort_unstable();
        bids
    }
}
