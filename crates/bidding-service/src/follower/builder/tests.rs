//! What is made of the snapshot before is what would be made anew.

use super::*;
use crate::follower::fold::ReadRecord;
use crate::metrics::{BiddingMetrics, IndexMetrics};
use crate::testing::{campaign, creative};
use domain::id::BidderId;
use domain::serving::ServingCampaign;
use platform::Clock;
use serde_json::json;
use storage::event_log::Record;
use storage_sqlite::SqliteStore;

struct Bench {
    builder: Builder,
    fold: Mutex<Fold>,
    metrics: IndexMetrics,
}

impl Bench {
    async fn new() -> Self {
        let store = SqliteStore::open("sqlite::memory:", Arc::new(|| 0))
            .await
            .unwrap();
        let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
        let delay_ms = Arc::new(AtomicI64::new(0));
        let keeper = LeaseKeeper::new(
            Arc::new(store),
            BidderId::from("bdr_1"),
            Clock::manual(0),
            delay_ms.clone(),
            metrics.money,
            1,
        );
        Self {
            builder: Builder {
                keeper: Arc::new(keeper),
                win_notice_delay_ms: delay_ms,
                prices: Default::default(),
                needs_proof: false,
                bid_metrics: metrics.bids,
                lists: watch::channel(Lists::default()).1,
                catalog: Mutex::default(),
            },
            fold: Mutex::default(),
            metrics: metrics.index,
        }
    }

    fn publish(&self, id: &str, value: Option<ServingCampaign>) {
        let record = Record {
            offset: 0,
            key: id.to_owned(),
            value: value.map(|value| serde_json::to_vec(&value).unwrap()),
        };
        let mut fold = self.fold.lock().unwrap();
        fold.campaign(ReadRecord::campaign(record), &self.metrics);
    }

    fn publish_exchange(&self, win_notice_delay_ms: i64) {
        let value = json!({
            "schema": 1, "generation": 1, "revision": 1,
            "exchange": {
                "id": "default", "name": "d", "win_notice_delay_ms": win_notice_delay_ms,
                "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            },
        });
        let record = Record {
            offset: 0,
            key: "default".to_owned(),
            value: Some(value.to_string().into_bytes()),
        };
        let mut fold = self.fold.lock().unwrap();
        fold.exchange(ReadRecord::exchange(record), &self.metrics);
    }

    fn build(&self, previous: &Live) -> Live {
        self.builder.build(&self.fold, previous)
    }
}

/// By id: revision, creatives, and whether the lease is the keeper's.
fn seen(bench: &Bench, live: &Live) -> Vec<(String, i64, usize, bool)> {
    let fold = bench.fold.lock().unwrap();
    let mut seen: Vec<_> = (0..live.snapshot.numbers())
        .filter_map(|number| {
            let campaign = live.snapshot.campaign(number)?;
            let compiled = fold.campaigns.get(campaign.id.as_str())?.compiled.clone();
            let cell = live.leases.cells.get(number)?;
            Some((
                campaign.id.0.clone(),
                campaign.revision,
                live.prepared.get(number)?.as_ref()?.len(),
                Arc::ptr_eq(cell, &bench.builder.keeper.serves(&compiled)),
            ))
        })
        .collect();
    seen.sort();
    seen
}

#[tokio::test]
async fn after_any_changes_what_is_live_is_what_is_in_the_fold() {
    let bench = Bench::new().await;
    bench.publish_exchange(1);
    let mut live = bench.build(&Live::default());
    let mut coin = fastrand::Rng::with_seed(7);
    let mut expected: HashMap<String, (i64, usize)> = HashMap::new();
    for revision in 1..400 {
        let id = format!("cmp_{}", coin.u32(0..12));
        if coin.u32(0..4) == 0 {
            bench.publish(&id, None);
            expected.remove(&id);
        } else {
            let mut value = campaign(&id);
            value.revision = revision;
            value.campaign.spec.bid.max_cpm_micros = coin.i64(1..5) * 1_000_000;
            value.creatives = (0..coin.usize(0..3))
                .map(|_| creative(json!({"format": "banner"})))
                .collect();
            expected.insert(id.clone(), (revision, value.creatives.len()));
            bench.publish(&id, Some(value));
        }
        if coin.u32(0..50) == 0 {
            bench.publish_exchange(revision);
        }
        if coin.bool() {
            live = bench.build(&live);
            let mut wanted: Vec<_> = expected
                .iter()
                .map(|(id, (revision, creatives))| (id.clone(), *revision, *creatives, true))
                .collect();
            wanted.sort();
            assert_eq!(seen(&bench, &live), wanted);
            assert_eq!(live.snapshot.len(), wanted.len());
        }
    }
}

#[tokio::test]
async fn a_changed_campaign_is_taken_in_without_building_anew() {
    let bench = Bench::new().await;
    bench.publish_exchange(1);
    for number in 0..300 {
        let id = format!("cmp_{number}");
        bench.publish(&id, Some(campaign(&id)));
    }
    let before = bench.build(&Live::default());
    let mut changed = campaign("cmp_7");
    changed.revision = 2;
    bench.publish("cmp_7", Some(changed));
    let after = bench.build(&before);
    let number_of = |live: &Live, id: &str| {
        (0..live.snapshot.numbers()).find(|number| {
            live.snapshot
                .campaign(*number)
                .is_some_and(|campaign| campaign.id.as_str() == id)
        })
    };
    assert_eq!(number_of(&before, "cmp_7"), number_of(&after, "cmp_7"));
    let gate = |live: &Live| live.gates.get("default").cloned().unwrap();
    assert!(
        Arc::ptr_eq(&gate(&before), &gate(&after)),
        "only a whole build makes new gates"
    );
    bench.publish_exchange(2);
    let anew = bench.build(&after);
    assert!(!Arc::ptr_eq(&gate(&after), &gate(&anew)));
    assert_eq!(bench.builder.win_notice_delay_ms.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_campaign_that_is_gone_bids_no_more_from_its_old_lease() {
    let bench = Bench::new().await;
    bench.publish_exchange(1);
    bench.publish("cmp_1", Some(campaign("cmp_1")));
    let before = bench.build(&Live::default());
    let cell = (0..before.snapshot.numbers())
        .find(|number| before.snapshot.campaign(*number).is_some())
        .and_then(|number| before.leases.cells.get(number))
        .cloned()
        .unwrap();
    cell.set_bids_ceiling(10);
    cell.set_reserve_ceiling_nanos(10);
    cell.set_valid_until_monotonic_ms(i64::MAX);
    let now = bidding_engine::Now {
        unix_ms: 0,
        monotonic_ms: 0,
    };
    assert!(cell.reserve(1, now).is_ok());
    bench.publish("cmp_1", None);
    let after = bench.build(&before);
    assert!(after.snapshot.is_empty());
    assert!(cell.reserve(1, now).is_err());
}
