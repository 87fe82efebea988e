//! The service's own metrics.

use platform::Metrics;
use prometheus::{Gauge, IntGauge};

/// How far the relay is behind.
#[derive(Clone)]
pub(crate) struct OutboxMetrics {
    pending: IntGauge,
    lag_seconds: Gauge,
}

impl OutboxMetrics {
    pub(crate) fn register(metrics: &Metrics) -> prometheus::Result<Self> {
        Ok(Self {
            pending: metrics.gauge("outbox_pending", "Changes stored and not yet published.")?,
            lag_seconds: metrics.float_gauge(
                "outbox_lag_seconds",
                "Age of the oldest change that is not yet published; 0 when all are.",
            )?,
        })
    }

    pub(crate) fn show(&self, pending: i64, oldest_ms: Option<i64>, now_ms: i64) {
        self.pending.set(pending);
        let lag_ms = oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms).max(0));
        #[expect(clippy::cast_precision_loss, reason = "a lag of more than 2^52 ms is no lag")]
        self.lag_seconds.set(lag_ms as f64 / 1_000.0);
    }
}
