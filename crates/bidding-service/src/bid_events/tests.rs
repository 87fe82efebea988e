use super::*;
use async_trait::async_trait;
use platform::Readiness;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::event_log::{AllPartitions, Batch, Membership};

/// Keeps what was appended; the first `failures` appends store their records and then fail, as a lost answer does.
struct ForgetfulLog {
    failures: Mutex<u32>,
    appended: Mutex<Vec<BidCounts>>,
    hangs: AtomicBool,
}

#[async_trait]
impl EventLog for ForgetfulLog {
    async fn append(&self, topic: Topic, records: Vec<NewRecord>, _now_ms: i64) -> Result<(), StorageError> {
        assert_eq!(topic, Topic::Bids);
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let counts = records.iter().map(|record| {
            let counts: BidCounts = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
            assert_eq!(record.key, counts.producer.0);
            counts
        });
        self.appended.lock().unwrap().extend(counts);
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(StorageError::Unavailable("test".into()));
        }
        Ok(())
    }

    async fn partitions(&self, _: Topic) -> Result<u32, StorageError> {
        Ok(1)
    }

    async fn read(&self, _: Topic, _: u32, _: i64, _: u32, _: Duration) -> Result<Batch, StorageError> {
        Err(StorageError::Unavailable("write only".into()))
    }

    async fn end_offset(&self, _: Topic, _: u32) -> Result<i64, StorageError> {
        Ok(0)
    }

    async fn offset_at(&self, _: Topic, _: u32, _: i64) -> Result<i64, StorageError> {
        Ok(0)
    }

    async fn join(&self, _: &str, _: &[Topic]) -> Result<Box<dyn Membership>, StorageError> {
        Ok(Box::new(AllPartitions(Some(Vec::new()))))
    }

    async fn trim(&self, _: i64) -> Result<(), StorageError> {
        Ok(())
    }
}

struct Counted {
    events: BidEvents,
    log: Arc<ForgetfulLog>,
    shutdown: Shutdown,
}

fn counted(failures: u32) -> Counted {
    let log = Arc::new(ForgetfulLog {
        failures: Mutex::new(failures),
        appended: Mutex::default(),
        hangs: AtomicBool::new(false),
    });
    let shutdown = Shutdown::new(Default::default(), Readiness::new());
    let events = BidEvents::start(
        log.clone(),
        BidderId("bdr_1".into()),
        Clock::manual(0),
        IntCounter::new("dropped", "test").unwrap(),
        &shutdown,
    );
    Counted {
        events,
        log,
        shutdown,
    }
}

fn of(campaign: &str) -> Dimensions {
    Dimensions {
        campaign: campaign.into(),
        ..Dimensions::default()
    }
}

impl Counted {
    async fn stop(&self) -> Vec<BidCounts> {
        self.shutdown.request("test");
        self.shutdown.finished().await;
        self.log.appended.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_bid_is_what_the_records_say_the_last_second_included() {
    let counted = counted(0);
    for at_ms in [0, 1, 900_000] {
        counted.events.bid_made(at_ms, &of("a"));
    }
    tokio::time::sleep(EVERY * 2).await;
    counted.events.bid_made(2, &of("b"));
    let records = counted.stop().await;
    let sequences: Vec<u64> = records.iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, (1..=records.len() as u64).collect::<Vec<_>>());
    let mut counts: Vec<_> = records
        .iter()
        .flat_map(|record| &record.counts)
        .map(|count| {
            (
                count.quarter_start_ms,
                count.dimensions.campaign.as_str(),
                count.bids,
            )
        })
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [(0, "a", 2), (0, "b", 1), (900_000, "a", 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_append_that_failed_is_repeated_as_it_was() {
    let counted = counted(2);
    counted.events.bid_made(0, &of("a"));
    tokio::time::sleep(EVERY + EVERY / 2).await;
    counted.events.bid_made(0, &of("b"));
    let records = counted.stop().await;
    let first: Vec<&BidCounts> = records.iter().filter(|record| record.sequence == 1).collect();
    assert_eq!(first.len(), 3);
    assert!(first.iter().all(|record| *record == first[0]));
    assert_eq!(records.last().unwrap().sequence, 2);
}

#[tokio::test(start_paused = true)]
async fn many_combinations_become_several_records() {
    let counted = counted(0);
    for campaign in 0..COUNTS_PER_RECORD + 1 {
        counted.events.bid_made(0, &of(&campaign.to_string()));
    }
    let records = counted.stop().await;
    let bids: u64 = records
        .iter()
        .flat_map(|record| &record.counts)
        .map(|count| count.bids)
        .sum();
    assert_eq!(bids, COUNTS_PER_RECORD as u64 + 1);
    assert!(
        records
            .iter()
            .all(|record| record.counts.len() <= COUNTS_PER_RECORD)
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_and_counts() {
    let counted = counted(0);
    // Nothing yields here, so nobody takes anything out.
    for _ in 0..QUEUE + 3 {
        counted.events.bid_made(0, &of("a"));
    }
    assert_eq!(counted.events.dropped.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_costs_no_bid_its_count() {
    let counted = counted(0);
    counted.log.hangs.store(true, Ordering::Relaxed);
    for _ in 0..6 {
        for _ in 0..QUEUE / 2 {
            counted.events.bid_made(0, &of("a"));
        }
        tokio::time::sleep(EVERY * 3).await;
    }
    assert_eq!(counted.events.dropped.get(), 0);
    counted.log.hangs.store(false, Ordering::Relaxed);
    let records = counted.stop().await;
    let counts = records.iter().flat_map(|record| &record.counts);
    assert_eq!(counts.map(|count| count.bids).sum::<u64>(), 3 * QUEUE as u64);
    let sequences: Vec<u64> = records.iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, (1..=records.len() as u64).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_does_not_hold_the_process_at_its_end() {
    let counted = counted(0);
    counted.log.hangs.store(true, Ordering::Relaxed);
    counted.events.bid_made(0, &of("a"));
    counted.shutdown.request("test");
    let ended = counted.shutdown.finished().await;
    assert_eq!(ended, platform::shutdown::Ended::Clean);
}
