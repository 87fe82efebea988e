//! A ledger in groups, which fail and forget one by one.

use super::tests::{campaign, changed};
use super::*;
use crate::metrics::BiddingMetrics;
use crate::testing::all_compiled;
use crate::testing::model_ledger::{Left, ModelLedger};
use domain::id::AdvertiserId;
use domain::serving::ServingCampaign;
use storage::spend_ledger::{LeaseRequest, Rebuild};

const T1_MS: i64 = 5_000;
const PRICE_NANOS: i64 = 1_000_000;
const START_MS: i64 = 1_790_000_000_000;

struct Bench {
    clock: Clock,
    model: Arc<ModelLedger>,
    keeper: LeaseKeeper,
    metrics: MoneyMetrics,
    campaigns: Vec<Arc<ServingCampaign>>,
    cells: Vec<Arc<LeaseCell>>,
}

impl Bench {
    /// Campaigns of these advertisers, the ledger in two groups.
    fn new(daily_bids: i64, advertisers: &[&str]) -> Self {
        let clock = Clock::manual(START_MS);
        let model = Arc::new(ModelLedger::new(clock.clone(), 2));
        let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
        let keeper = LeaseKeeper::new(
            model.clone(),
            BidderId::from("bdr_1"),
            clock.clone(),
            Arc::new(AtomicI64::new(T1_MS)),
            metrics.money.clone(),
            1,
        );
        let campaigns = (1..).zip(advertisers).map(|(number, advertiser)| {
            changed(&campaign(daily_bids), |of| {
                of.campaign.id = CampaignId(format!("cmp_{number}"));
                of.advertiser.id = AdvertiserId::from(*advertiser);
            })
        });
        let campaigns: Vec<_> = campaigns.collect();
        Self {
            cells: keeper.cells_for(&all_compiled(&campaigns)),
            clock,
            model,
            keeper,
            metrics: metrics.money,
            campaigns,
        }
    }

    async fn second(&self) -> Result<(), heartbeat::Unanswered> {
        self.clock.advance(1_000);
        self.keeper.beat().await
    }

    fn bid(&self, number: usize) -> bool {
        self.cells[number].count_opportunity();
        self.cells[number].reserve(PRICE_NANOS, self.keeper.now()).is_ok()
    }

    fn group_of(&self, number: usize) -> u32 {
        self.model.group_of(&self.campaigns[number].advertiser.id)
    }

    fn leased_bids(&self, number: usize) -> i64 {
        let id = &self.campaigns[number].campaign.id;
        let balances = self.model.all_balances();
        let of = balances
            .iter()
            .filter(|of| of.campaign_id == *id && of.day.is_some());
        of.map(|of| of.account.leased_nanos).sum::<i64>() / PRICE_NANOS
    }

    /// Forgets everything, and is good again after `hold_ms`, with no facts.
    async fn forget(&self, group: u32, hold_ms: i64) {
        let by = BidderId::from("bdr_2");
        self.model.lose(group, Left::Nothing);
        let mut due: Vec<Rebuild> = self.model.rebuilds(&by, hold_ms).await.unwrap();
        if due.is_empty() {
            self.clock.advance(hold_ms);
            due = self.model.rebuilds(&by, hold_ms).await.unwrap();
        }
        self.model.rebuilt(&due[0], &by).await.unwrap();
    }
}

#[tokio::test]
async fn the_cells_of_a_group_that_does_not_answer_run_out_while_the_others_go_on() {
    let bench = Bench::new(1_000, &["adv_1", "adv_2"]);
    bench.second().await.unwrap();
    assert_eq!(bench.metrics.ledger_refusing.get(), 0);
    bench.model.set_away(bench.group_of(0), true);
    for second in 1..=4 {
        let unanswered = bench.second().await.unwrap_err();
        assert!(!unanswered.is_complete());
        assert_eq!(bench.metrics.ledger_refusing.get(), 1);
        assert_eq!(bench.bid(0), second < 2, "two seconds after the last answer");
        assert!(bench.bid(1), "second {second}");
    }
    bench.model.set_away(bench.group_of(0), false);
    bench.second().await.unwrap();
    assert!(bench.bid(0));
}

#[tokio::test]
async fn a_resting_lease_that_the_ledger_has_forgotten_is_not_bid_on() {
    let bench = Bench::new(1_000, &["adv_1", "adv_1", "adv_1", "adv_2"]);
    for _ in 0..3 {
        bench.second().await.unwrap();
    }
    // The process stands still meanwhile, so that it sees no heartbeat fail.
    bench
        .forget(bench.group_of(0), T1_MS + HOLD_AFTER_NOTICES_MS)
        .await;
    let mut bids = [0; 4];
    for _ in 0..3 {
        bench.second().await.unwrap();
        for (number, bids) in bids.iter_mut().enumerate() {
            let would = bench.cells[number].would_reserve(PRICE_NANOS, bench.keeper.now());
            assert!(
                would.is_err() || bench.leased_bids(number) > 0,
                "campaign {number}"
            );
            *bids += i64::from(would.is_ok());
        }
    }
    assert_eq!(bids[3], 3, "the other group has forgotten nothing");
    assert!(bids.iter().all(|bids| *bids > 0), "{bids:?}: all are leased anew");
}

#[tokio::test]
async fn a_heartbeat_that_came_late_names_one_resting_campaign_a_group_and_all_go_on() {
    let bench = Bench::new(1_000, &["adv_1", "adv_1", "adv_1"]);
    bench.second().await.unwrap();
    bench.clock.advance(30_000);
    bench.second().await.unwrap();
    assert!((0..3).all(|number| bench.bid(number)), "nothing was forgotten");
}

#[tokio::test]
async fn bids_that_are_open_when_the_ledger_has_forgotten_them_are_asked_for_anew() {
    let bench = Bench::new(4, &["adv_1"]);
    bench.second().await.unwrap();
    assert!(bench.bid(0));
    bench.second().await.unwrap();
    assert!(bench.bid(0));
    bench.forget(bench.group_of(0), 0).await;
    assert_eq!(bench.leased_bids(0), 0);
    let mut bids = 2;
    for _ in 0..3 {
        bench.second().await.unwrap();
        bids += (0..10).filter(|_| bench.bid(0)).count();
    }
    assert_eq!((bids, bench.leased_bids(0)), (4, 4));
}

#[tokio::test]
async fn open_bids_whose_money_another_has_by_now_leave_no_room_for_more() {
    let bench = Bench::new(4, &["adv_1"]);
    bench.second().await.unwrap();
    assert!(bench.bid(0));
    bench.second().await.unwrap();
    assert!(bench.bid(0));
    bench.forget(bench.group_of(0), 0).await;
    let serving = &bench.campaigns[0];
    let others = LeaseRequest {
        advertiser_id: serving.advertiser.id.clone(),
        campaign_id: serving.campaign.id.clone(),
        generation: serving.generation,
        revision: serving.revision,
        day: serving.days[0].clone(),
        limits: serving.limits,
        wanted_nanos: 3 * PRICE_NANOS,
        bid_nanos: PRICE_NANOS,
        opportunities: 0,
        bids: 0,
        renewal: 0,
    };
    let by = BidderId::from("bdr_2");
    bench
        .model
        .renew(bench.group_of(0), &by, 60_000, &[others])
        .await
        .unwrap();
    for _ in 0..4 {
        bench.second().await.unwrap();
        assert!(!bench.bid(0), "one bid is leased and two are open");
    }
}

#[tokio::test]
async fn a_heartbeat_that_is_carried_out_after_a_later_one_takes_nothing_away() {
    let bench = Bench::new(1_000, &["adv_1"]);
    let group = bench.group_of(0);
    bench.second().await.unwrap();
    bench.model.set_late(group, true);
    bench.second().await.unwrap_err();
    bench.model.set_late(group, false);
    for _ in 0..3 {
        (0..20).for_each(|_| _ = bench.bid(0));
        bench.second().await.unwrap();
    }
    let leased = bench.leased_bids(0);
    assert!(leased > 10, "{leased}: more than the late one asked for");
    bench.model.carry_out_late(group).await;
    assert_eq!(bench.leased_bids(0), leased);
}

#[tokio::test]
async fn what_a_stopping_process_gives_back_goes_back_group_by_group() {
    let bench = Bench::new(1_000, &["adv_1", "adv_2"]);
    bench.second().await.unwrap();
    bench.model.set_away(bench.group_of(0), true);
    bench.keeper.give_back().await;
    assert_eq!([bench.leased_bids(0), bench.leased_bids(1)], [1, 0]);
}
