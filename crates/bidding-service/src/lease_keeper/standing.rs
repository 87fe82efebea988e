//! What a bidder knows of one group of the ledger: whether leases that no heartbeat names are still held there.
//!
//! A ledger that lost its memory grants nothing for longer than bids are made on an old lease, and the high half of
//! its leases' sequences, the epoch, is greater afterwards. So heartbeats that were answered closely one after the
//! other saw one memory; after a pause one campaign has to be named, whose grant tells the epoch.

use super::BID_AFTER_RENEWAL_MS;
use bidding_engine::Now;
use storage::spend_ledger::Grant;

const EPOCH_BITS: u32 = 32;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// When the last heartbeat was sent that was answered and told the epoch.
    answered_ms: Option<i64>,
    epoch: i64,
}

impl Standing {
    /// The answer to a heartbeat sent at `sent` must tell the epoch.
    pub(super) fn needs_a_grant(&self, sent: Now) -> bool {
        self.answered_ms
            .is_none_or(|last| sent.monotonic_ms.saturating_sub(last) > BID_AFTER_RENEWAL_MS)
    }

    /// A heartbeat sent at `sent` was answered; `told`: the greatest epoch of its grants. The epoch as of then, when
    /// that is known.
    pub(super) fn answered(&mut self, sent: Now, told: Option<i64>) -> Option<i64> {
        if told.is_none() && self.needs_a_grant(sent) {
            return None;
        }
        self.epoch = told.map_or(self.epoch, |told| told.max(self.epoch));
        self.answered_ms = Some(sent.monotonic_ms);
        Some(self.epoch)
    }
}

/// The memory of the ledger that a lease is of.
pub(super) fn epoch_of(sequence: i64) -> i64 {
    sequence >> EPOCH_BITS
}

pub(super) fn epoch_told(grants: &[Grant]) -> Option<i64> {
    grants.iter().map(|grant| epoch_of(grant.sequence)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(monotonic_ms: i64) -> Now {
        Now {
            unix_ms: 0,
            monotonic_ms,
        }
    }

    #[test]
    fn an_answer_without_a_grant_tells_the_epoch_only_closely_after_one_that_did() {
        let mut standing = Standing::default();
        assert_eq!(standing.answered(at(0), None), None);
        assert_eq!(standing.answered(at(1_000), Some(7)), Some(7));
        assert_eq!(standing.answered(at(3_000), None), Some(7));
        assert!(!standing.needs_a_grant(at(5_000)));
        assert_eq!(standing.answered(at(5_001), None), None);
        assert_eq!(standing.answered(at(6_001), Some(9)), Some(9));
        assert_eq!(standing.answered(at(7_001), Some(8)), Some(9), "never back");
    }
}
