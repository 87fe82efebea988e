//! Records that a rebuild goes on without: all are counted, and the first of each topic are told.

use domain::event::BadRecord;
use prometheus::IntCounterVec;
use storage::event_log::Topic;

/// Of one topic in the life of the process; the counter says how many there are.
const LINES: u64 = 33;
/// A reason may quote the record.
const REASON_CHARS: usize = 500;

/// Where a record is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) topic: Topic,
    pub(super) partition: u32,
    pub(super) offset: i64,
}

#[derive(Clone)]
pub(super) struct Skipped(pub(super) IntCounterVec);

impl Skipped {
    pub(super) fn unless_bad<T>(&self, at: Place, read: Result<T, BadRecord>) -> Option<T> {
        read.inspect_err(|bad| self.tell(at, bad)).ok()
    }

    pub(super) fn tell(&self, at: Place, reason: &impl ToString) {
        let topic = at.topic.name();
        let skipped = self.0.with_label_values(&[topic]);
        if skipped.get() < LINES {
            let reason: String = reason.to_string().chars().take(REASON_CHARS).collect();
            tracing::error!(
                topic,
                partition = at.partition,
                offset = at.offset,
                reason,
                "record set aside, the ledger is rebuilt without it"
            );
        }
        skipped.inc();
    }
}
