//! Counts bids per combination of dimensions; once a second they leave as records of topic `bids`.
//!
//! The bid path puts one message in a bounded queue and goes on: a full queue costs a counted drop, never time. The
//! queue is emptied while an append is under way too, so that a log that hangs fills nothing but the counts.
//! Records of one producer carry a sequence without gaps and one key, hence one partition and their order: a
//! reader that has seen a sequence ignores its repeat, so an append that failed half-way is simply repeated.

mod packed;

use domain::event::{BidCount, BidCounts, Dimensions, SCHEMA, quarter_start_ms};
use domain::id::BidderId;
use futures_util::future::BoxFuture;
use packed::Packed;
use platform::{Clock, Shutdown};
use prometheus::IntCounter;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use storage::StorageError;
use storage::event_log::{EventLog, NewRecord, Topic};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

const QUEUE: usize = 65_536;
const EVERY: Duration = Duration::from_secs(1);
/// Between two looks into the queue, which no bid wakes the task for: a wake costs the bid path more than the
/// message does. The queue holds what a million bids a second put in meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Keeps a record well below the megabyte that logs take.
const COUNTS_PER_RECORD: usize = 1_000;
/// Combinations kept while the log is away; bids of further ones are dropped and counted.
const MAX_COMBINATIONS: usize = 200_000;
/// Longer than a log waits for its servers; then the append is repeated.
const APPEND_PATIENCE: Duration = Duration::from_secs(10);
/// At the end of the process. Counts are not money, and leases are still to be given back.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

struct BidMade {
    quarter_start_ms: i64,
    dimensions: Packed,
}

/// The bid path's end.
#[derive(Clone, Debug)]
pub(crate) struct BidEvents {
    queue: mpsc::Sender<BidMade>,
    dropped: IntCounter,
}

impl BidEvents {
    /// Starts the counting task, which at a shutdown writes what it holds before it ends.
    pub(crate) fn start(
        log: Arc<dyn EventLog>,
        producer: BidderId,
        clock: Clock,
        dropped: IntCounter,
        shutdown: &Shutdown,
    ) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let counting = Counting {
            log,
            producer,
            clock,
            dropped: dropped.clone(),
            counts: HashMap::new(),
            unsent: Vec::new(),
            next_sequence: 1,
            is_failing: false,
        };
        shutdown.spawn("bid events", counting.run(receiver, shutdown.clone()));
        Self { queue, dropped }
    }

    pub(crate) fn bid_made(&self, bid_at_ms: i64, dimensions: &Dimensions) {
        let made = BidMade {
            quarter_start_ms: quarter_start_ms(bid_at_ms),
            dimensions: Packed::of(dimensions),
        };
        if self.queue.try_send(made).is_err() {
            self.dropped.inc();
        }
    }
}

type Appending = BoxFuture<'static, Result<(), StorageError>>;

struct Counting {
    log: Arc<dyn EventLog>,
    producer: BidderId,
    clock: Clock,
    dropped: IntCounter,
    counts: HashMap<(i64, Packed), u64>,
    /// Numbered and perhaps stored already: repeated as they are until acknowledged.
    unsent: Vec<NewRecord>,
    next_sequence: u64,
    is_failing: bool,
}

impl Counting {
    async fn run(mut self, mut queue: mpsc::Receiver<BidMade>, shutdown: Shutdown) {
        let mut ticks = tokio::time::interval(EVERY);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut under_way: Option<Appending> = None;
        loop {
            tokio::select! {
                biased;
                () = shutdown.background().cancelled() => break,
                _ = looks.tick() => self.count_queued(&mut queue),
                outcome = outcome_of(&mut under_way) => {
                    under_way = None;
                    self.appended(outcome);
                }
                _ = ticks.tick(), if under_way.is_none() => under_way = self.append(),
            }
        }
        self.count_queued(&mut queue);
        tokio::select! {
            () = shutdown.hard().cancelled() => self.tell_loss(),
            () = tokio::time::sleep(LAST_PATIENCE) => self.tell_loss(),
            () = self.flush_all() => {}
        }
    }

    fn count_queued(&mut self, queue: &mut mpsc::Receiver<BidMade>) {
        while let Ok(made) = queue.try_recv() {
            self.count(made);
        }
    }

    fn count(&mut self, made: BidMade) {
        let has_room = self.counts.len() < MAX_COMBINATIONS;
        let key = (made.quarter_start_ms, made.dimensions);
        match self.counts.get_mut(&key) {
            Some(bids) => *bids += 1,
            None if has_room => {
                self.counts.insert(key, 1);
            }
            None => self.dropped.inc(),
        }
    }

    /// An append that was under way is repeated: readers know it by its sequence.
    async fn flush_all(&mut self) {
        while let Some(append) = self.append() {
            let outcome = append.await;
            let is_away = outcome.is_err();
            self.appended(outcome);
            if is_away {
                tokio::time::sleep(EVERY / 4).await;
            }
        }
    }

    /// What is unsent goes first, as it was. `None`: there is nothing to say.
    fn append(&mut self) -> Option<Appending> {
        let now_ms = self.clock.unix_ms();
        if self.unsent.is_empty() {
            self.unsent = self.records(now_ms);
        }
        if self.unsent.is_empty() {
            return None;
        }
        let (log, records) = (self.log.clone(), self.unsent.clone());
        Some(Box::pin(async move {
            let append = log.append(Topic::Bids, records, now_ms);
            let late = |_| {
                Err(StorageError::Unavailable(
                    "the event log does not answer".to_owned(),
                ))
            };
            tokio::time::timeout(APPEND_PATIENCE, append)
                .await
                .unwrap_or_else(late)
        }))
    }

    fn appended(&mut self, outcome: Result<(), StorageError>) {
        match outcome {
            Ok(()) => {
                self.unsent.clear();
                if self.is_failing {
                    tracing::info!("bid counts are appended again");
                }
                self.is_failing = false;
            }
            Err(error) => {
                if !self.is_failing {
                    tracing::warn!(%error, "bid counts cannot be appended, keeping them");
                }
                self.is_failing = true;
            }
        }
    }

    fn records(&mut self, at_ms: i64) -> Vec<NewRecord> {
        let mut counts: Vec<BidCount> = self
            .counts
            .drain()
            .map(|((quarter_start_ms, packed), bids)| BidCount {
                quarter_start_ms,
                dimensions: packed.dimensions(),
                bids,
            })
            .collect();
        let mut records = Vec::new();
        while !counts.is_empty() {
            let rest = counts.split_off(counts.len().min(COUNTS_PER_RECORD));
            records.push(self.record(std::mem::replace(&mut counts, rest), at_ms));
        }
        records
    }

    fn record(&mut self, counts: Vec<BidCount>, at_ms: i64) -> NewRecord {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let value = BidCounts {
            schema: SCHEMA,
            event_id: format!("{}:{sequence}", self.producer),
            producer: self.producer.clone(),
            sequence,
            at_ms,
            counts,
        };
        NewRecord {
            key: self.producer.0.clone(),
            value: Some(serde_json::to_vec(&value).expect("texts and numbers are always JSON")),
        }
    }

    fn tell_loss(&self) {
        let bids: u64 = self.counts.values().sum();
        let records = self.unsent.len();
        tracing::error!(bids, records, "stopped before bid counts could be appended");
    }
}

/// Never, while nothing is under way.
async fn outcome_of(under_way: &mut Option<Appending>) -> Result<(), StorageError> {
    match under_way {
        Some(append) => append.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
