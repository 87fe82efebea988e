//! What is counted for each request, and is not where `METRICS_ENABLED` is false.

use std::time::Instant;

use prometheus::{Histogram, IntCounter};

/// A metric, or nothing where requests are not counted.
#[derive(Clone, Debug)]
pub struct OfRequests<M>(Option<M>);

pub type RequestCounter = OfRequests<IntCounter>;
pub type RequestHistogram = OfRequests<Histogram>;

impl<M> OfRequests<M> {
    pub(super) fn new(metric: M, is_counted: bool) -> Self {
        Self(is_counted.then_some(metric))
    }
}

impl RequestCounter {
    #[inline]
    pub fn inc(&self) {
        self.inc_by(1);
    }

    #[inline]
    pub fn inc_by(&self, more: u64) {
        if let Some(counter) = &self.0 {
            counter.inc_by(more);
        }
    }

    /// 0 where requests are not counted.
    pub fn get(&self) -> u64 {
        self.0.as_ref().map_or(0, IntCounter::get)
    }
}

impl RequestHistogram {
    #[inline]
    pub fn observe(&self, seconds: f64) {
        if let Some(histogram) = &self.0 {
            histogram.observe(seconds);
        }
    }

    #[inline]
    pub fn observe_since(&self, began: Instant) {
        if let Some(histogram) = &self.0 {
            histogram.observe(began.elapsed().as_secs_f64());
        }
    }
}
