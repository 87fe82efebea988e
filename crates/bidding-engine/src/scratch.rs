//! Buffers of one thread, kept from request to request.

use crate::NoBidReason;

/// Working memory of [`crate::bid`]. After a few requests its buffers have the size they need.
#[derive(Debug, Default)]
pub struct Scratch {
    reasons: Vec<Option<NoBidReason>>,
}

impl Scratch {
    /// Of the last request, parallel to its imps: why nobody bids on it, `None` where somebody does.
    #[must_use]
    pub fn reasons(&self) -> &[Option<NoBidReason>] {
        &self.reasons
    }
}
