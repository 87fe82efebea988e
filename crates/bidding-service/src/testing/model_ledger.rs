//! A ledger in groups, in memory, that can lose what it remembers and then has to be rebuilt (see
//! [`storage::spend_ledger`]).

use super::model_books::Books;
use async_trait::async_trait;
use domain::id::{AdvertiserId, BidderId};
use platform::Clock;
use std::sync::{Mutex, MutexGuard};
use storage::spend_ledger::{
    Balance, BalancesOf, BidRef, BillVerdict, Billing, Fact, Grant, LeaseRequest, Rebuild, Reservation,
    Settled, WinVerdict,
};
use storage::{SpendLedger, StorageError};

const CLAIMED_FOR_MS: i64 = 10_000;
/// What the books of before may lack besides what was not yet there when they were last renewed.
const COMPLETE_MARGIN_MS: i64 = 60_000;
const REMEMBERED_STATES: usize = 20;

/// What a group still knows after its node was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Everything,
    Nothing,
    /// Its books of some renewals ago.
    Older(usize),
}

pub(crate) struct ModelLedger {
    clock: Clock,
    groups: Vec<Mutex<Group>>,
}

#[derive(Default)]
struct Group {
    books: Books,
    epoch: i64,
    /// Set while the group refuses.
    lost: Option<Lost>,
    /// Oldest first, one a renewal.
    states: Vec<Books>,
    is_away: bool,
    /// It refuses every fact.
    is_damaged: bool,
    /// Renewals go unanswered and are kept, as by a server that hangs.
    is_late: bool,
    late: Vec<Late>,
}

struct Late {
    bidder_id: BidderId,
    hold_ms: i64,
    requests: Vec<LeaseRequest>,
}

struct Lost {
    begins_anew: bool,
    /// By the first that asked, from the hold it told.
    after_ms: Option<i64>,
    claim: Option<(BidderId, i64)>,
}

impl ModelLedger {
    pub(crate) fn new(clock: Clock, groups: usize) -> Self {
        Self {
            clock,
            groups: (0..groups).map(|_| Mutex::default()).collect(),
        }
    }

    pub(crate) fn lose(&self, group: u32, left: Left) {
        let mut group = self.group(group);
        match left {
            Left::Everything => {}
            // With its outbox: what was in it was not acknowledged, so nothing is missing without it.
            Left::Nothing => group.books = Books::default(),
            Left::Older(renewals) => {
                let at = group.states.len().saturating_sub(renewals + 1);
                if let Some(books) = group.states.get(at).cloned() {
                    group.books = books;
                }
            }
        }
        group.states.clear();
        group.epoch += 1;
        group.lost = Some(Lost {
            begins_anew: left == Left::Nothing,
            after_ms: None,
            claim: None,
        });
    }

    pub(crate) fn set_away(&self, group: u32, is_away: bool) {
        self.group(group).is_away = is_away;
    }

    pub(crate) fn set_damaged(&self, group: u32, is_damaged: bool) {
        self.group(group).is_damaged = is_damaged;
    }

    pub(crate) fn set_late(&self, group: u32, is_late: bool) {
        self.group(group).is_late = is_late;
    }

    /// What nobody waits for any more.
    pub(crate) async fn carry_out_late(&self, group: u32) {
        let late = std::mem::take(&mut self.group(group).late);
        assert!(!late.is_empty(), "a renewal is late");
        for of in late {
            self.renew(group, &of.bidder_id, of.hold_ms, &of.requests)
                .await
                .unwrap();
        }
    }

    /// It refuses.
    pub(crate) fn is_lost(&self, group: u32) -> bool {
        self.group(group).lost.is_some()
    }

    /// Of every group, also while it refuses.
    pub(crate) fn all_balances(&self) -> Vec<Balance> {
        let of = |group: &Mutex<Group>| group.lock().unwrap().books.balances();
        self.groups.iter().flat_map(of).collect()
    }

    fn group(&self, group: u32) -> MutexGuard<'_, Group> {
        self.groups[group as usize].lock().unwrap()
    }

    /// A group that serves, with what is over ended.
    fn serving(&self, group: u32) -> Result<MutexGuard<'_, Group>, StorageError> {
        let mut group = self.group(group);
        if group.is_away || group.lost.is_some() {
            return Err(StorageError::Unavailable(
                "the ledger is being rebuilt".to_owned(),
            ));
        }
        group.books.end_what_is_over(self.clock.unix_ms());
        Ok(group)
    }

    /// The group, when the rebuild is its present one and this bidder's.
    fn claimed(
        &self,
        rebuild: &Rebuild,
        bidder_id: &BidderId,
    ) -> Result<MutexGuard<'_, Group>, StorageError> {
        let group = self.group(rebuild.group);
        let is_claimed = group.epoch == rebuild.epoch
            && group
                .lost
                .as_ref()
                .and_then(|lost| lost.claim.as_ref())
                .is_some_and(|(by, _)| by == bidder_id);
        if is_claimed {
            Ok(group)
        } else {
            Err(StorageError::Conflict("another goes on".to_owned()))
        }
    }
}

#[async_trait]
impl SpendLedger for ModelLedger {
    fn group_of(&self, advertiser_id: &AdvertiserId) -> u32 {
        let sum: usize = advertiser_id.0.bytes().map(usize::from).sum();
        u32::try_from(sum % self.groups.len()).unwrap()
    }

    async fn renew(
        &self,
        group: u32,
        bidder_id: &BidderId,
        hold_ms: i64,
        requests: &[LeaseRequest],
    ) -> Result<Vec<Grant>, StorageError> {
        for request in requests {
            assert_eq!(self.group_of(&request.advertiser_id), group);
        }
        let mut serving = self.serving(group)?;
        if serving.is_late {
            serving.late.push(Late {
                bidder_id: bidder_id.clone(),
                hold_ms,
                requests: requests.to_vec(),
            });
            return Err(StorageError::Unavailable("no answer in time".to_owned()));
        }
        let (now_ms, epoch) = (self.clock.unix_ms(), serving.epoch);
        let grants = requests
            .iter()
            .map(|request| serving.books.renew(request, bidder_id, now_ms + hold_ms, epoch))
            .collect();
        serving.books.alive_ms = now_ms;
        let state = serving.books.clone();
        serving.states.push(state);
        if serving.states.len() > REMEMBERED_STATES {
            serving.states.remove(0);
        }
        Ok(grants)
    }

    async fn win(&self, reservation: &Reservation) -> Result<WinVerdict, StorageError> {
        let mut serving = self.serving(self.group_of(&reservation.advertiser_id))?;
        let epoch = serving.epoch;
        Ok(serving.books.win(reservation, self.clock.unix_ms(), epoch))
    }

    async fn bill(&self, billing: &Billing) -> Result<BillVerdict, StorageError> {
        let mut serving = self.serving(self.group_of(&billing.reservation.advertiser_id))?;
        let epoch = serving.epoch;
        Ok(serving.books.bill(billing, self.clock.unix_ms(), epoch))
    }

    async fn outbox(&self, settled_before_ms: i64, limit: u32) -> Result<Vec<Settled>, StorageError> {
        let mut left = Vec::new();
        for group in &self.groups {
            let group = group.lock().unwrap();
            let old = group
                .books
                .outbox()
                .filter(|of| of.settled_at_ms <= settled_before_ms);
            left.extend(old.cloned());
        }
        left.sort_by_key(|settled| settled.settled_at_ms);
        left.truncate(limit as usize);
        Ok(left)
    }

    async fn settled(&self, bid: &BidRef) -> Result<Option<Settled>, StorageError> {
        let serving = self.serving(self.group_of(&bid.advertiser_id))?;
        Ok(serving.books.outbox().find(|of| of.bid_id == bid.bid_id).cloned())
    }

    /// Memory of one machine is no durable place.
    async fn is_safe(&self, _: &BidRef) -> Result<bool, StorageError> {
        Ok(false)
    }

    async fn appended(&self, bids: &[BidRef]) -> Result<(), StorageError> {
        for bid in bids {
            self.group(self.group_of(&bid.advertiser_id))
                .books
                .appended(bid.bid_id);
        }
        Ok(())
    }

    async fn balances(&self, _: BalancesOf<'_>) -> Result<Vec<Balance>, StorageError> {
        Ok(self.all_balances())
    }

    async fn forget(&self, _: i64) -> Result<(), StorageError> {
        Ok(())
    }

    async fn rebuilds(&self, bidder_id: &BidderId, hold_ms: i64) -> Result<Vec<Rebuild>, StorageError> {
        let now_ms = self.clock.unix_ms();
        let mut due = Vec::new();
        for (number, group) in (0_u32..).zip(&self.groups) {
            let group = &mut *group.lock().unwrap();
            let Some(lost) = &mut group.lost else { continue };
            let after_ms = *lost.after_ms.get_or_insert(now_ms + hold_ms);
            let is_claimed = lost
                .claim
                .as_ref()
                .is_some_and(|(_, until_ms)| *until_ms > now_ms);
            if group.is_away || now_ms < after_ms || is_claimed {
                continue;
            }
            lost.claim = Some((bidder_id.clone(), now_ms + CLAIMED_FOR_MS));
            group.books.end_leases();
            if lost.begins_anew {
                group.books.wipe();
            }
            due.push(Rebuild {
                group: number,
                epoch: group.epoch,
                complete_until_ms: (!lost.begins_anew).then_some(group.books.alive_ms - COMPLETE_MARGIN_MS),
            });
        }
        Ok(due)
    }

    async fn restore(
        &self,
        rebuild: &Rebuild,
        bidder_id: &BidderId,
        facts: &[Fact],
    ) -> Result<(), StorageError> {
        let now_ms = self.clock.unix_ms();
        let mut group = self.claimed(rebuild, bidder_id)?;
        for fact in facts {
            if group.is_damaged || group.books.is_beyond_range(fact) {
                return Err(StorageError::Corrupt("an amount left its range".to_owned()));
            }
            group.books.restore(fact, now_ms);
        }
        if let Some(lost) = &mut group.lost {
            lost.claim = Some((bidder_id.clone(), now_ms + CLAIMED_FOR_MS));
        }
        Ok(())
    }

    async fn rebuilt(&self, rebuild: &Rebuild, bidder_id: &BidderId) -> Result<(), StorageError> {
        let mut group = self.claimed(rebuild, bidder_id)?;
        group.lost = None;
        group.books.end_what_is_over(self.clock.unix_ms());
        Ok(())
    }
}
