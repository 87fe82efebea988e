//! The campaigns that serve, under change: each snapshot is made from the one before it by what changed.
//!
//! A campaign that comes gets a number that is nobody's, as near before its place in the order of bounds as there is
//! one, so that all bounds stay as tight as they were; where none is left before, one after its place, and the
//! bounds between are raised. So every snapshot decides as one built anew would; only how early its search ends
//! wears off with the changes, until [`Catalog::is_worn`] says that it is time to build anew.

use crate::Leases;
use crate::campaign::CompiledCampaign;
use crate::card::Card;
use crate::hash::{HashedBy, exact};
use crate::lease::LeaseCell;
use crate::pages::Pages;
use crate::snapshot::{Ranked, Snapshot, bound_usd_micros, exchange_states, in_order};
use domain::serving::ServingExchange;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// One number in so many is left to campaigns to come.
const SPREAD: usize = 16;
/// And so many after the last.
const TAIL: usize = 64;

/// A campaign, its lease, and what else its readers keep by its number.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    pub campaign: Arc<CompiledCampaign>,
    pub cell: Arc<LeaseCell>,
    pub companion: T,
}

/// What happened to one campaign.
#[derive(Clone, Debug)]
pub enum Change<T> {
    /// New, or other than before.
    Serves(Entry<T>),
    /// By its id. One that is not there is no mistake.
    Gone(String),
}

/// The changes cannot be taken in one by one. The catalog is not to be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeedsBuild {
    #[error("no number is left")]
    NoRoom,
    #[error("two campaigns have the same hash")]
    SameHash,
}

/// What is served and what the next is made from. `T` must be cheap to copy.
#[derive(Debug)]
pub struct Catalog<T> {
    snapshot: Snapshot,
    leases: Leases,
    companions: Pages<Option<T>>,
    numbers: HashMap<u64, usize, HashedBy>,
    free: BTreeSet<usize>,
    has_one_hash_each: bool,
    changes: usize,
    /// Of free numbers: never leased.
    nobodys_cell: Arc<LeaseCell>,
}

impl<T: Clone> Catalog<T> {
    /// Takes time in proportion to the number of campaigns. Their cells, in their order, are asked for when all else is
    /// made: to find them takes time, too, which may be another thread's meanwhile. A campaign without one is never leased.
    #[must_use]
    pub fn build(
        campaigns: impl IntoIterator<Item = (Arc<CompiledCampaign>, T)>,
        exchanges: &[ServingExchange],
        cells: impl FnOnce() -> Vec<Arc<LeaseCell>>,
    ) -> Self {
        let exchanges = exchange_states(exchanges);
        let placed = campaigns.into_iter().enumerate();
        let placed = placed.map(|(place, (campaign, companion))| (campaign, (place, companion)));
        let in_order = in_order(placed, &exchanges);
        let room = in_order.len() + in_order.len() / SPREAD + TAIL;
        let nobodys_cell = Arc::<LeaseCell>::default();
        let mut free = BTreeSet::new();
        let mut numbers = HashMap::with_capacity_and_hasher(room, HashedBy::default());
        let mut campaigns = Vec::with_capacity(room);
        let mut places = Vec::with_capacity(room);
        let mut companions = Vec::with_capacity(room);
        let mut has_one_hash_each = true;
        let mut rest = in_order.into_iter().map(Ranked::apart);
        for number in 0..room {
            let is_taken = number % (SPREAD + 1) != SPREAD;
            match is_taken.then(|| rest.next()).flatten() {
                Some((campaign, (place, companion))) => {
                    has_one_hash_each &= numbers.insert(campaign.hash, number).is_none();
                    campaigns.push(Some(campaign));
                    places.push(Some(place));
                    companions.push(Some(companion));
                }
                None => {
                    free.insert(number);
                    campaigns.push(None);
                    places.push(None);
                    companions.push(None);
                }
            }
        }
        let snapshot = Snapshot::of_numbered(campaigns, exchanges);
        let cells = cells();
        let of_place =
            |place: Option<usize>| place.and_then(|place| cells.get(place)).unwrap_or(&nobodys_cell);
        let cells = places.into_iter().map(|place| of_place(place).clone()).collect();
        Self {
            snapshot,
            leases: Leases { cells },
            companions: companions.into_iter().collect(),
            numbers,
            free,
            has_one_hash_each,
            changes: 0,
            nobodys_cell,
        }
    }

    /// What to decide on; a copy is cheap, and no later change shows in it.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Parallel to the snapshot's numbers.
    #[must_use]
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Parallel to the snapshot's numbers.
    #[must_use]
    pub fn companions(&self) -> &Pages<Option<T>> {
        &self.companions
    }

    /// So much has changed that the order has suffered.
    #[must_use]
    pub fn is_worn(&self) -> bool {
        self.changes > self.snapshot.numbers() / 8 + 1_000
    }

    /// Takes the changes in, in their order. Takes time in proportion to their number, and a little for each set of
    /// campaigns they touch.
    ///
    /// # Errors
    /// When a build is needed instead.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change<T>>) -> Result<(), NeedsBuild> {
        if !self.has_one_hash_each {
            return Err(NeedsBuild::SameHash);
        }
        for change in changes {
            self.changes += 1;
            match change {
                Change::Serves(entry) => self.serve(entry)?,
                Change::Gone(id) => {
                    if let Some(number) = self.number_of(exact(&id), &id)? {
                        self.take_out(number);
                    }
                }
            }
        }
        Ok(())
    }

    fn number_of(&self, hash: u64, id: &str) -> Result<Option<usize>, NeedsBuild> {
        let Some(number) = self.numbers.get(&hash).copied() else {
            return Ok(None);
        };
        match self.snapshot.compiled(number) {
            Some(campaign) if campaign.id() == id => Ok(Some(number)),
            _ => Err(NeedsBuild::SameHash),
        }
    }

    fn serve(&mut self, entry: Entry<T>) -> Result<(), NeedsBuild> {
        let bound =
            |campaign: &CompiledCampaign| bound_usd_micros(campaign, &self.snapshot.exchanges).unwrap_or(0);
        let bound_now = bound(&entry.campaign);
        let before = self.number_of(entry.campaign.hash, entry.campaign.id())?;
        let keeps_its_place = before
            .and_then(|number| self.snapshot.compiled(number))
            .is_some_and(|campaign| bound(campaign) == bound_now);
        if let Some(number) = before {
            self.take_out(number);
            if keeps_its_place {
                self.put_in(number, entry, bound_now);
                return Ok(());
            }
        }
        let place = self.place_of(bound_now);
        let before_it = self.free.range(..place).next_back();
        let number = before_it.or_else(|| self.free.range(place..).next()).copied();
        self.put_in(number.ok_or(NeedsBuild::NoRoom)?, entry, bound_now);
        Ok(())
    }

    /// The first number of which the bound is smaller.
    fn place_of(&self, bound: i64) -> usize {
        let (mut low, mut high) = (0, self.snapshot.numbers());
        while low < high {
            let middle = low.midpoint(high);
            if self.snapshot.bound_usd_micros(middle) >= bound {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Its bound stays, as a bound of those after it.
    fn take_out(&mut self, number: usize) {
        let Some(campaign) = self.snapshot.compiled(number).cloned() else {
            return;
        };
        let has_rate = bound_usd_micros(&campaign, &self.snapshot.exchanges).is_some();
        self.snapshot.counts.remove(&campaign, has_rate);
        self.snapshot.index.remove(number, &campaign);
        let bound = self.snapshot.bound_usd_micros(number);
        self.snapshot.cards.set(number, Card::nobodys(bound));
        self.snapshot.campaigns.set(number, None);
        self.leases.cells.set(number, self.nobodys_cell.clone());
        self.companions.set(number, None);
        self.numbers.remove(&campaign.hash);
        self.free.insert(number);
    }

    fn put_in(&mut self, number: usize, entry: Entry<T>, bound: i64) {
        let Entry {
            campaign,
            cell,
            companion,
        } = entry;
        let has_rate = bound_usd_micros(&campaign, &self.snapshot.exchanges).is_some();
        self.snapshot.counts.add(&campaign, has_rate);
        self.snapshot.index.insert(number, &campaign);
        self.numbers.insert(campaign.hash, number);
        self.free.remove(&number);
        // Bounds fall with the number: those before it are raised as far as need be, its own is lowered as far as may be.
        let of_the_next = self.snapshot.bound_usd_micros(number + 1);
        let card = Card::of(&campaign, bound.max(of_the_next));
        self.snapshot.cards.set(number, card);
        self.snapshot.campaigns.set(number, Some(campaign));
        self.leases.cells.set(number, cell);
        self.companions.set(number, Some(companion));
        for earlier in (0..number).rev() {
            if self.snapshot.bound_usd_micros(earlier) >= bound {
                break;
            }
            self.snapshot.raise_bound(earlier, bound);
        }
    }
}

#[cfg(test)]
mod tests;
