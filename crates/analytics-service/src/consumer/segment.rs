//! What readers hand over: a piece of one partition, folded.

use super::progress::Partition;
use std::sync::Arc;
use storage::report_store::{Advance, Contribution, SetAside};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Rows and records that may wait to be applied: those of one transaction, and of the next one meanwhile. It bounds
/// the memory of a member that has to catch up.
const ROOM: u32 = 120_000;

/// Where readers wait until there is room for what they have folded; first come, first served.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM as usize)))
    }
}

impl Room {
    /// Freed when the answer is dropped. `None` only when the room is closed, which nobody does.
    pub(super) async fn take(&self, weight: usize) -> Option<OwnedSemaphorePermit> {
        let weight = u32::try_from(weight).unwrap_or(ROOM).clamp(1, ROOM);
        self.0.clone().acquire_many_owned(weight).await.ok()
    }
}

pub(super) struct Segment {
    pub(super) partition: Arc<Partition>,
    /// Of the reader's position: after a restart what was read before counts no more.
    pub(super) epoch: u64,
    pub(super) advance: Advance,
    pub(super) contributions: Vec<Contribution>,
    /// Of the records that they are of.
    pub(super) offsets: Vec<i64>,
    pub(super) set_aside: Vec<SetAside>,
    /// How many were set aside.
    pub(super) poison: usize,
    /// Every event up to then is in the reports once this is applied.
    pub(super) complete_until_ms: i64,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl Segment {
    /// Rows and records: what applying it costs.
    pub(super) fn weight(&self) -> usize {
        self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    pub(super) fn is_current(&self) -> bool {
        self.partition.is_current(self.epoch)
    }

    pub(super) fn moves(&self) -> bool {
        self.advance.to_offset > self.advance.from_offset
    }
}
