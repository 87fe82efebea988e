//! What the exchange counted. Shared by all its tasks.

use crate::load::figures::Figures;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Tally {
    pub requests: AtomicU64,
    /// Bids received, one an imp.
    pub bids: AtomicU64,
    pub no_bids: AtomicU64,
    pub wins: AtomicU64,
    /// Answers that came after the request's `tmax`.
    pub late: AtomicU64,
    /// Anything that is neither 200 nor 204, and bids that an exchange would refuse.
    pub errors: AtomicU64,
    pub impressions: AtomicU64,
    pub clicks: AtomicU64,
    /// Notices not answered with 200 (302 for a click).
    pub failed_notices: AtomicU64,
    /// Clearing prices of all billing notices that were acknowledged, each bid once.
    pub notices_nanos: AtomicI64,
    latency: Mutex<Figures>,
    last_error: Mutex<Option<String>>,
}

impl Tally {
    pub(super) fn answered(&self, status: u16, latency: Duration, tmax_ms: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if latency > Duration::from_millis(tmax_ms) {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        self.latency().answered(status, latency);
    }

    pub(super) fn error(&self, what: String) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    pub(super) fn notice_failed(&self, what: String) {
        self.failed_notices.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn percentile_us(&self, percentile: f64) -> u64 {
        self.latency().percentile_us(percentile)
    }

    fn latency(&self) -> MutexGuard<'_, Figures> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A counter's value now.
pub(super) fn now(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
