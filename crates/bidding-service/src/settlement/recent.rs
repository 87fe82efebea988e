//! Events this process has appended lately.

use domain::event::EventKind;
use domain::id::BidId;
use std::collections::{HashSet, VecDeque};

const REMEMBERED_EVENTS: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct RecentEvents {
    known: HashSet<(EventKind, BidId)>,
    oldest_first: VecDeque<(EventKind, BidId)>,
}

impl RecentEvents {
    pub(super) fn contains(&self, event: (EventKind, BidId)) -> bool {
        self.known.contains(&event)
    }

    pub(super) fn insert(&mut self, event: (EventKind, BidId)) {
        if !self.known.insert(event) {
            return;
        }
        self.oldest_first.push_back(event);
        if self.oldest_first.len() > REMEMBERED_EVENTS
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}
