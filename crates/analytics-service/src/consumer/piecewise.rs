//! A batch that the store refuses for what is in it is taken apart, until what it cannot take is found and set aside: one
//! record must not hold up the others for ever.

use super::applier::Applier;
use super::reader::REASON_CHARS;
use super::retry::{Retry, Stopped};
use super::segment::Segment;
use std::sync::Arc;
use std::time::Duration;
use storage::StorageError;
use storage::report_store::{Advance, Applied, Contribution, ReportBatch, SetAside};

/// Then it is not the records: the store is waited for, and nothing more is set aside until it has taken one.
const REFUSED_IN_A_ROW: u32 = 100;
const READ_WAIT: Duration = Duration::from_secs(1);

/// Some records of one partition that follow each other.
struct Piece {
    advance: Advance,
    /// With their offsets, in their order.
    events: Vec<(i64, Contribution)>,
    set_aside: Vec<SetAside>,
}

impl Piece {
    /// Precondition: two events or more.
    fn halves(mut self) -> [Self; 2] {
        let later = self.events.split_off(self.events.len() / 2);
        let middle = later
            .first()
            .map_or(self.advance.to_offset, |(offset, _)| *offset);
        let (before, after) = self.set_aside.into_iter().partition(|one| one.offset < middle);
        let [first, second] = [
            (self.advance.from_offset, middle),
            (middle, self.advance.to_offset),
        ]
        .map(|(from_offset, to_offset)| Advance {
            from_offset,
            to_offset,
            ..self.advance.clone()
        });
        [
            Self {
                advance: first,
                events: self.events,
                set_aside: before,
            },
            Self {
                advance: second,
                events: later,
                set_aside: after,
            },
        ]
    }

    fn batch(&self) -> ReportBatch {
        ReportBatch {
            contributions: self.events.iter().map(|(_, event)| event.clone()).collect(),
            advances: vec![self.advance.clone()],
            set_aside: self.set_aside.clone(),
        }
    }
}

impl Applier {
    /// Precondition: `batch` is what these segments came to, and was refused whole.
    pub(super) async fn apply_piecewise(
        &mut self,
        segments: &[Segment],
        batch: Arc<ReportBatch>,
        retry: &mut Retry,
    ) -> Result<(), Stopped> {
        let batch = Arc::unwrap_or_clone(batch);
        let mut contributions = batch.contributions.into_iter();
        for segment in segments.iter().filter(|segment| segment.moves()) {
            let step = &segment.advance;
            let is_of = |one: &&SetAside| {
                (one.topic, one.partition) == (step.topic, step.partition)
                    && (step.from_offset..step.to_offset).contains(&one.offset)
            };
            let whole = Piece {
                advance: step.clone(),
                events: segment
                    .offsets
                    .iter()
                    .copied()
                    .zip(contributions.by_ref().take(segment.offsets.len()))
                    .collect(),
                set_aside: batch.set_aside.iter().filter(is_of).cloned().collect(),
            };
            self.apply_pieces(segment, whole, retry).await?;
        }
        Ok(())
    }

    async fn apply_pieces(
        &mut self,
        segment: &Segment,
        whole: Piece,
        retry: &mut Retry,
    ) -> Result<(), Stopped> {
        let mut left = vec![whole];
        while let Some(mut piece) = left.pop() {
            if !segment.is_current() {
                return Ok(());
            }
            let applied = self.reports.apply(Arc::new(piece.batch()), self.clock.unix_ms());
            match applied.await {
                Ok(applied) => {
                    retry.succeeded();
                    if !piece.events.is_empty() {
                        self.refused_in_a_row = 0;
                    }
                    tell(segment, &piece, &applied);
                }
                Err(StorageError::Conflict(_)) => {
                    let place = [(piece.advance.topic, piece.advance.partition)];
                    let stored = retry.until_done(|| self.reports.offsets(&place)).await?;
                    // Where this piece ends: it took effect although it seemed to fail.
                    if let Some(offset) = stored.first().filter(|one| **one != piece.advance.to_offset) {
                        segment.partition.restart(*offset);
                        return Ok(());
                    }
                }
                Err(StorageError::Corrupt(_)) if piece.events.len() > 1 => {
                    let [first, second] = piece.halves();
                    left.extend([second, first]);
                }
                Err(StorageError::Corrupt(why))
                    if !piece.events.is_empty() && self.refused_in_a_row < REFUSED_IN_A_ROW =>
                {
                    self.refused_in_a_row += 1;
                    for (offset, _) in std::mem::take(&mut piece.events) {
                        let refused = self.refused(&piece.advance, offset, &why).await;
                        piece.set_aside.push(refused);
                    }
                    left.push(piece);
                }
                Err(error) => {
                    retry.failed(&error).await?;
                    left.push(piece);
                }
            }
        }
        Ok(())
    }

    /// Its value is read once more, since only what was folded of it is at hand; empty where it is gone.
    async fn refused(&self, of: &Advance, offset: i64, why: &str) -> SetAside {
        tracing::error!(
            topic = of.topic.name(),
            partition = of.partition,
            offset,
            reason = why,
            "record set aside: the store cannot take it"
        );
        let read = self.events.read(of.topic, of.partition, offset, 1, READ_WAIT);
        let found = read.await.ok().and_then(|batch| batch.records.into_iter().next());
        let mut value = found
            .filter(|record| record.offset == offset)
            .and_then(|record| record.value)
            .unwrap_or_default();
        value.truncate(SetAside::VALUE_BYTES);
        SetAside {
            topic: of.topic,
            partition: of.partition,
            offset,
            reason: format!("the report store refuses it: {why}")
                .chars()
                .take(REASON_CHARS)
                .collect(),
            value,
        }
    }
}

fn tell(segment: &Segment, piece: &Piece, applied: &Applied) {
    let metrics = &segment.partition.metrics;
    let (events, repeated) = (piece.events.len() as u64, applied.repeated.len() as u64);
    metrics.repeated.inc_by(repeated);
    metrics.applied.inc_by(events.saturating_sub(repeated));
    metrics.poison.inc_by(piece.set_aside.len() as u64);
}
