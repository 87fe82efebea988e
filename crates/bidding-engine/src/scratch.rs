//! Buffers of one thread, kept from request to request.

use crate::NoBidReason;
use crate::facts::Facts;
use crate::offer::{History, Slot};
use crate::search::{Candidate, Pending};
use bumpalo::Bump;
use std::collections::BinaryHeap;

/// Working memory of [`crate::bid`]. After a few requests its buffers have the size they need.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Native requests of the imp and the steps through the index are in it.
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
    /// Campaigns whose opportunity has been counted.
    pub(crate) counted: Marks,
    pub(crate) pending: BinaryHeap<Pending>,
    /// Those who are called up.
    pub(crate) candidates: Vec<Candidate>,
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

/// Numbers seen in a request, without a memory to clear for each.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Of each number the last request that saw it.
    seen_by: Vec<u32>,
    request: u32,
}

impl Marks {
    /// Of a new request, over numbers below `len`.
    pub(crate) fn begin(&mut self, len: usize) {
        self.request = self.request.wrapping_add(1);
        if self.request == 0 || self.seen_by.len() != len {
            self.seen_by.clear();
            self.seen_by.resize(len, 0);
            self.request = 1;
        }
    }

    /// Whether it is the first time.
    pub(crate) fn mark(&mut self, number: usize) -> bool {
        match self.seen_by.get_mut(number) {
            Some(seen_by) => std::mem::replace(seen_by, self.request) != self.request,
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Marks;

    #[test]
    fn a_number_is_new_once_in_a_request() {
        let mut marks = Marks::default();
        marks.begin(3);
        assert!(marks.mark(2) && !marks.mark(2) && marks.mark(0));
        marks.begin(3);
        assert!(marks.mark(2));
        marks.request = u32::MAX;
        marks.begin(3);
        assert!(marks.mark(2) && !marks.mark(2));
    }
}
