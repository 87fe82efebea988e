//! One keeper over a real ledger, on a clock moved by hand.

use super::*;
use crate::metrics::BiddingMetrics;
use crate::testing::compiled;
use domain::campaign::CampaignStatus;
use domain::campaign::Pacing;
use domain::id::AdvertiserId;
use domain::period::{Day, Limits};
use domain::serving::ServingCampaign;
use storage::spend_ledger::{Balance, BalancesOf, Billing, Reservation};
use storage_sqlite::SqliteStore;

const T1_MS: i64 = 5_000;
const PRICE_NANOS: i64 = 1_000_000;
pub(super) const START_MS: i64 = 1_790_000_000_000;

pub(super) fn campaign(daily_bids: i64) -> Arc<ServingCampaign> {
    let serving = serde_json::from_value(serde_json::json!({
        "schema": 1, "generation": 1, "revision": 1,
        "campaign": {
            "id": "cmp_1", "advertiser_id": "adv_1", "name": "n", "status": "active", "pacing": "asap",
            "flight": {"start": "2026-01-01T00:00:00Z"}, "budget": {"currency": "USD", "daily_micros": 1},
            "bid": {"max_cpm_micros": PRICE_NANOS},
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        },
        "advertiser": {"id": "adv_1", "status": "active", "conversion_lookback_days": 30},
        "creatives": [],
        "limits": Limits { daily_nanos: Some(daily_bids * PRICE_NANOS), total_nanos: None },
        "days": [
            Day { date: "2026-09-21".to_owned(), start_ms: START_MS - 1_000, end_ms: START_MS + 3_600_000 },
            Day { date: "2026-09-22".to_owned(), start_ms: START_MS + 3_600_000, end_ms: START_MS + 90_000_000 },
        ],
    }));
    Arc::new(serving.unwrap())
}

pub(super) fn changed(
    campaign: &ServingCampaign,
    change: impl FnOnce(&mut ServingCampaign),
) -> Arc<ServingCampaign> {
    let mut campaign = campaign.clone();
    campaign.revision += 1;
    change(&mut campaign);
    Arc::new(campaign)
}

struct Bench {
    clock: Clock,
    store: Arc<SqliteStore>,
    keeper: LeaseKeeper,
    cell: Arc<LeaseCell>,
}

impl Bench {
    async fn new(campaign: &Arc<ServingCampaign>) -> Self {
        let clock = Clock::manual(START_MS);
        let ledger_clock = clock.clone();
        let store = SqliteStore::open("sqlite::memory:", Arc::new(move || ledger_clock.unix_ms())).await;
        let store = Arc::new(store.unwrap());
        let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
        let keeper = LeaseKeeper::new(
            store.clone(),
            BidderId::from("bdr_1"),
            clock.clone(),
            Arc::new(AtomicI64::new(T1_MS)),
            metrics.money,
            1,
        );
        let cell = keeper.cells_for(&[compiled(campaign)]).remove(0);
        Self {
            clock,
            store,
            keeper,
            cell,
        }
    }

    async fn second(&self) {
        self.clock.advance(1_000);
        self.keeper.beat().await.unwrap();
    }

    fn bid(&self) -> bool {
        self.cell.count_opportunity();
        self.cell.reserve(PRICE_NANOS, self.keeper.now()).is_ok()
    }

    async fn leased_bids(&self) -> i64 {
        let of = [(AdvertiserId::from("adv_1"), CampaignId::from("cmp_1"))];
        let balances: Vec<Balance> = self.store.balances(BalancesOf::Campaigns(&of)).await.unwrap();
        let days = balances.iter().filter(|balance| balance.day.is_some());
        days.map(|balance| balance.account.leased_nanos).sum::<i64>() / PRICE_NANOS
    }
}

#[tokio::test]
async fn a_new_campaign_has_one_bids_lease_before_its_first_opportunity() {
    let bench = Bench::new(&campaign(1_000)).await;
    assert!(!bench.bid());
    let bench = Bench::new(&campaign(1_000)).await;
    bench.second().await;
    assert_eq!(bench.leased_bids().await, 1);
    assert!(bench.bid());
}

#[tokio::test]
async fn a_campaign_at_rest_bids_on_for_minutes_and_only_while_heartbeats_are_answered() {
    let bench = Bench::new(&campaign(1_000)).await;
    // Over midnight, too.
    for _ in 0..4_000 {
        bench.second().await;
    }
    assert_eq!(bench.leased_bids().await, 1);
    bench.clock.advance(BID_AFTER_RENEWAL_MS);
    assert!(!bench.bid(), "no heartbeat for two seconds");
    bench.second().await;
    assert!(bench.bid());
}

#[tokio::test]
async fn a_pause_binds_at_once_and_gives_back_what_is_not_open() {
    let serving = campaign(1_000);
    let bench = Bench::new(&serving).await;
    bench.second().await;
    assert!(bench.bid());
    bench.second().await;
    let paused = changed(&serving, |campaign| {
        campaign.campaign.spec.status = CampaignStatus::Paused
    });
    bench.keeper.cells_for(&[compiled(&paused)]);
    assert!(!bench.bid());
    bench.second().await;
    assert_eq!(bench.leased_bids().await, 1, "the bid can still be won");
    for _ in 0..7 {
        bench.second().await;
    }
    assert_eq!(bench.leased_bids().await, 0);
    let resumed = changed(&paused, |campaign| {
        campaign.campaign.spec.status = CampaignStatus::Active
    });
    bench.keeper.cells_for(&[compiled(&resumed)]);
    bench.second().await;
    assert!(bench.bid());
}

#[tokio::test]
async fn a_campaign_paused_at_rest_makes_no_bid_and_gives_its_lease_back() {
    let serving = campaign(1_000);
    let bench = Bench::new(&serving).await;
    for _ in 0..5 {
        bench.second().await;
    }
    let paused = changed(&serving, |campaign| {
        campaign.campaign.spec.status = CampaignStatus::Paused
    });
    bench.keeper.serves(&compiled(&paused));
    for _ in 0..3 {
        let would = bench.cell.would_reserve(PRICE_NANOS, bench.keeper.now());
        assert!(would.is_err(), "paused");
        bench.second().await;
    }
    assert_eq!(bench.leased_bids().await, 0);
}

#[tokio::test]
async fn a_wall_clock_set_to_the_next_day_wakes_who_rests() {
    let bench = Bench::new(&campaign(1_000)).await;
    for _ in 0..5 {
        bench.second().await;
    }
    bench.clock.set_unix_ms(START_MS + 3_600_000 + 60_000);
    bench.second().await;
    let of = [(AdvertiserId::from("adv_1"), CampaignId::from("cmp_1"))];
    let balances = bench.store.balances(BalancesOf::Campaigns(&of)).await.unwrap();
    let leased = |date: &str| {
        let mut of = balances
            .iter()
            .filter(|of| of.day.as_ref().is_some_and(|day| day.date == date));
        of.next().map(|of| of.account.leased_nanos)
    };
    assert_eq!(leased("2026-09-22"), Some(PRICE_NANOS), "the new day's lease");
}

#[tokio::test]
async fn a_scarce_budget_is_reserved_to_its_last_bid_and_never_beyond() {
    let bench = Bench::new(&campaign(4)).await;
    let mut bids = 0;
    for _ in 0..4 {
        bench.second().await;
        bids += (0..10).filter(|_| bench.bid()).count();
    }
    assert_eq!(bids, 4);
    assert_eq!(bench.leased_bids().await, 4);
}

#[tokio::test]
async fn a_lost_bid_makes_room_for_another_once() {
    let bench = Bench::new(&campaign(1)).await;
    let id = CampaignId::from("cmp_1");
    // The first opportunity says that somebody asks; the next heartbeat leases the only bid there is.
    bench.second().await;
    bench.bid();
    bench.second().await;
    let bid_at_ms = bench.clock.unix_ms();
    bench.bid();
    bench.second().await;
    assert!(!bench.bid(), "the budget's only bid is open");
    for _ in 0..2 {
        bench.keeper.ended(BidId(1), bid_at_ms, &id, PRICE_NANOS, None);
    }
    assert!(bench.bid());
    assert!(!bench.bid());
}

#[tokio::test]
async fn at_midnight_the_next_day_is_leased_and_yesterdays_open_bids_keep_theirs() {
    let bench = Bench::new(&campaign(1_000)).await;
    bench.clock.advance(3_600_000 - 3_000);
    bench.second().await;
    assert!(bench.bid());
    bench.second().await;
    bench.clock.advance(1_000);
    assert!(!bench.bid(), "the lease ends with its day");
    bench.second().await;
    assert!(bench.bid(), "the new day's lease");
    let of = [(AdvertiserId::from("adv_1"), CampaignId::from("cmp_1"))];
    let balances = bench.store.balances(BalancesOf::Campaigns(&of)).await.unwrap();
    let yesterday = balances
        .iter()
        .find(|of| of.day.as_ref().is_some_and(|day| day.date == "2026-09-21"));
    assert_eq!(yesterday.unwrap().account.leased_nanos, PRICE_NANOS);
}

#[tokio::test]
async fn a_stopping_process_keeps_leased_only_what_can_still_be_won() {
    let bench = Bench::new(&campaign(1_000)).await;
    bench.second().await;
    assert!(bench.bid());
    bench.second().await;
    assert!(bench.leased_bids().await > 1);
    bench.keeper.give_back().await;
    assert_eq!(bench.leased_bids().await, 1);
    assert!(!bench.bid());
}

#[tokio::test]
async fn a_bid_said_to_be_lost_and_won_tells_what_is_leased_all_the_same() {
    let bench = Bench::new(&campaign(1)).await;
    let id = CampaignId::from("cmp_1");
    bench.second().await;
    bench.bid();
    bench.second().await;
    let bid_at_ms = bench.clock.unix_ms();
    bench.bid();
    bench.second().await;
    assert!(!bench.bid(), "the budget's only bid is open");
    bench.keeper.ended(BidId(1), bid_at_ms, &id, PRICE_NANOS, None);
    let taken = LeaseNow {
        leased_nanos: 0,
        sequence: 1_000,
    };
    bench
        .keeper
        .ended(BidId(1), bid_at_ms, &id, PRICE_NANOS, Some(taken));
    assert!(!bench.bid(), "the lease has moved to pending");
}

#[tokio::test]
async fn the_plan_of_even_days_and_what_they_spent_are_told() {
    let even = changed(&campaign(3_601), |campaign| {
        campaign.campaign.spec.pacing = Pacing::Even
    });
    let bench = Bench::new(&even).await;
    let told_bids = || {
        let metrics = &bench.keeper.metrics;
        let of = |gauge: &prometheus::IntGauge| gauge.get() / PRICE_NANOS;
        (of(&metrics.planned_nanos), of(&metrics.planned_spent_nanos))
    };
    // The day of 3,601 seconds began one second ago: it plans a bid's price each.
    for _ in 0..10 {
        bench.bid();
        bench.second().await;
    }
    assert_eq!(told_bids(), (11, 0));
    let billing = Billing {
        reservation: Reservation {
            bid_id: BidId(1),
            advertiser_id: AdvertiserId::from("adv_1"),
            campaign_id: CampaignId::from("cmp_1"),
            day: even.days[0].clone(),
            bidder_id: bench.keeper.bidder_id().clone(),
            reserved_nanos: 3 * PRICE_NANOS,
            billing_window_ms: 1_000,
        },
        charge_nanos: 3 * PRICE_NANOS,
        context: String::new(),
    };
    bench.store.bill(&billing).await.unwrap();
    bench.second().await;
    assert_eq!(told_bids(), (12, 3));
    let paused = changed(&even, |campaign| {
        campaign.campaign.spec.status = CampaignStatus::Paused
    });
    bench.keeper.serves(&compiled(&paused));
    bench.second().await;
    assert_eq!(told_bids(), (0, 0), "a campaign that may not bid has no plan");
}
