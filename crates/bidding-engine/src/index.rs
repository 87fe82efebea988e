//! Which campaigns pass the conditions of [`crate::conditions::INDEXED`], for all of them at once: a set
//! of campaigns for each value of a condition, combined word by word.

use crate::bits::Bits;
use crate::campaign::CompiledCampaign;
use crate::facts::Facts;
use crate::hash::HashedBy;
use crate::list::List;
use crate::offer::{Offer, Slot};
use crate::reason::NoBidReason;
use std::collections::HashMap;
use std::sync::Arc;

/// By a text's hash, which is not hashed again.
type ByHash<T> = HashMap<u64, T, HashedBy>;

/// Copies share what is equal: putting a campaign in or taking it out copies the sets that it is in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Numbers are below.
    room: usize,
    active: Arc<Bits>,
    exchanges: Dimension,
    inventory: Dimension,
    countries: Dimension,
    devices: Dimension,
    formats: Dimension,
    open_auction: Arc<Bits>,
    /// Deals have few campaigns each: numbers, rising.
    deals: Arc<ByHash<Arc<Vec<usize>>>>,
}

impl Index {
    pub(crate) fn build(numbered: &[Option<Arc<CompiledCampaign>>]) -> Self {
        let mut index = Self::empty(numbered.len());
        for (number, campaign) in numbered.iter().enumerate() {
            if let Some(campaign) = campaign {
                index.insert(number, campaign);
            }
        }
        index
    }

    fn empty(room: usize) -> Self {
        let none = || Arc::new(Bits::empty(room));
        let dimension = || Dimension {
            any: none(),
            ..Dimension::default()
        };
        Self {
            room,
            active: none(),
            exchanges: dimension(),
            inventory: dimension(),
            countries: dimension(),
            devices: dimension(),
            formats: dimension(),
            open_auction: none(),
            deals: Arc::default(),
        }
    }

    pub(crate) fn insert(&mut self, number: usize, campaign: &CompiledCampaign) {
        if campaign.is_active {
            Arc::make_mut(&mut self.active).insert(number);
        }
        if campaign.open_auction {
            Arc::make_mut(&mut self.open_auction).insert(number);
        }
        let room = self.room;
        for (dimension, list) in self.dimensions(campaign) {
            dimension.insert(number, list, room);
        }
        if !campaign.deals.is_empty() {
            let deals = Arc::make_mut(&mut self.deals);
            for deal in &campaign.deals {
                let numbers = Arc::make_mut(deals.entry(*deal).or_default());
                if let Err(at) = numbers.binary_search(&number) {
                    numbers.insert(at, number);
                }
            }
        }
    }

    /// `campaign` is the one that was put in under the number.
    pub(crate) fn remove(&mut self, number: usize, campaign: &CompiledCampaign) {
        if campaign.is_active {
            Arc::make_mut(&mut self.active).remove(number);
        }
        if campaign.open_auction {
            Arc::make_mut(&mut self.open_auction).remove(number);
        }
        for (dimension, list) in self.dimensions(campaign) {
            dimension.remove(number, list);
        }
        if !campaign.deals.is_empty() {
            let deals = Arc::make_mut(&mut self.deals);
            for deal in &campaign.deals {
                if let Some(numbers) = deals.get_mut(deal) {
                    Arc::make_mut(numbers).retain(|one| *one != number);
                }
            }
        }
    }

    fn dimensions<'a>(&'a mut self, campaign: &'a CompiledCampaign) -> [(&'a mut Dimension, &'a List); 5] {
        [
            (&mut self.exchanges, &campaign.exchanges),
            (&mut self.inventory, &campaign.inventory),
            (&mut self.countries, &campaign.countries),
            (&mut self.devices, &campaign.devices),
            (&mut self.formats, &campaign.formats),
        ]
    }

    /// Puts into `found` the campaigns that pass the conditions that all imps of a request share.
    ///
    /// # Errors
    /// The first condition that leaves none.
    pub(crate) fn of_request(
        &self,
        facts: &Facts,
        found: &mut Bits,
        work: &mut Bits,
    ) -> Result<(), NoBidReason> {
        found.copy_from(&self.active);
        if found.is_empty() {
            return Err(NoBidReason::NoActiveCampaign);
        }
        let steps = [
            (NoBidReason::Exchange, &self.exchanges, &facts.exchange),
            (NoBidReason::Inventory, &self.inventory, &facts.inventory),
            (NoBidReason::Country, &self.countries, &facts.country),
            (NoBidReason::Device, &self.devices, &facts.devices),
        ];
        for (reason, dimension, values) in steps {
            dimension.narrow(values, found, work);
            if found.is_empty() {
                return Err(reason);
            }
        }
        Ok(())
    }

    /// Narrows `found` to the campaigns that pass the conditions of the imp as well.
    ///
    /// # Errors
    /// As [`Index::of_request`].
    pub(crate) fn of_offer(
        &self,
        offer: &Offer<'_>,
        found: &mut Bits,
        work: &mut Bits,
    ) -> Result<(), NoBidReason> {
        self.formats.narrow(offer.format_words().as_slice(), found, work);
        if found.is_empty() {
            return Err(NoBidReason::Format);
        }
        self.narrow_to_slots(offer.slots, found, work);
        if found.is_empty() {
            return Err(NoBidReason::Deal);
        }
        Ok(())
    }

    fn narrow_to_slots(&self, slots: &[Slot], found: &mut Bits, work: &mut Bits) {
        work.copy_from(&self.open_auction);
        if slots.iter().all(|slot| slot.deal.is_some()) {
            work.subtract(&self.open_auction);
        }
        for slot in slots.iter().filter(|slot| slot.deal.is_some()) {
            let numbers = self
                .deals
                .get(&slot.deal_hash)
                .map(|numbers| numbers.as_slice())
                .unwrap_or_default();
            numbers.iter().for_each(|number| work.insert(*number));
        }
        found.intersect(work);
    }
}

/// One list condition, turned around.
#[derive(Clone, Debug, Default)]
struct Dimension {
    /// Campaigns that allow every value.
    any: Arc<Bits>,
    allow: Arc<ByHash<Arc<Bits>>>,
    block: Arc<ByHash<Arc<Bits>>>,
}

impl Dimension {
    fn insert(&mut self, number: usize, list: &List, room: usize) {
        if list.allow.is_empty() {
            Arc::make_mut(&mut self.any).insert(number);
        }
        for (values, sets) in [(&list.allow, &mut self.allow), (&list.block, &mut self.block)] {
            if values.is_empty() {
                continue;
            }
            let sets = Arc::make_mut(sets);
            for value in values {
                let set = sets.entry(*value).or_insert_with(|| Arc::new(Bits::empty(room)));
                Arc::make_mut(set).insert(number);
            }
        }
    }

    fn remove(&mut self, number: usize, list: &List) {
        if list.allow.is_empty() {
            Arc::make_mut(&mut self.any).remove(number);
        }
        for (values, sets) in [(&list.allow, &mut self.allow), (&list.block, &mut self.block)] {
            if values.is_empty() {
                continue;
            }
            let sets = Arc::make_mut(sets);
            for value in values {
                if let Some(set) = sets.get_mut(value) {
                    Arc::make_mut(set).remove(number);
                }
            }
        }
    }

    /// As [`List::admits`] for each campaign of `found`.
    fn narrow(&self, values: &[u64], found: &mut Bits, work: &mut Bits) {
        if !self.allow.is_empty() {
            work.copy_from(&self.any);
            values
                .iter()
                .filter_map(|value| self.allow.get(value))
                .for_each(|allowed| work.union(allowed));
            found.intersect(work);
        }
        values
            .iter()
            .filter_map(|value| self.block.get(value))
            .for_each(|blocked| found.subtract(blocked));
    }
}
