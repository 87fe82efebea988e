//! A topic is replayed as it was written, however its records are shared out among the cores.

use super::*;
use crate::metrics::BiddingMetrics;
use crate::testing::campaign;
use crate::testing::memory_log::MemoryLog;
use domain::id::BidderId;
use storage::event_log::NewRecord;
use storage_sqlite::SqliteStore;

async fn following(log: Arc<dyn EventLog>, partitions: usize) -> Following {
    let store = SqliteStore::open("sqlite::memory:", Arc::new(|| 0))
        .await
        .unwrap();
    let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
    let win_notice_delay_ms = Arc::new(AtomicI64::new(0));
    let clock = Clock::manual(0);
    let keeper = LeaseKeeper::new(
        Arc::new(store),
        BidderId::from("bdr_1"),
        clock.clone(),
        win_notice_delay_ms.clone(),
        metrics.money,
        1,
    );
    let follower = Follower {
        log,
        live: Arc::default(),
        keeper: Arc::new(keeper),
        win_notice_delay_ms,
        prices: LearnedPrices::default(),
        needs_proof: false,
        caught_up: platform::Readiness::default().latch("caught up"),
        clock,
        index_metrics: metrics.index,
        bid_metrics: metrics.bids,
        traces: Traces::off(),
        lists: watch::channel(Lists::default()).1,
    };
    follower.following(partitions)
}

fn record(revision: i64, name_bytes: usize) -> NewRecord {
    let mut serving = campaign("cmp_1");
    serving.revision = revision;
    serving.campaign.spec.name = "n".repeat(name_bytes);
    NewRecord {
        key: "cmp_1".to_owned(),
        value: Some(serde_json::to_vec(&serving).unwrap()),
    }
}

fn tombstone() -> NewRecord {
    NewRecord {
        key: "cmp_1".to_owned(),
        value: None,
    }
}

/// A batch that takes long to read, and several behind it that take no time.
#[tokio::test(flavor = "multi_thread")]
async fn batches_are_folded_in_their_order_whichever_is_ready_first() {
    const BATCH: usize = BATCH_RECORDS as usize;
    for ends_alive in [false, true] {
        let log = Arc::new(MemoryLog::default());
        let slow = (0..BATCH).map(|n| record(i64::try_from(n).unwrap(), 4_000));
        let mut records: Vec<NewRecord> = slow.collect();
        records.extend((0..3 * BATCH).map(|_| tombstone()));
        if ends_alive {
            records.push(record(i64::try_from(BATCH).unwrap(), 1));
        }
        let count = i64::try_from(records.len()).unwrap();
        log.append(Topic::Campaigns, records, 0).await.unwrap();
        let partitions = 0..log.partitions(Topic::Campaigns).await.unwrap();
        let following = following(log.clone(), 1).await;
        let mut read = 0;
        for partition in partitions {
            let mut outage = Outage::new("campaigns");
            read += following
                .replay(Topic::Campaigns, partition, 0, &mut outage)
                .await;
        }
        assert_eq!(read, count);
        assert_eq!(following.fold().campaigns.get("cmp_1").is_some(), ends_alive);
    }
}

/// What is appended to a partition that has been replayed while another is on its way is there when all have been.
#[tokio::test]
async fn who_was_replayed_first_has_what_came_before_the_last_was() {
    let log = Arc::new(MemoryLog::default());
    let partitions = log.partitions(Topic::Campaigns).await.unwrap();
    let following = Arc::new(following(log.clone(), partitions as usize).await);
    let catch_up = |partition| {
        let following = following.clone();
        tokio::spawn(async move {
            let mut outage = Outage::new("campaigns");
            following.catch_up(Topic::Campaigns, partition, &mut outage).await
        })
    };
    let mut readers: Vec<_> = (1..partitions).map(catch_up).collect();
    // There are no records: by now they wait for the last.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(readers.iter().all(|reader| !reader.is_finished()));
    log.append(Topic::Campaigns, vec![record(1, 1)], 0).await.unwrap();
    assert_eq!(
        log.end_offset(Topic::Campaigns, 0).await.unwrap(),
        0,
        "it is of another"
    );
    readers.push(catch_up(0));
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(following.fold().campaigns.get("cmp_1").is_some());
}
