//! Buffers of one thread, kept from request to request.

use crate::NoBidReason;
use crate::bits::Bits;
use crate::facts::Facts;
use crate::offer::{History, Slot};
use crate::search::Pending;
use bumpalo::Bump;
use std::collections::BinaryHeap;

/// Working memory of [`crate::bid`]. After a few requests its buffers have the size they need.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Native requests of the imp are read into it.
    pub(crate) arena: Bump,
    pub(crate) facts: Facts,
    pub(crate) reasons: Vec<Option<NoBidReason>>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) history: History,
    pub(crate) buffers: Buffers,
}

/// Those of the search.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// Campaigns left by the conditions that all imps share.
    pub(crate) of_request: Bits,
    /// Campaigns left by those of the imp too.
    pub(crate) of_imp: Bits,
    pub(crate) work: Bits,
    /// Campaigns whose opportunity has been counted.
    pub(crate) counted: Bits,
    pub(crate) pending: BinaryHeap<Pending>,
    /// Numbers of the creatives that fit the imp.
    pub(crate) fitting: Vec<usize>,
    /// Of those, the ones that fit the slot.
    pub(crate) fitting_slot: Vec<usize>,
    /// Parallel to the slots.
    pub(crate) is_won: Vec<bool>,
}

impl Scratch {
    /// Of the last request, parallel to its imps: why nobody bids on it, `None` where somebody does.
    #[must_use]
    pub fn reasons(&self) -> &[Option<NoBidReason>] {
        &self.reasons
    }
}
