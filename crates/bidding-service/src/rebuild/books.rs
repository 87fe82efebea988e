//! The groups being rebuilt: facts on their way to the ledger, and the claims on them.

use domain::id::BidderId;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use storage::spend_ledger::{Fact, Rebuild};
use storage::{SpendLedger, StorageError};
use tokio::time::Instant;

const FACTS_AT_ONCE: usize = 500;
/// A claim lapses some seconds after the last facts.
const CLAIMED_FOR: Duration = Duration::from_secs(2);
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A group that cannot go on is left out; the others do.
pub(super) struct Books {
    ledger: Arc<dyn SpendLedger>,
    bidder_id: BidderId,
    groups: BTreeMap<u32, Group>,
    began: Instant,
    told: Instant,
    facts: u64,
}

struct Group {
    rebuild: Rebuild,
    facts: Vec<Fact>,
    claimed: Instant,
}

impl Books {
    pub(super) fn new(ledger: Arc<dyn SpendLedger>, bidder_id: BidderId, due: &[Rebuild]) -> Self {
        let now = Instant::now();
        let group = |rebuild: &Rebuild| Group {
            rebuild: rebuild.clone(),
            facts: Vec::new(),
            claimed: now,
        };
        Self {
            ledger,
            bidder_id,
            groups: due
                .iter()
                .map(|rebuild| (rebuild.group, group(rebuild)))
                .collect(),
            began: now,
            told: now,
            facts: 0,
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.groups.is_empty()
    }

    /// A fact of the group; of one that is not being rebuilt it is none of ours.
    pub(super) async fn add(&mut self, group: u32, fact: Fact) {
        let Some(books) = self.groups.get_mut(&group) else {
            return;
        };
        books.facts.push(fact);
        if books.facts.len() >= FACTS_AT_ONCE {
            self.send(&[group]).await;
        }
    }

    /// Renews the claims that have not been for a while, and tells how far it is.
    pub(super) async fn keep_claims(&mut self) {
        let old: Vec<u32> = self
            .groups
            .iter()
            .filter(|(_, books)| books.claimed.elapsed() >= CLAIMED_FOR)
            .map(|(group, _)| *group)
            .collect();
        self.send(&old).await;
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            tracing::info!(
                facts = self.facts,
                groups = self.groups.len(),
                ms = self.elapsed_ms(),
                "rebuilding the spend ledger"
            );
        }
    }

    /// Everything is read: the groups are good. Returns how many.
    pub(super) async fn finish(mut self) -> usize {
        let all: Vec<u32> = self.groups.keys().copied().collect();
        self.send(&all).await;
        let rebuilt = self.groups.iter().map(|(group, books)| async {
            let said = self.ledger.rebuilt(&books.rebuild, &self.bidder_id).await;
            (*group, said)
        });
        for (group, said) in join_all(rebuilt).await {
            if let Err(error) = said {
                self.give_up(group, &error);
            }
        }
        tracing::info!(
            facts = self.facts,
            groups = self.groups.len(),
            ms = self.elapsed_ms(),
            "groups of the spend ledger are rebuilt"
        );
        self.groups.len()
    }

    /// All at once: one after the other, the last one's claim could lapse on a slow network.
    async fn send(&mut self, groups: &[u32]) {
        let sent = self
            .groups
            .iter()
            .filter(|(group, _)| groups.contains(group))
            .map(|(group, books)| async {
                let said = self
                    .ledger
                    .restore(&books.rebuild, &self.bidder_id, &books.facts)
                    .await;
                (*group, said)
            });
        for (group, said) in join_all(sent).await {
            match (said, self.groups.get_mut(&group)) {
                (Ok(()), Some(books)) => {
                    books.claimed = Instant::now();
                    self.facts = self.facts.saturating_add(books.facts.len() as u64);
                    books.facts.clear();
                }
                (Err(error), _) => self.give_up(group, &error),
                (Ok(()), None) => {}
            }
        }
    }

    fn give_up(&mut self, group: u32, error: &StorageError) {
        self.groups.remove(&group);
        match error {
            StorageError::Conflict(_) => {
                tracing::info!(group, %error, "another bidder rebuilds this group of the spend ledger");
            }
            _ => tracing::warn!(group, %error, "a group of the spend ledger cannot be rebuilt yet"),
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
