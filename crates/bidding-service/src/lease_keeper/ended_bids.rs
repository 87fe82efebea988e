//! Which bids have been ended sooner already, so that a repeated notice ends none twice.

use domain::id::BidId;
use std::collections::{HashSet, VecDeque};

/// Beyond this many, bids are left to end by themselves.
const REMEMBERED_BIDS: usize = 200_000;

#[derive(Debug, Default)]
pub(super) struct EndedBids {
    known: HashSet<BidId>,
    /// When each may be forgotten, by the monotonic clock; oldest first.
    in_order: VecDeque<(i64, BidId)>,
}

impl EndedBids {
    /// True the first time. `kept_ms`: from then on a bid is over anyway.
    pub(super) fn is_first(&mut self, bid_id: BidId, now_ms: i64, kept_ms: i64) -> bool {
        while let Some((_, old)) = self.in_order.pop_front_if(|(until_ms, _)| *until_ms <= now_ms) {
            self.known.remove(&old);
        }
        if self.known.len() >= REMEMBERED_BIDS || !self.known.insert(bid_id) {
            return false;
        }
        self.in_order.push_back((now_ms.saturating_add(kept_ms), bid_id));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bid_ends_once_while_it_could_be_open() {
        let mut ended = EndedBids::default();
        assert!(ended.is_first(BidId(1), 0, 1_000));
        assert!(!ended.is_first(BidId(1), 999, 1_000));
        assert!(ended.is_first(BidId(2), 999, 1_000));
        assert!(ended.is_first(BidId(1), 1_000, 1_000));
        assert_eq!(ended.known.len(), 2);
    }
}
