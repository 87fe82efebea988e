//! Counts bids per combination of dimensions; once a second they leave as records of topic `bids`.
//!
//! The bid path puts one message in a bounded queue and goes on: a full queue costs a counted drop, never time.
//! Records of one producer carry a sequence without gaps and one key, hence one partition and their order: a
//! reader that has seen a sequence ignores its repeat, so an append that failed half-way is simply repeated.

use domain::event::{BidCount, BidCounts, Dimensions, SCHEMA, quarter_start_ms};
use domain::id::BidderId;
use platform::{Clock, Shutdown};
use prometheus::IntCounter;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
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

struct BidMade {
    quarter_start_ms: i64,
    dimensions: Dimensions,
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

    pub(crate) fn bid_made(&self, bid_at_ms: i64, dimensions: Dimensions) {
        let made = BidMade {
            quarter_start_ms: quarter_start_ms(bid_at_ms),
            dimensions,
        };
        if self.queue.try_send(made).is_err() {
            self.dropped.inc();
        }
    }
}

struct Counting {
    log: Arc<dyn EventLog>,
    producer: BidderId,
    clock: Clock,
    dropped: IntCounter,
    counts: HashMap<(i64, Dimensions), u64>,
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
        loop {
            tokio::select! {
                biased;
                () = shutdown.background().cancelled() => break,
                _ = looks.tick() => self.count_queued(&mut queue),
                _ = ticks.tick() => self.flush().await,
            }
        }
        self.count_queued(&mut queue);
        while !self.flush_all().await {
            tokio::select! {
                () = shutdown.hard().cancelled() => return self.tell_loss(),
                () = tokio::time::sleep(EVERY / 4) => {}
            }
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

    async fn flush_all(&mut self) -> bool {
        self.flush().await;
        // What was unsent before has gone; now what was counted since.
        self.flush().await;
        self.unsent.is_empty() && self.counts.is_empty()
    }

    async fn flush(&mut self) {
        let now_ms = self.clock.unix_ms();
        if self.unsent.is_empty() {
            self.unsent = self.records(now_ms);
        }
        if self.unsent.is_empty() {
            return;
        }
        match self.log.append(Topic::Bids, self.unsent.clone(), now_ms).await {
            Ok(()) => {
                self.unsent.clear();
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
            .map(|((quarter_start_ms, dimensions), bids)| BidCount {
                quarter_start_ms,
                dimensions,
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

#[cfg(test)]
mod tests;
