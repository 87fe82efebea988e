//! When a task that waits for something was told that it is there, which under load is long before its turn to run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// How many tasks have been told and have not had their turn, of all that share it.
#[derive(Debug, Default)]
pub(super) struct Waiting(AtomicUsize);

impl Waiting {
    pub(super) fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Stands between what wakes a task and the task.
#[derive(Debug)]
pub(super) struct Turn {
    bell: Arc<Bell>,
    waker: Waker,
}

#[derive(Debug)]
struct Bell {
    task: AtomicWaker,
    made: Instant,
    /// When it was rung first, nanoseconds from `made`; [`SILENT`] while it has not been.
    rung_nanos: AtomicU64,
    waiting: Arc<Waiting>,
}

const SILENT: u64 = 0;
/// Nobody hears it any more.
const GONE: u64 = u64::MAX;

impl Turn {
    pub(super) fn new(waiting: Arc<Waiting>) -> Self {
        let bell = Arc::new(Bell {
            task: AtomicWaker::new(),
            made: Instant::now(),
            rung_nanos: AtomicU64::new(SILENT),
            waiting,
        });
        Self {
            waker: bell.clone().into(),
            bell,
        }
    }

    /// Polls; says when the task was told to, if it was told since it polled last.
    pub(super) fn take<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> T,
    ) -> (T, Option<Instant>) {
        self.bell.task.register(cx.waker());
        let rung = self.bell.hear(SILENT);
        let polled = poll(&mut Context::from_waker(&self.waker));
        (polled, rung)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.bell.hear(GONE);
    }
}

impl Bell {
    /// When it was rung, if it was.
    fn hear(&self, then: u64) -> Option<Instant> {
        let rung_nanos = self.rung_nanos.swap(then, Relaxed);
        (rung_nanos != SILENT).then(|| {
            self.waiting.0.fetch_sub(1, Relaxed);
            self.made + Duration::from_nanos(rung_nanos)
        })
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let nanos = u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let nanos = nanos.clamp(SILENT + 1, GONE - 1);
        // Before it can be heard; the first ring counts.
        self.waiting.0.fetch_add(1, Relaxed);
        let rung = self.rung_nanos.compare_exchange(SILENT, nanos, Relaxed, Relaxed);
        if rung.is_err() {
            self.waiting.0.fetch_sub(1, Relaxed);
        }
        self.task.wake();
    }
}
