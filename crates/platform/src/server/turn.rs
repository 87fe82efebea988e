//! When a task that waits for something was told that it is there, which under load is long before its turn to run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

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
    /// When it was rung first, nanoseconds from `made`; 0 while it has not been.
    rung_nanos: AtomicU64,
}

impl Turn {
    pub(super) fn new() -> Self {
        let bell = Arc::new(Bell {
            task: AtomicWaker::new(),
            made: Instant::now(),
            rung_nanos: AtomicU64::new(0),
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
        let rung_nanos = self.bell.rung_nanos.swap(0, Relaxed);
        let polled = poll(&mut Context::from_waker(&self.waker));
        let rung = (rung_nanos > 0).then(|| self.bell.made + Duration::from_nanos(rung_nanos));
        (polled, rung)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let nanos = u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // The first ring counts.
        let _ = self
            .rung_nanos
            .compare_exchange(0, nanos.max(1), Relaxed, Relaxed);
        self.task.wake();
    }
}
