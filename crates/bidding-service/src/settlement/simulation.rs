//! Several bidders, one ledger, an exchange, and what can go wrong: seeded, so that a failing run can be repeated.
//! `MONEY_SEED=n` runs one seed.

mod faults;
mod laws;
mod market;
mod memory_loss;

use super::*;
use crate::rebuild::Rebuilder;
use crate::testing::all_compiled;
use crate::testing::model_ledger::ModelLedger;
use crate::token::BidToken;
use bidding_engine::{LeaseCell, Now};
use domain::advertiser::AdvertiserStatus;
use domain::campaign::{Campaign, Pacing};
use domain::currency::Currency;
use domain::event::{Dimensions, SpendEvent};
use domain::exchange::{Billing, PriceForm};
use domain::id::{AdvertiserId, BidId, BidderId, CampaignId};
use domain::money::Terms;
use domain::period::{Day, Limits};
use domain::serving::{ServingAdvertiser, ServingCampaign};
use faults::{Fate, FaultyLedger, FaultyLog};
use market::{BILLING_WINDOW_MS, Market, Notice, STEP_MS, WIN_NOTICE_DELAY_MS};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use storage::spend_ledger::{Balance, BalancesOf};
use storage_sqlite::SqliteStore;

const MIDNIGHT_MS: i64 = 1_790_035_200_000;
const DAY_MS: i64 = 86_400_000;
const PRICE_NANOS: i64 = 2_000_000;
const BIDDERS: u64 = 3;

struct Bidder {
    keeper: Arc<LeaseKeeper>,
    settlement: Arc<Settlement>,
    rebuilder: Rebuilder,
    cells: Vec<Arc<LeaseCell>>,
}

struct World {
    dice: fastrand::Rng,
    clock: Clock,
    store: Arc<SqliteStore>,
    ledger: Arc<dyn SpendLedger>,
    log: Arc<dyn EventLog>,
    /// The ledger, when it is one that forgets.
    model: Option<Arc<ModelLedger>>,
    ledger_fate: Arc<Fate>,
    log_fate: Arc<Fate>,
    campaigns: Vec<Arc<ServingCampaign>>,
    bidders: Vec<Bidder>,
    market: Market,
    bids: u128,
    /// spent + pending + leased of each account when last looked at.
    committed: HashMap<(CampaignId, Option<String>), i64>,
}

fn campaign(number: usize, pacing: Pacing, limits: Limits) -> Arc<ServingCampaign> {
    let day = |index: i64| Day {
        date: format!("2026-09-{}", 22 + index),
        start_ms: MIDNIGHT_MS + (index - 1) * DAY_MS,
        end_ms: MIDNIGHT_MS + index * DAY_MS,
    };
    let advertiser_id = AdvertiserId::from("adv_1");
    let spec = serde_json::from_value(serde_json::json!({
        "advertiser_id": "adv_1", "name": "n", "status": "active",
        "flight": {"start": "2026-01-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"},
        "budget": {"currency": "USD", "daily_micros": 1}, "bid": {"max_cpm_micros": PRICE_NANOS},
    }))
    .unwrap();
    let mut campaign = Campaign {
        id: CampaignId(format!("cmp_{number}")),
        spec,
        created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        updated_at: "2026-01-01T00:00:00Z".parse().unwrap(),
    };
    campaign.spec.pacing = pacing;
    Arc::new(ServingCampaign {
        schema: 1,
        generation: 1,
        revision: 1,
        requires: Vec::new(),
        campaign,
        advertiser: ServingAdvertiser {
            id: advertiser_id,
            status: AdvertiserStatus::Active,
            legal_name: None,
            paid_by: None,
            seats: BTreeMap::new(),
            conversion_lookback_days: 30,
        },
        creatives: Vec::new(),
        limits,
        days: (0..4).map(day).collect(),
        traceparent: None,
    })
}

fn limits(daily_bids: i64, total_bids: i64) -> Limits {
    Limits {
        daily_nanos: Some(daily_bids * PRICE_NANOS),
        total_nanos: Some(total_bids * PRICE_NANOS),
    }
}

async fn embedded(clock: &Clock) -> Arc<SqliteStore> {
    let ledger_clock = clock.clone();
    let store = SqliteStore::open("sqlite::memory:", Arc::new(move || ledger_clock.unix_ms())).await;
    Arc::new(store.unwrap())
}

impl World {
    /// Everything in one embedded store.
    async fn new(seed: u64, is_orderly: bool, campaigns: Vec<Arc<ServingCampaign>>) -> Self {
        let clock = Clock::manual(MIDNIGHT_MS - 20_000);
        let store = embedded(&clock).await;
        Self::over(
            store.clone(),
            store.clone(),
            store,
            (seed, is_orderly),
            clock,
            campaigns,
        )
    }

    fn over(
        store: Arc<SqliteStore>,
        ledger: Arc<dyn SpendLedger>,
        log: Arc<dyn EventLog>,
        (seed, is_orderly): (u64, bool),
        clock: Clock,
        campaigns: Vec<Arc<ServingCampaign>>,
    ) -> Self {
        let mut world = Self {
            dice: fastrand::Rng::with_seed(seed),
            clock,
            store,
            ledger,
            log,
            model: None,
            ledger_fate: Fate::new(seed + 1),
            log_fate: Fate::new(seed + 2),
            campaigns,
            bidders: Vec::new(),
            market: Market {
                is_orderly,
                ..Market::default()
            },
            bids: 0,
            committed: HashMap::new(),
        };
        for _ in 0..BIDDERS {
            let bidder = world.bidder();
            world.bidders.push(bidder);
        }
        world
    }

    fn bidder(&mut self) -> Bidder {
        let metrics =
            crate::metrics::BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
        let ledger = Arc::new(FaultyLedger {
            inner: self.ledger.clone(),
            fate: self.ledger_fate.clone(),
        });
        let log = Arc::new(FaultyLog {
            inner: self.log.clone(),
            fate: self.log_fate.clone(),
        });
        let keeper = Arc::new(LeaseKeeper::new(
            ledger.clone(),
            BidderId::mint(self.clock.unix_ms(), self.dice.u128(..)),
            self.clock.clone(),
            Arc::new(AtomicI64::new(WIN_NOTICE_DELAY_MS)),
            metrics.money.clone(),
            self.dice.u64(..),
        ));
        let settlement = Arc::new(Settlement::new(
            ledger.clone(),
            log.clone(),
            self.store.clone(),
            keeper.clone(),
            self.clock.clone(),
            metrics.money.clone(),
        ));
        Bidder {
            cells: keeper.cells_for(&all_compiled(&self.campaigns)),
            rebuilder: Rebuilder {
                ledger,
                log,
                settlement: settlement.clone(),
                keeper: keeper.clone(),
                clock: self.clock.clone(),
                metrics: metrics.money,
            },
            settlement,
            keeper,
        }
    }

    async fn step(&mut self, opportunities: usize) {
        self.clock.advance(STEP_MS);
        if self.clock.monotonic_ms() % 1_000 == 0 {
            for bidder in &self.bidders {
                let _ = bidder.keeper.beat().await;
                let _ = bidder.rebuilder.rebuild_what_is_due().await;
            }
        }
        self.check().await;
        for bidder in 0..self.bidders.len() {
            for campaign in 0..self.campaigns.len() {
                for _ in 0..self.dice.usize(..=opportunities) {
                    self.opportunity(bidder, campaign);
                }
            }
        }
        for notice in self.market.arrivals(self.clock.unix_ms()) {
            self.deliver(notice).await;
        }
        self.check().await;
    }

    fn opportunity(&mut self, bidder: usize, campaign: usize) {
        let now = Now {
            unix_ms: self.clock.unix_ms(),
            monotonic_ms: self.clock.monotonic_ms(),
        };
        let cell = &self.bidders[bidder].cells[campaign];
        cell.count_opportunity();
        let price = self.dice.i64(PRICE_NANOS / 2..=PRICE_NANOS);
        if cell.reserve(price, now).is_err() {
            return;
        }
        if self.dice.u8(..100) < 3 {
            cell.cancel(price);
            return;
        }
        self.bids += 1;
        let token = self.token(bidder, campaign, price);
        self.market.auction(token, &mut self.dice);
    }

    /// Of the bid just counted.
    fn token(&self, bidder: usize, campaign: usize, price: i64) -> BidToken {
        let now_ms = self.clock.unix_ms();
        let serving = &self.campaigns[campaign];
        let day = serving.days.iter().find(|day| day.contains(now_ms)).unwrap();
        BidToken {
            bid_id: BidId(self.bids),
            bid_at_ms: now_ms,
            campaign_id: serving.campaign.id.clone(),
            creative_id: "crv_1".into(),
            creative_version: 1,
            day: day.clone(),
            bidder_id: self.bidders[bidder].keeper.bidder_id().clone(),
            price_cpm_micros: price,
            bid_currency: Currency::USD,
            currency: Currency::USD,
            terms: Terms::default(),
            reserved_nanos: price,
            billing_window_ms: BILLING_WINDOW_MS,
            user_key: None,
            dimensions: Dimensions {
                advertiser: serving.campaign.spec.advertiser_id.0.clone(),
                campaign: serving.campaign.id.0.clone(),
                ..Dimensions::default()
            },
            billing: Billing::Notice,
            price_form: PriceForm::Plain,
            market: None,
            counters: Vec::new(),
            landing_url: String::new(),
            test: false,
        }
    }

    async fn deliver(&mut self, notice: Notice) {
        let at = self.dice.usize(..self.bidders.len());
        let settlement = &self.bidders[at].settlement;
        let outcome = match &notice {
            Notice::Win(token, cleared) => settlement.win(token, Some(*cleared)).await,
            Notice::Billing(token, cleared) => settlement.bill(token, *cleared).await,
            Notice::Loss(token) => settlement.loss(token, Some(102)).await,
        };
        if outcome.is_err() {
            self.market.again(self.clock.unix_ms() + 1_000, notice);
        }
    }

    async fn balances(&self) -> Vec<Balance> {
        let advertiser_of = |serving: &ServingCampaign| serving.campaign.spec.advertiser_id.clone();
        let ids: Vec<(AdvertiserId, CampaignId)> = self
            .campaigns
            .iter()
            .map(|serving| (advertiser_of(serving), serving.campaign.id.clone()))
            .collect();
        self.ledger.balances(BalancesOf::Campaigns(&ids)).await.unwrap()
    }

    /// The cap: nothing beyond the limit, or beyond what was there when the limit was cut.
    async fn check(&mut self) {
        for balance in self.balances().await {
            if self.is_rebuilding(&balance.campaign_id) {
                continue;
            }
            let account = balance.account;
            let committed = account.spent_nanos + account.pending_nanos + account.leased_nanos;
            let key = (balance.campaign_id, balance.day.map(|day| day.date));
            let before = self.committed.insert(key.clone(), committed).unwrap_or(0);
            let bound = account.limit_nanos.unwrap_or(i64::MAX).max(before);
            assert!(
                committed <= bound,
                "{key:?}: {committed} committed, {bound} allowed"
            );
        }
    }

    /// Its books are not what was committed: they are compared again when they are good.
    fn is_rebuilding(&self, campaign_id: &CampaignId) -> bool {
        let Some(model) = &self.model else { return false };
        let mut campaigns = self.campaigns.iter().map(|serving| &serving.campaign);
        let of = campaigns.find(|campaign| campaign.id == *campaign_id);
        of.is_some_and(|campaign| model.is_lost(model.group_of(&campaign.spec.advertiser_id)))
    }

    fn cut_limits(&mut self, limits: Limits) {
        for campaign in &mut self.campaigns {
            let mut cut = ServingCampaign::clone(campaign);
            cut.revision += 1;
            cut.limits = limits;
            *campaign = Arc::new(cut);
        }
        for bidder in &mut self.bidders {
            bidder.cells = bidder.keeper.cells_for(&all_compiled(&self.campaigns));
        }
    }

    /// Everything works again and no new opportunity comes, until every notice has arrived.
    async fn calm_down(&mut self) {
        self.ledger_fate.fail(0);
        self.log_fate.fail(0);
        while !self.market.is_quiet() {
            self.step(0).await;
        }
        self.clock.advance(10_000);
        self.bidders[0].settlement.sweep_once(false).await.unwrap();
    }

    async fn spend_events(&self) -> HashMap<String, SpendEvent> {
        let log = &self.log;
        let mut events = HashMap::new();
        for partition in 0..log.partitions(Topic::Spend).await.unwrap() {
            let mut next = 0;
            loop {
                let batch = log
                    .read(Topic::Spend, partition, next, 1_000, Duration::ZERO)
                    .await
                    .unwrap();
                if batch.records.is_empty() {
                    break;
                }
                next = batch.next_offset;
                for record in batch.records {
                    let event: SpendEvent = serde_json::from_slice(&record.value.unwrap()).unwrap();
                    let again = events.insert(event.event_id.clone(), event.clone());
                    assert!(
                        again.is_none_or(|first| first == event),
                        "a bid was settled in two ways"
                    );
                }
            }
        }
        events
    }

    /// Ledger and topic tell the same story. Returns (charged, over-delivered).
    async fn reconcile(&self) -> (i64, i64) {
        let events = self.spend_events().await;
        let sum = |of: fn(&SpendEvent) -> i64| events.values().map(of).sum::<i64>();
        let lifetimes: Vec<Balance> = self
            .balances()
            .await
            .into_iter()
            .filter(|of| of.day.is_none())
            .collect();
        let charged = lifetimes.iter().map(|of| of.account.spent_nanos).sum::<i64>();
        assert_eq!(sum(|event| event.charge_nanos), charged);
        let over = lifetimes.iter().map(|of| of.over_delivery_nanos).sum::<i64>();
        assert_eq!(sum(|event| event.over_delivery_nanos), over);
        assert_eq!(
            events.len() as i64,
            lifetimes.iter().map(|of| of.settled_bids).sum::<i64>()
        );
        for event in events.values() {
            assert_eq!(event.charge_nanos, event.media_cost_nanos + event.fee_nanos);
        }
        (charged, over)
    }

    async fn replay_everything(&mut self) {
        let mut sent = std::mem::take(&mut self.market.sent);
        self.dice.shuffle(&mut sent);
        for notice in sent {
            // As the routes do: an expired token does nothing.
            if self.clock.unix_ms() < notice.token().billable_until_ms() {
                self.deliver(notice).await;
            }
        }
        assert!(self.market.is_quiet(), "a repeat was refused");
    }
}

/// Names the seed when a run fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with MONEY_SEED={}", self.0);
        }
    }
}

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("MONEY_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => vec![seed],
        None => (1..=count).collect(),
    }
}
