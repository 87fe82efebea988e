//! Topics that hold what no service of ours wrote, or none that is known here.

use super::*;
use crate::metrics::BiddingMetrics;
use crate::testing::memory_log::MemoryLog;
use crate::testing::model_ledger::{Left, ModelLedger};
use domain::event::{Dimensions, MAX_AMOUNT};
use domain::id::BidderId;
use serde_json::{Value, json};
use std::sync::atomic::AtomicI64;
use storage::event_log::NewRecord;
use storage::spend_ledger::Balance;
use storage_sqlite::SqliteStore;

const NOW_MS: i64 = 1_790_000_000_000;
const DAY_MS: i64 = 86_400_000;
const CLAIM_MS: i64 = 10_000;
const GROUPS: u32 = 2;

struct Bench {
    clock: Clock,
    model: Arc<ModelLedger>,
    log: Arc<MemoryLog>,
    rebuilder: Rebuilder,
}

impl Bench {
    async fn new() -> Self {
        let clock = Clock::manual(NOW_MS);
        let model = Arc::new(ModelLedger::new(clock.clone(), GROUPS as usize));
        let log = Arc::new(MemoryLog::default());
        let store = SqliteStore::open("sqlite::memory:", Arc::new(|| NOW_MS)).await;
        let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
        let keeper = Arc::new(LeaseKeeper::new(
            model.clone(),
            BidderId::from("bdr_1"),
            clock.clone(),
            Arc::new(AtomicI64::new(5_000)),
            metrics.money.clone(),
            1,
        ));
        let settlement = Settlement::new(
            model.clone(),
            log.clone(),
            Arc::new(store.unwrap()),
            keeper.clone(),
            clock.clone(),
            metrics.money.clone(),
        );
        let rebuilder = Rebuilder {
            ledger: model.clone(),
            log: log.clone(),
            settlement: Arc::new(settlement),
            keeper,
            clock: clock.clone(),
            metrics: metrics.money,
        };
        Self {
            clock,
            model,
            log,
            rebuilder,
        }
    }

    async fn append(&self, topic: Topic, key: &str, value: Option<Vec<u8>>) {
        self.append_at(topic, key, value, NOW_MS).await;
    }

    async fn append_at(&self, topic: Topic, key: &str, value: Option<Vec<u8>>, at_ms: i64) {
        let record = NewRecord {
            key: key.to_owned(),
            value,
        };
        self.log.append(topic, vec![record], at_ms).await.unwrap();
    }

    /// Every group has forgotten everything. Returns how many are good again after one rebuild.
    async fn rebuild(&self) -> usize {
        for group in 0..GROUPS {
            self.model.lose(group, Left::Nothing);
        }
        assert_eq!(self.rebuilder.rebuild_what_is_due().await.unwrap(), 0);
        self.clock.advance(self.rebuilder.keeper.hold_ms());
        self.rebuilder.rebuild_what_is_due().await.unwrap()
    }

    /// After the claims of the last attempt.
    async fn rebuild_again(&self) -> usize {
        self.clock.advance(CLAIM_MS);
        self.rebuilder.rebuild_what_is_due().await.unwrap()
    }

    fn lifetime(&self, campaign: &str) -> Balance {
        let all = self.model.all_balances().into_iter();
        let mut lifetimes = all.filter(|of| of.day.is_none());
        lifetimes.find(|of| of.campaign_id.0 == campaign).unwrap()
    }

    /// Spent, and by how many bids.
    fn spent(&self, campaign: &str) -> (i64, i64) {
        let lifetime = self.lifetime(campaign);
        (lifetime.account.spent_nanos, lifetime.settled_bids)
    }

    fn skipped(&self, topic: Topic) -> usize {
        let of = &self.rebuilder.metrics.ledger_rebuild_skipped;
        usize::try_from(of.with_label_values(&[topic.name()]).get()).unwrap()
    }
}

fn day() -> Value {
    json!({"date": "2026-09-21", "start_ms": NOW_MS - 1_000, "end_ms": NOW_MS + 80_000_000})
}

fn dimensions(number: u32) -> Value {
    let dimensions = Dimensions {
        advertiser: format!("adv_{number}"),
        campaign: format!("cmp_{number}"),
        ..Dimensions::default()
    };
    serde_json::to_value(dimensions).unwrap()
}

/// Of campaign `cmp_{number}`, as is all that follows.
fn spend(bid: u128, number: u32, charge_nanos: i64) -> Value {
    json!({
        "schema": 1, "event_id": format!("spend:{bid}"), "at_ms": NOW_MS, "bid_id": domain::id::BidId(bid),
        "bid_at_ms": NOW_MS, "campaign_id": format!("cmp_{number}"), "day": "2026-09-21",
        "day_start_ms": NOW_MS - 1_000, "day_end_ms": NOW_MS + 80_000_000, "dimensions": dimensions(number),
        "price_cpm_micros": 1, "bid_currency": "USD", "currency": "USD",
        "terms": {"rate_e9": 1_000_000_000, "multiplier_micros": 1_000_000, "fee_ppm": 0},
        "media_cost_nanos": charge_nanos, "fee_nanos": 0, "charge_nanos": charge_nanos, "over_delivery_nanos": 0,
    })
}

fn win(bid: u128, number: u32, reserved_nanos: i64) -> Value {
    json!({
        "schema": 1, "event_id": format!("win:{bid}"), "kind": "win", "at_ms": NOW_MS,
        "bid_id": domain::id::BidId(bid), "bid_at_ms": NOW_MS, "dimensions": dimensions(number),
        "reservation": {
            "day": day(), "bidder_id": "bdr_1", "reserved_nanos": reserved_nanos, "billing_window_ms": 600_000,
        },
    })
}

fn checkpoint(number: u32, spent_nanos: i64) -> Value {
    let mut of_day = day();
    let totals = json!({"spent_nanos": spent_nanos, "over_delivery_nanos": 0, "settled_bids": 1_000});
    of_day
        .as_object_mut()
        .unwrap()
        .extend(totals.as_object().unwrap().clone());
    json!({
        "schema": 1, "advertiser_id": format!("adv_{number}"), "campaign_id": format!("cmp_{number}"),
        "days": [of_day], "lifetime": totals, "offsets": {}, "at_ms": NOW_MS,
    })
}

fn bytes(record: &Value) -> Option<Vec<u8>> {
    Some(record.to_string().into_bytes())
}

/// What is no record of this version at all, and the record with each of these changes (paths are JSON pointers).
fn bad(record: &Value, changes: &[(&str, Value)]) -> Vec<Option<Vec<u8>>> {
    let text = record.to_string();
    let mut bad = vec![
        Some(b"\xff\x00{".to_vec()),
        Some(text.as_bytes()[..text.len() / 2].to_vec()),
        Some(b"null".to_vec()),
    ];
    let schema = [("/schema", json!(2))];
    for (path, value) in schema.iter().chain(changes) {
        let mut changed = record.clone();
        *changed.pointer_mut(path).unwrap() = value.clone();
        bad.push(bytes(&changed));
    }
    bad
}

#[tokio::test]
async fn bad_records_of_spend_are_counted_and_the_others_are_charged() {
    let bench = Bench::new().await;
    bench.append(Topic::Spend, "1", bytes(&spend(1, 1, 10))).await;
    let mut bad = bad(
        &spend(9, 1, 500),
        &[
            ("/charge_nanos", json!(i64::MAX)),
            ("/charge_nanos", json!(MAX_AMOUNT + 1)),
            ("/charge_nanos", json!(-5)),
            ("/over_delivery_nanos", json!(i64::MAX)),
            ("/media_cost_nanos", json!(-1)),
            ("/day", json!("")),
            ("/day_end_ms", json!(i64::MAX)),
            ("/bid_at_ms", json!(-1)),
            ("/event_id", json!("")),
        ],
    );
    bad.push(None);
    for value in &bad {
        bench.append(Topic::Spend, "9", value.clone()).await;
    }
    bench.append(Topic::Spend, "9", bytes(&spend(2, 1, 7))).await;
    bench.append(Topic::Spend, "3", bytes(&spend(3, 2, 4))).await;
    assert_eq!(bench.rebuild().await, 2);
    assert_eq!((bench.spent("cmp_1"), bench.spent("cmp_2")), ((17, 2), (4, 1)));
    assert_eq!(bench.skipped(Topic::Spend), bad.len());
}

#[tokio::test]
async fn bad_records_of_wins_are_counted_and_the_others_are_pending() {
    let bench = Bench::new().await;
    bench.append(Topic::Wins, "1", bytes(&win(1, 1, 10))).await;
    let mut bad = bad(
        &win(9, 1, 500),
        &[
            ("/reservation/reserved_nanos", json!(i64::MAX)),
            ("/reservation/reserved_nanos", json!(-1)),
            ("/reservation/day/date", json!("")),
            ("/bid_at_ms", json!(-1)),
            ("/event_id", json!("")),
        ],
    );
    bad.push(None);
    for value in &bad {
        bench.append(Topic::Wins, "9", value.clone()).await;
    }
    bench.append(Topic::Wins, "9", bytes(&win(2, 1, 7))).await;
    assert_eq!(bench.rebuild().await, 2);
    assert_eq!(bench.lifetime("cmp_1").account.pending_nanos, 17);
    assert_eq!(bench.skipped(Topic::Wins), bad.len());
}

#[tokio::test]
async fn bad_checkpoints_are_counted_and_the_last_good_one_stands() {
    let bench = Bench::new().await;
    let checkpoints = Topic::LedgerCheckpoints;
    bench
        .append(checkpoints, "cmp_1", bytes(&checkpoint(1, 100)))
        .await;
    let bad = bad(
        &checkpoint(1, 500),
        &[
            ("/lifetime/spent_nanos", json!(-1)),
            ("/lifetime/spent_nanos", json!(499)),
            ("/lifetime/settled_bids", json!(i64::MAX)),
            ("/lifetime/settled_bids", json!(0)),
            ("/days/0/spent_nanos", json!(i64::MAX)),
            ("/days/0/date", json!("")),
            ("/at_ms", json!(i64::MIN)),
        ],
    );
    for value in &bad {
        bench.append(checkpoints, "cmp_1", value.clone()).await;
    }
    // No value is no bad record here: the campaign has no checkpoint any more.
    bench
        .append(checkpoints, "cmp_2", bytes(&checkpoint(2, 100)))
        .await;
    bench.append(checkpoints, "cmp_2", None).await;
    bench.append(Topic::Spend, "1", bytes(&spend(1, 1, 7))).await;
    bench.append(Topic::Spend, "2", bytes(&spend(2, 2, 4))).await;
    assert_eq!(bench.rebuild().await, 2);
    assert_eq!(
        (bench.spent("cmp_1"), bench.spent("cmp_2")),
        ((107, 1_001), (4, 1))
    );
    assert_eq!(bench.skipped(checkpoints), bad.len());
}

#[tokio::test]
async fn a_campaign_whose_only_checkpoint_is_bad_is_charged_from_the_beginning_of_the_topic() {
    let bench = Bench::new().await;
    let old_ms = NOW_MS - 20 * DAY_MS;
    bench
        .append_at(Topic::Spend, "1", bytes(&spend(1, 1, 7)), old_ms)
        .await;
    let checkpoints = Topic::LedgerCheckpoints;
    bench
        .append(checkpoints, "cmp_2", bytes(&checkpoint(2, 100)))
        .await;
    bench.append(checkpoints, "cmp_1", Some(b"{".to_vec())).await;
    assert_eq!(bench.rebuild().await, 2);
    assert_eq!(bench.spent("cmp_1"), (7, 1));
    assert_eq!(bench.skipped(checkpoints), 1);
}

#[tokio::test]
async fn what_takes_a_sum_out_of_its_range_is_left_out_and_its_group_is_rebuilt() {
    const ROOM: i64 = i64::MAX / MAX_AMOUNT;
    const TOO_MANY: i64 = 3;
    let bench = Bench::new().await;
    bench
        .append(Topic::LedgerCheckpoints, "cmp_3", bytes(&checkpoint(3, 100)))
        .await;
    for bid in 1..=ROOM + TOO_MANY {
        let event = spend(bid.unsigned_abs().into(), 1, MAX_AMOUNT);
        bench.append(Topic::Spend, "1", bytes(&event)).await;
    }
    // The campaign of the same group.
    bench.append(Topic::Spend, "1", bytes(&spend(9_999, 3, 7))).await;
    assert_eq!(bench.rebuild().await, 2);
    assert_eq!(bench.spent("cmp_1"), (ROOM * MAX_AMOUNT, ROOM));
    assert_eq!(bench.spent("cmp_3"), (107, 1_001));
    assert_eq!(bench.skipped(Topic::Spend), TOO_MANY as usize);
}

/// Books without what it refuses would be spent once more.
#[tokio::test]
async fn a_ledger_that_refuses_everything_is_waited_for() {
    for facts in [3, 300] {
        let bench = Bench::new().await;
        for bid in 0..facts {
            bench.append(Topic::Spend, "1", bytes(&spend(bid, 1, 10))).await;
        }
        let group = bench.model.group_of(&AdvertiserId::from("adv_1"));
        bench.model.set_damaged(group, true);
        assert_eq!(bench.rebuild().await, 1, "the other group");
        assert!(bench.model.is_lost(group));
        assert!(bench.skipped(Topic::Spend) <= 100);
        bench.model.set_damaged(group, false);
        assert_eq!(bench.rebuild_again().await, 1);
        assert_eq!(bench.spent("cmp_1").1, facts as i64);
    }
}
