//! What this process has done lately, or kept.

use super::work::Happened;
use domain::id::BidId;
use std::collections::{HashSet, VecDeque};

const REMEMBERED: usize = 200_000;

#[derive(Debug, Default)]
pub(super) struct Recent {
    known: HashSet<(Happened, BidId)>,
    oldest_first: VecDeque<(Happened, BidId)>,
}

impl Recent {
    pub(super) fn contains(&self, what: (Happened, BidId)) -> bool {
        self.known.contains(&what)
    }

    pub(super) fn insert(&mut self, what: (Happened, BidId)) {
        if !self.known.insert(what) {
            return;
        }
        self.oldest_first.push_back(what);
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}
