//! The groups being rebuilt: facts on their way to the ledger, and the claims on them.

use super::skipped::{Place, Skipped};
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
/// Then it is not the facts, and the group waits for a ledger that takes them.
const REFUSED_IN_A_ROW: u32 = 100;
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A group that cannot go on is left out; the others do.
pub(super) struct Books {
    ledger: Arc<dyn SpendLedger>,
    bidder_id: BidderId,
    groups: BTreeMap<u32, Group>,
    skipped: Skipped,
    began: Instant,
    told: Instant,
    facts: u64,
}

struct Group {
    rebuild: Rebuild,
    facts: Vec<Fact>,
    /// Where each of them was read.
    places: Vec<Place>,
    claimed: Instant,
    refused_in_a_row: u32,
    has_taken_one: bool,
}

impl Group {
    fn took_one(&mut self) {
        self.refused_in_a_row = 0;
        self.has_taken_one = true;
    }

    /// Books that lack all would be spent anew.
    fn took_none(&self) -> bool {
        self.refused_in_a_row > 0 && !self.has_taken_one
    }
}

impl Books {
    pub(super) fn new(
        ledger: Arc<dyn SpendLedger>,
        bidder_id: BidderId,
        due: &[Rebuild],
        skipped: Skipped,
    ) -> Self {
        let now = Instant::now();
        let group = |rebuild: &Rebuild| Group {
            rebuild: rebuild.clone(),
            facts: Vec::new(),
            places: Vec::new(),
            claimed: now,
            refused_in_a_row: 0,
            has_taken_one: false,
        };
        Self {
            ledger,
            bidder_id,
            groups: due
                .iter()
                .map(|rebuild| (rebuild.group, group(rebuild)))
                .collect(),
            skipped,
            began: now,
            told: now,
            facts: 0,
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.groups.is_empty()
    }

    /// A fact of the group; of one that is not being rebuilt it is none of ours.
    pub(super) async fn add(&mut self, group: u32, fact: Fact, at: Place) {
        let Some(books) = self.groups.get_mut(&group) else {
            return;
        };
        books.facts.push(fact);
        books.places.push(at);
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
        for group in all {
            if self.groups.get(&group).is_some_and(Group::took_none) {
                let error = StorageError::Corrupt("the ledger takes no fact of the group".to_owned());
                self.give_up(group, &error);
            }
        }
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
                    if !books.facts.is_empty() {
                        books.took_one();
                    }
                    self.facts = self.facts.saturating_add(books.facts.len() as u64);
                    books.facts.clear();
                    books.places.clear();
                }
                (Err(StorageError::Corrupt(_)), Some(books)) if !books.facts.is_empty() => {
                    self.send_one_by_one(group).await;
                }
                (Err(error), _) => self.give_up(group, &error),
                (Ok(()), None) => {}
            }
        }
    }

    /// The ledger refuses these facts for what is in one of them (sums leave their range): that one is left out, or the
    /// group would meet it in every rebuild and never be good again. Those it had taken are taken again, to no effect.
    async fn send_one_by_one(&mut self, group: u32) {
        let Some(mut books) = self.groups.remove(&group) else {
            return;
        };
        let facts = std::mem::take(&mut books.facts);
        for (fact, at) in facts.into_iter().zip(std::mem::take(&mut books.places)) {
            let said = self
                .ledger
                .restore(&books.rebuild, &self.bidder_id, &[fact])
                .await;
            match said {
                Ok(()) => {
                    books.took_one();
                    self.facts = self.facts.saturating_add(1);
                }
                Err(error @ StorageError::Corrupt(_)) if books.refused_in_a_row < REFUSED_IN_A_ROW => {
                    books.refused_in_a_row += 1;
                    self.skipped.tell(at, &error);
                }
                Err(error) => return self.give_up(group, &error),
            }
        }
        books.claimed = Instant::now();
        self.groups.insert(group, books);
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
