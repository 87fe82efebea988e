//! A ledger that forgets: some of what it acknowledged last, or everything. Whatever it forgot is in the topics.

use super::*;
use crate::testing::memory_log::MemoryLog;
use crate::testing::model_ledger::{Left, ModelLedger};
use domain::event::{CheckpointDay, LedgerCheckpoint, SCHEMA, SpentTotals};
use storage::event_log::NewRecord;

const SEEDS: u64 = 4;
const GROUPS: usize = 3;
const STEPS: u32 = 160;

struct Forgetful {
    world: World,
    model: Arc<ModelLedger>,
}

fn of_advertiser(campaign: &Arc<ServingCampaign>, id: &str) -> Arc<ServingCampaign> {
    let mut campaign = ServingCampaign::clone(campaign);
    campaign.campaign.spec.advertiser_id = id.into();
    campaign.advertiser.id = id.into();
    Arc::new(campaign)
}

impl Forgetful {
    /// Campaigns of two groups, one of them with next to no budget.
    fn new(seed: u64, store: &Arc<SqliteStore>) -> Self {
        let campaigns = vec![
            of_advertiser(&campaign(1, Pacing::Asap, limits(60, 100)), "adv_1"),
            of_advertiser(&campaign(2, Pacing::Even, limits(50_000, 100_000)), "adv_2"),
            of_advertiser(&campaign(3, Pacing::Asap, limits(200, 250)), "adv_2"),
        ];
        let clock = Clock::manual(MIDNIGHT_MS - 20_000);
        let model = Arc::new(ModelLedger::new(clock.clone(), GROUPS));
        let log = Arc::new(MemoryLog::default());
        let mut world = World::over(store.clone(), model.clone(), log, (seed, false), clock, campaigns);
        world.model = Some(model.clone());
        Self { world, model }
    }

    fn forget_something(&mut self) {
        let dice = &mut self.world.dice;
        let left = match dice.u8(..4) {
            0 => Left::Everything,
            1 => Left::Nothing,
            // Less than the margin that the ledger takes off what it believes to be complete.
            _ => Left::Older(dice.usize(1..20)),
        };
        self.model.lose(dice.u32(..GROUPS as u32), left);
    }

    /// As analytics does, for some of the campaigns: what is in topic `spend` up to now, each event once.
    async fn publish_checkpoints(&mut self) {
        let offsets = self.ends().await;
        let events = self.world.spend_events().await;
        let campaigns = self.world.campaigns.clone();
        for serving in campaigns {
            if self.world.dice.bool() {
                continue;
            }
            let id = serving.campaign.id.clone();
            let of: Vec<&SpendEvent> = events.values().filter(|event| event.campaign_id == id).collect();
            let days = serving.days.iter().map(|day| CheckpointDay {
                day: day.clone(),
                totals: totals(of.iter().filter(|event| event.day == day.date)),
            });
            let checkpoint = LedgerCheckpoint {
                schema: SCHEMA,
                advertiser_id: serving.campaign.spec.advertiser_id.clone(),
                campaign_id: id.clone(),
                days: days.collect(),
                lifetime: totals(of.iter()),
                offsets: offsets.clone(),
                at_ms: self.world.clock.unix_ms(),
            };
            let record = NewRecord {
                key: id.0,
                value: Some(serde_json::to_vec(&checkpoint).unwrap()),
            };
            let now_ms = self.world.clock.unix_ms();
            let log = &self.world.log;
            log.append(Topic::LedgerCheckpoints, vec![record], now_ms)
                .await
                .unwrap();
        }
    }

    async fn ends(&self) -> BTreeMap<u32, i64> {
        let log = &self.world.log;
        let mut ends = BTreeMap::new();
        for partition in 0..log.partitions(Topic::Spend).await.unwrap() {
            let end = log.end_offset(Topic::Spend, partition).await.unwrap();
            ends.insert(partition, end);
        }
        ends
    }

    async fn trouble(&mut self, step: u32) {
        let world = &mut self.world;
        if step.is_multiple_of(12) {
            let ledger = [0, 0, 0, 10, 30, 100][world.dice.usize(..6)];
            let log = [0, 0, 0, 10, 40, 100][world.dice.usize(..6)];
            world.ledger_fate.fail(ledger);
            world.log_fate.fail(log);
        }
        if world.dice.u8(..100) < 1 {
            let crashed = world.dice.usize(..world.bidders.len());
            world.bidders[crashed] = world.bidder();
        }
        if world.dice.u8(..100) < 2 {
            self.forget_something();
        }
        if self.world.dice.u8(..100) < 5 {
            self.publish_checkpoints().await;
        }
    }

    async fn calm_down(&mut self) {
        self.world.ledger_fate.fail(0);
        self.world.log_fate.fail(0);
        let mut steps = 0;
        while (0..GROUPS as u32).any(|group| self.model.is_lost(group)) {
            self.world.step(0).await;
            steps += 1;
            assert!(steps < 400, "the ledger is never rebuilt");
        }
        self.world.calm_down().await;
    }
}

fn totals<'a>(of: impl Iterator<Item = &'a &'a SpendEvent>) -> SpentTotals {
    of.fold(SpentTotals::default(), |sum, event| SpentTotals {
        spent_nanos: sum.spent_nanos + event.charge_nanos,
        over_delivery_nanos: sum.over_delivery_nanos + event.over_delivery_nanos,
        settled_bids: sum.settled_bids + 1,
    })
}

#[tokio::test]
async fn a_ledger_that_forgets_is_rebuilt_charges_nothing_beyond_the_limit_and_equals_the_topic() {
    let store = embedded(&Clock::manual(0)).await;
    let mut over_nanos = 0;
    for seed in seeds(SEEDS) {
        let _named = Seed(seed);
        let mut forgetful = Forgetful::new(seed, &store);
        for step in 0..STEPS {
            forgetful.trouble(step).await;
            forgetful.world.step(2).await;
        }
        forgetful.calm_down().await;
        let told = forgetful.world.reconcile().await;
        assert!(told.0 > 0, "seed {seed}: nothing was spent");
        over_nanos += told.1;
        for group in 0..GROUPS as u32 {
            forgetful.model.lose(group, Left::Nothing);
        }
        forgetful.calm_down().await;
        assert_eq!(forgetful.world.reconcile().await, told, "all from the topics");
        forgetful.world.replay_everything().await;
        assert_eq!(forgetful.world.reconcile().await, told);
    }
    println!("{SEEDS} seeds, {over_nanos} nanos over-delivered");
}
