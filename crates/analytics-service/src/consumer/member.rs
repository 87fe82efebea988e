//! Which partitions are this process's, as replicas of the service come and go.

use super::progress::{Held, Partition};
use super::reader::Reader;
use super::retry::{Retry, Stopped};
use super::segment::{Room, Segment};
use crate::fold::{KnownDimensions, TOPICS};
use crate::metrics::Metrics;
use crate::ports::Ports;
use platform::{Clock, Latch, Shutdown};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use storage::StorageError;
use storage::event_log::{Membership, Topic};
use tokio::sync::{mpsc, watch};

/// The readers' name in the event log.
const GROUP: &str = "analytics";
/// Who holds it publishes the checkpoints: at most one replica, but for moments.
const PUBLISHER: (Topic, u32) = (Topic::Spend, 0);

pub(super) struct Member {
    pub(super) ports: Ports,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) shutdown: Shutdown,
    pub(super) store_reached: Latch,
    pub(super) offsets_loaded: Latch,
    pub(super) held: Arc<Held>,
    pub(super) publishing: watch::Sender<bool>,
    pub(super) segments: mpsc::UnboundedSender<Segment>,
    pub(super) room: Room,
    pub(super) known: Arc<Mutex<KnownDimensions>>,
}

impl Member {
    /// Until the process stops; leaving the group then, so that the others take over at once.
    pub(super) async fn run(self) -> Result<(), Stopped> {
        let mut joining = Retry::new("joining the readers", self.shutdown.background().clone());
        loop {
            let membership = joining
                .until_done(|| self.ports.events.join(GROUP, &TOPICS))
                .await?;
            let lost = self.follow(membership).await?;
            // What is held is read on meanwhile: the stored offsets decide whose batch counts.
            joining.failed(&lost).await?;
        }
    }

    /// Until the membership fails.
    async fn follow(&self, mut membership: Box<dyn Membership>) -> Result<StorageError, Stopped> {
        loop {
            let assigned = tokio::select! {
                biased;
                () = self.shutdown.background().cancelled() => return Err(Stopped),
                assigned = membership.assigned() => assigned,
            };
            match assigned {
                Ok(assigned) => self.hold(assigned.into_iter().collect()).await?,
                Err(error) => return Ok(error),
            }
        }
    }

    /// Ends the readers of what is another's now, then starts those of what is new.
    async fn hold(&self, assigned: BTreeSet<(Topic, u32)>) -> Result<(), Stopped> {
        let new: Vec<(Topic, u32)> = self.held.change(|held| {
            held.retain(|of, partition| {
                let is_ours = assigned.contains(of);
                if !is_ours {
                    partition.stop.cancel();
                    self.metrics.forget_lag(of.0, of.1);
                }
                is_ours
            });
            assigned
                .iter()
                .filter(|of| !held.contains_key(of))
                .copied()
                .collect()
        });
        self.publishing.send_replace(assigned.contains(&PUBLISHER));
        tracing::info!(
            partitions = assigned.len(),
            new = new.len(),
            "partitions assigned"
        );
        let mut loading = Retry::new("loading offsets", self.shutdown.background().clone());
        let offsets = loading.until_done(|| self.ports.reports.offsets(&new)).await?;
        self.store_reached.set();
        self.offsets_loaded.set();
        for (of, offset) in new.into_iter().zip(offsets) {
            self.read(of, offset);
        }
        Ok(())
    }

    fn read(&self, of: (Topic, u32), offset: i64) {
        let partition = Arc::new(Partition::new(
            of,
            offset,
            self.clock.unix_ms(),
            self.metrics.topic(of.0),
            self.metrics.lag_records(of.0, of.1),
            self.shutdown.background().child_token(),
        ));
        self.held.change(|held| held.insert(of, partition.clone()));
        let reader = Reader {
            partition,
            events: self.ports.events.clone(),
            segments: self.segments.clone(),
            room: self.room.clone(),
            known: self.known.clone(),
            clock: self.clock.clone(),
            weight_of_a_record: Reader::expected_weight(of.0),
        };
        self.shutdown.spawn("event reader", async move {
            let _: Result<(), Stopped> = reader.run().await;
        });
    }
}
