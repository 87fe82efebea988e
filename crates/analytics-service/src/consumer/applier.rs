//! Gathers what the readers have folded and applies it: one transaction for many partitions.

use super::retry::{Retry, Stopped};
use super::segment::Segment;
use domain::id::BidId;
use platform::traces::{SpanKind, TraceContext};
use platform::{Clock, Traces};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use storage::event_log::Topic;
use storage::report_store::{Advance, Applied, ReportBatch};
use storage::{EventLog, ReportStore, StorageError};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Rows and records of one transaction: well below what a store does within its time limit.
const MOST_WEIGHT: usize = 60_000;
/// How long the first segment waits for others: 168 partitions with a trickle each are five transactions a second.
const GATHER: Duration = Duration::from_millis(200);
/// Of a batch that is refused for what is in it, before it is taken apart: a store may be wrong about that for a moment.
const ATTEMPTS: u32 = 3;

pub(super) struct Applier {
    pub(super) folded: mpsc::UnboundedReceiver<Segment>,
    pub(super) reports: Arc<dyn ReportStore>,
    pub(super) events: Arc<dyn EventLog>,
    pub(super) clock: Clock,
    pub(super) traces: Traces,
    pub(super) stop: CancellationToken,
    /// Records that the store could not take, with none between them that it took.
    pub(super) refused_in_a_row: u32,
}

/// What became of a batch.
enum Outcome {
    Applied(Applied),
    /// Another reader went on in one of the partitions, and nothing was applied.
    Overtaken,
    /// Something in it cannot be applied, so nothing was.
    Refused,
}

/// Segments of one transaction.
#[derive(Default)]
struct Gathered {
    segments: Vec<Segment>,
    weight: usize,
}

impl Gathered {
    fn add(&mut self, segment: Segment) {
        if segment.is_current() {
            self.weight += segment.weight();
            self.segments.push(segment);
        }
    }

    fn moves(&self) -> bool {
        self.segments.iter().any(Segment::moves)
    }

    /// How many of each segment.
    fn events(&self) -> Vec<usize> {
        self.segments.iter().map(|one| one.contributions.len()).collect()
    }

    /// Segments of a partition follow each other: together they are one step.
    fn batch(&mut self) -> ReportBatch {
        let mut advances: BTreeMap<(Topic, u32), Advance> = BTreeMap::new();
        let mut batch = ReportBatch::default();
        for segment in self.segments.iter_mut().filter(|segment| segment.moves()) {
            let step = &segment.advance;
            advances
                .entry((step.topic, step.partition))
                .and_modify(|whole| whole.to_offset = step.to_offset)
                .or_insert_with(|| step.clone());
            batch.contributions.append(&mut segment.contributions);
            batch.set_aside.append(&mut segment.set_aside);
        }
        batch.advances = advances.into_values().collect();
        batch
    }
}

impl Applier {
    /// Until the process stops.
    pub(super) async fn run(mut self) -> Result<(), Stopped> {
        let mut applying = Retry::new("applying events", self.stop.clone());
        loop {
            let mut gathered = self.gather().await?;
            if gathered.moves() {
                let events = gathered.events();
                let batch = Arc::new(gathered.batch());
                let began = Instant::now();
                match self.apply(&batch, &mut applying).await? {
                    Outcome::Applied(applied) => {
                        tell(&gathered.segments, &events, &applied);
                        self.trace(&batch, began);
                    }
                    Outcome::Overtaken => {
                        self.take_over_offsets(&batch, &gathered.segments, &mut applying)
                            .await?
                    }
                    Outcome::Refused => {
                        self.apply_piecewise(&gathered.segments, batch, &mut applying)
                            .await?
                    }
                }
            }
            for segment in gathered.segments.iter().filter(|segment| segment.is_current()) {
                segment
                    .partition
                    .reached(segment.advance.to_offset, segment.complete_until_ms);
            }
        }
    }

    async fn gather(&mut self) -> Result<Gathered, Stopped> {
        let mut gathered = Gathered::default();
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(Stopped),
            segment = self.folded.recv() => segment.ok_or(Stopped)?,
        };
        gathered.add(first);
        let until = Instant::now() + GATHER;
        while gathered.weight < MOST_WEIGHT && gathered.moves() {
            let more = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Stopped),
                more = timeout_at(until, self.folded.recv()) => more,
            };
            match more {
                Ok(segment) => gathered.add(segment.ok_or(Stopped)?),
                Err(_) => break,
            }
        }
        Ok(gathered)
    }

    async fn apply(&self, batch: &Arc<ReportBatch>, retry: &mut Retry) -> Result<Outcome, Stopped> {
        let mut refusals = 0;
        loop {
            match self.reports.apply(batch.clone(), self.clock.unix_ms()).await {
                Ok(applied) => {
                    retry.succeeded();
                    return Ok(Outcome::Applied(applied));
                }
                Err(StorageError::Conflict(_)) => return Ok(Outcome::Overtaken),
                Err(error) => {
                    refusals += u32::from(matches!(error, StorageError::Corrupt(_)));
                    if refusals == ATTEMPTS {
                        return Ok(Outcome::Refused);
                    }
                    retry.failed(&error).await?;
                }
            }
        }
    }

    /// The last part of a traced bid's way: its event is in the reports.
    fn trace(&self, batch: &ReportBatch, began: Instant) {
        if !self.traces.is_on() {
            return;
        }
        for event in &batch.contributions {
            let bid_id = event
                .event_id
                .rsplit_once(':')
                .and_then(|(_, id)| id.parse::<BidId>().ok());
            let Some(trace_id) = bid_id.and_then(BidId::trace_id) else {
                continue;
            };
            let bid = TraceContext::begun(trace_id);
            if let Some(mut span) = self.traces.child(bid, SpanKind::Consumer, "add to the reports") {
                span.began_at(began.into_std());
                span.set("event_id", event.event_id.clone());
            }
        }
    }

    /// Every reader goes on from where the store stands. After an apply that took effect although it seemed to fail, that
    /// is where this batch ends.
    async fn take_over_offsets(
        &self,
        batch: &ReportBatch,
        segments: &[Segment],
        retry: &mut Retry,
    ) -> Result<(), Stopped> {
        let steps = &batch.advances;
        let of: Vec<(Topic, u32)> = steps.iter().map(|step| (step.topic, step.partition)).collect();
        let stored = retry.until_done(|| self.reports.offsets(&of)).await?;
        for (step, offset) in steps.iter().zip(stored) {
            let is_of = |one: &&Segment| {
                one.is_current() && (one.advance.topic, one.advance.partition) == (step.topic, step.partition)
            };
            let Some(segment) = segments.iter().find(is_of) else {
                continue;
            };
            if offset != step.to_offset {
                segment.partition.restart(offset);
            }
            if offset != step.to_offset && offset != step.from_offset {
                let (topic, partition) = (step.topic.name(), step.partition);
                tracing::info!(topic, partition, offset, "another reader went on here");
            }
        }
        Ok(())
    }
}

/// Events of each segment, in the order of the batch's contributions.
fn tell(segments: &[Segment], events: &[usize], applied: &Applied) {
    let mut repeated = applied.repeated.iter().peekable();
    let mut end = 0;
    for (segment, events) in segments.iter().zip(events) {
        end += events;
        let mut known = 0;
        while repeated.next_if(|place| **place < end).is_some() {
            known += 1;
        }
        let metrics = &segment.partition.metrics;
        metrics.repeated.inc_by(known);
        metrics.applied.inc_by((*events as u64).saturating_sub(known));
        metrics.poison.inc_by(segment.poison as u64);
    }
}
