//! The reader of one partition.

use super::progress::{Partition, Position};
use super::retry::{Retry, Stopped};
use super::segment::{Room, Segment};
use crate::fold::{self, KnownDimensions};
use platform::Clock;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::EventLog;
use storage::event_log::{Batch, Record, Topic};
use storage::report_store::{Advance, SetAside};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

const MOST_RECORDS: u32 = 1_000;
/// Rows and records that one read should come to: a record of bid counts has up to a thousand rows.
const WANTED_WEIGHT: u32 = 8_000;
/// A partition with little traffic is read this often, not for each record.
const READ_EVERY: Duration = Duration::from_millis(100);
/// How long a read may wait for a first record: a quiet partition's freshness is known that well.
const READ_WAIT: Duration = Duration::from_millis(500);
/// After another reader went on: two of one partition would otherwise race for every batch.
const RIVAL_PAUSE: Duration = Duration::from_millis(200);
/// Poison of one read that is logged record by record.
const LOGGED_POISON: usize = 10;
pub(super) const REASON_CHARS: usize = 500;

pub(super) struct Reader {
    pub(super) partition: Arc<Partition>,
    pub(super) events: Arc<dyn EventLog>,
    pub(super) segments: mpsc::UnboundedSender<Segment>,
    pub(super) room: Room,
    pub(super) known: Arc<Mutex<KnownDimensions>>,
    pub(super) clock: Clock,
    /// Of the records so far, smoothed.
    pub(super) weight_of_a_record: u32,
}

impl Reader {
    pub(super) fn expected_weight(topic: Topic) -> u32 {
        if topic == Topic::Bids { 500 } else { 2 }
    }

    /// Reads and hands over until the process stops or the partition is another's.
    pub(super) async fn run(mut self) -> Result<(), Stopped> {
        let stop = self.partition.stop.clone();
        let mut reading = Retry::new("reading events", stop.clone());
        let mut positions = self.partition.positions();
        let mut at = *positions.borrow_and_update();
        loop {
            let (began, began_ms) = (Instant::now(), self.clock.unix_ms());
            let wanted = (WANTED_WEIGHT / self.weight_of_a_record.max(1)).clamp(1, MOST_RECORDS);
            let read = self.events.read(
                self.partition.topic,
                self.partition.number,
                at.offset,
                wanted,
                READ_WAIT,
            );
            let batch = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Stopped),
                restarted = restarted(&mut positions) => {
                    at = restarted;
                    reading.sleep(RIVAL_PAUSE.mul_f64(fastrand::f64())).await?;
                    continue;
                }
                batch = read => batch,
            };
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    reading.failed(&error).await?;
                    continue;
                }
            };
            reading.succeeded();
            let drained = batch.records.len() < wanted as usize;
            let (mut segment, weight) = self.fold(batch, at, began_ms, drained);
            // One without records, too: while the report store is away, nobody takes them out of the queue.
            segment.room = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Stopped),
                room = self.room.take(weight) => room,
            };
            at.offset = segment.advance.to_offset;
            // The applier ends only when the process does.
            self.segments.send(segment).map_err(|_| Stopped)?;
            if drained {
                reading.sleep(READ_EVERY.saturating_sub(began.elapsed())).await?;
            }
        }
    }

    fn fold(&mut self, batch: Batch, at: Position, read_at_ms: i64, drained: bool) -> (Segment, usize) {
        let records = batch.records.len();
        let mut segment = Segment {
            partition: self.partition.clone(),
            epoch: at.epoch,
            advance: Advance {
                topic: self.partition.topic,
                partition: self.partition.number,
                from_offset: at.offset,
                to_offset: batch.next_offset.max(at.offset),
            },
            contributions: Vec::with_capacity(records),
            offsets: Vec::with_capacity(records),
            set_aside: Vec::new(),
            poison: 0,
            complete_until_ms: read_at_ms,
            room: None,
        };
        let (mut rows, mut last_at_ms) = (0, read_at_ms);
        for record in batch.records {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match fold::fold(self.partition.topic, record.value.as_deref(), &mut known) {
                Ok(folded) => {
                    last_at_ms = folded.at_ms;
                    rows += folded.contribution.as_ref().map_or(0, |one| one.rows.len());
                    if let Some(contribution) = folded.contribution {
                        segment.contributions.push(contribution);
                        segment.offsets.push(record.offset);
                    }
                }
                Err(poison) => segment.set_aside.push(self.set_aside(record, &poison)),
            }
        }
        if !drained {
            segment.complete_until_ms = last_at_ms.min(read_at_ms);
        }
        segment.poison = segment.set_aside.len();
        self.tell(&segment.set_aside);
        let weight = records.saturating_add(rows);
        if let Some(each) = weight.checked_div(records) {
            let each = u32::try_from(each).unwrap_or(u32::MAX);
            self.weight_of_a_record = self.weight_of_a_record / 2 + each.div_ceil(2);
        }
        (segment, weight)
    }

    fn set_aside(&self, record: Record, poison: &fold::Poison) -> SetAside {
        let mut value = record.value.unwrap_or_default();
        value.truncate(SetAside::VALUE_BYTES);
        SetAside {
            topic: self.partition.topic,
            partition: self.partition.number,
            offset: record.offset,
            reason: poison.to_string().chars().take(REASON_CHARS).collect(),
            value,
        }
    }

    fn tell(&self, set_aside: &[SetAside]) {
        let (topic, partition) = (self.partition.topic.name(), self.partition.number);
        for one in set_aside.iter().take(LOGGED_POISON) {
            tracing::warn!(
                topic,
                partition,
                offset = one.offset,
                reason = one.reason,
                "record set aside"
            );
        }
        let unlogged = set_aside.len().saturating_sub(LOGGED_POISON);
        if unlogged > 0 {
            tracing::warn!(topic, partition, unlogged, "more records set aside");
        }
    }
}

/// Waits until the reader has to go on elsewhere.
async fn restarted(positions: &mut watch::Receiver<Position>) -> Position {
    match positions.changed().await {
        Ok(()) => *positions.borrow_and_update(),
        // The sender is in the partition that the reader itself holds.
        Err(_) => std::future::pending().await,
    }
}
