//! The last place where a notice is safe: an append-only log on this machine's disk, for when the stores are away.
//!
//! Promises: a record that was kept survives kill -9 and a lost power; it is read back as it was written or not at
//! all; what cannot be read, or never applied, is set aside and holds nobody up; the folder never grows beyond its bound.
//!
//! Records wait in segments. One thread writes them, many records to one sync. Who replays them loads a sealed
//! segment whole, and says afterwards which of its records still wait.

mod folder;
mod index;
mod segment;
mod set_aside;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use segment::Spooled;

use crate::metrics::SpoolMetrics;
use folder::Folder;
use index::Index;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use writer::{Append, Command};

/// A disk that takes longer to sync is as good as none.
const PATIENCE: Duration = Duration::from_secs(3);
/// Records on their way to the disk.
const QUEUE: usize = 8_192;

/// Money may fill the spool; everything else leaves half of it free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    Money,
    Report,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    #[error("the spool is full")]
    Full,
    #[error("the spool cannot be written: {0}")]
    Failing(String),
}

/// Dropping it ends the writer and frees the folder; what was kept stays for the next process.
pub(crate) struct Spool {
    shared: Arc<Shared>,
    /// `None` while it is being dropped.
    queue: Option<SyncSender<Command>>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer and the readers of segments share.
struct Shared {
    root: PathBuf,
    own: Folder,
    /// Of dead processes, until they are empty.
    adopted: Mutex<Vec<Folder>>,
    index: Mutex<Index>,
    /// In segments and on their way there.
    used_bytes: AtomicU64,
    max_bytes: u64,
    metrics: SpoolMetrics,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("folder", &self.shared.own.path)
            .finish_non_exhaustive()
    }
}

impl Spool {
    /// Takes a folder below `root` and reads what an earlier process left there. Blocks: for the start of a process.
    ///
    /// # Errors
    /// When the folder cannot be made, locked or read.
    pub(crate) fn open(root: &Path, max_bytes: u64, metrics: SpoolMetrics) -> io::Result<Self> {
        let own = Folder::claim(root)?;
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            own,
            adopted: Mutex::default(),
            index: Mutex::default(),
            used_bytes: AtomicU64::new(0),
            max_bytes,
            metrics,
        });
        let last_sequence = shared.take_over(&shared.own)?;
        let (queue, commands) = sync_channel(QUEUE);
        let writer = writer::start(shared.clone(), last_sequence + 1, commands)?;
        Ok(Self {
            shared,
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    /// Returns once the record is on the disk.
    ///
    /// # Errors
    /// When there is no room for it, or the disk fails. It may be there all the same.
    pub(crate) async fn keep(&self, record: Spooled, worth: Worth) -> Result<(), NotKept> {
        let kept = self.keep_or_not(record, worth).await;
        if kept.is_err() {
            self.shared.metrics.refused.inc();
        }
        kept
    }

    async fn keep_or_not(&self, record: Spooled, worth: Worth) -> Result<(), NotKept> {
        if record.payload.len() > segment::MAX_PAYLOAD_BYTES {
            return Err(NotKept::Failing("the record is too long".to_owned()));
        }
        let bytes = (segment::HEADER_BYTES + record.payload.len()) as u64;
        if !self.shared.reserve(bytes, worth) {
            return Err(NotKept::Full);
        }
        let (answer, answered) = oneshot::channel();
        let append = Command::Append(Append { record, answer });
        if self
            .queue
            .as_ref()
            .is_none_or(|queue| queue.try_send(append).is_err())
        {
            self.shared.release(bytes);
            return Err(NotKept::Failing("too many records wait for the disk".to_owned()));
        }
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(why))) => Err(NotKept::Failing(why)),
            Ok(Err(_)) => Err(NotKept::Failing("the writer has ended".to_owned())),
            Err(_) => Err(NotKept::Failing("the disk takes too long".to_owned())),
        }
    }

    /// Segments that are written to the end, the one with the oldest arrival first.
    pub(crate) fn sealed(&self) -> Vec<PathBuf> {
        self.shared.index().sealed()
    }

    /// Ends the segment being written, so that it can be replayed too. Returns once that is done.
    pub(crate) async fn seal(&self) {
        let (answer, answered) = oneshot::channel();
        let is_asked = |queue: &SyncSender<Command>| queue.try_send(Command::Seal(answer)).is_ok();
        if self.queue.as_ref().is_some_and(is_asked) {
            let _ = tokio::time::timeout(PATIENCE, answered).await;
        }
    }

    /// The records of a sealed segment, by their time of arrival. What cannot be read of it is set aside.
    ///
    /// # Errors
    /// When the file cannot be read, or the damage not be set aside.
    pub(crate) async fn load(&self, segment: &Path) -> io::Result<Vec<Spooled>> {
        let segment = segment.to_owned();
        self.on_disk(move |shared| shared.load(&segment)).await
    }

    /// Leaves these of the records that [`Spool::load`] gave; without any the segment is gone.
    ///
    /// # Errors
    /// When the disk fails: then records that were replayed may come once more.
    pub(crate) async fn leave(&self, segment: &Path, left: Vec<Spooled>) -> io::Result<()> {
        let segment = segment.to_owned();
        self.on_disk(move |shared| shared.leave(&segment, &left)).await
    }

    /// Keeps out of the way, for a person, what can never be applied.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) async fn set_aside(&self, at_ms: i64, reason: &str, payload: Vec<u8>) -> io::Result<()> {
        tracing::error!(reason, folder = %self.shared.own.path.display(), "a record is set aside");
        let reason = reason.to_owned();
        self.on_disk(move |shared| shared.set_aside(&shared.own.path, at_ms, &reason, &payload))
            .await
    }

    /// Takes over the folders of processes that ended with records in them. Returns how many.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) async fn adopt(&self) -> io::Result<usize> {
        self.on_disk(Shared::adopt).await
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shared.index().records() == 0
    }

    pub(crate) fn records(&self) -> u64 {
        self.shared.index().records()
    }

    pub(crate) fn metrics(&self) -> &SpoolMetrics {
        &self.shared.metrics
    }

    /// Since when the oldest record waits, for the metric.
    pub(crate) fn tell_age(&self, now_ms: i64) {
        let oldest_ms = self.shared.index().oldest_arrival_ms();
        let age_ms = oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms).max(0));
        self.shared
            .metrics
            .oldest_age_seconds
            .set(age_ms as f64 / 1_000.0);
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || work(&shared))
            .await
            .unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // Writes what it was given and ends: then the folder is free.
            let _ = writer.join();
        }
    }
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn adopted(&self) -> MutexGuard<'_, Vec<Folder>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, bytes: u64, worth: Worth) -> bool {
        let bound = match worth {
            Worth::Money => self.max_bytes,
            Worth::Report => self.max_bytes / 2,
        };
        let taken = self
            .used_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= bound)
            });
        taken.is_ok()
    }

    fn release(&self, bytes: u64) {
        let _ = self
            .used_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                Some(used.saturating_sub(bytes))
            });
    }

    fn publish(&self, index: &Index) {
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.records.set(count(index.records()));
        self.metrics.bytes.set(count(index.bytes()));
    }
}
