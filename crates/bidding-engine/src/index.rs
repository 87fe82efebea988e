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

#[derive(Debug, Default)]
pub(crate) struct Index {
    active: Bits,
    exchanges: Dimension,
    inventory: Dimension,
    countries: Dimension,
    devices: Dimension,
    formats: Dimension,
    open_auction: Bits,
    /// Deals have few campaigns each: numbers, rising.
    deals: ByHash<Vec<usize>>,
}

impl Index {
    pub(crate) fn build(campaigns: &[Arc<CompiledCampaign>]) -> Self {
        let set = |holds: fn(&CompiledCampaign) -> bool| {
            let mut bits = Bits::empty(campaigns.len());
            campaigns
                .iter()
                .enumerate()
                .filter(|(_, campaign)| holds(campaign))
                .for_each(|(number, _)| bits.insert(number));
            bits
        };
        let mut deals: ByHash<Vec<usize>> = ByHash::default();
        for (number, campaign) in campaigns.iter().enumerate() {
            for deal in &campaign.deals {
                deals.entry(*deal).or_default().push(number);
            }
        }
        Self {
            active: set(|campaign| campaign.is_active),
            exchanges: Dimension::build(campaigns, |campaign| &campaign.exchanges),
            inventory: Dimension::build(campaigns, |campaign| &campaign.inventory),
            countries: Dimension::build(campaigns, |campaign| &campaign.countries),
            devices: Dimension::build(campaigns, |campaign| &campaign.devices),
            formats: Dimension::build(campaigns, |campaign| &campaign.formats),
            open_auction: set(|campaign| campaign.open_auction),
            deals,
        }
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
                .map(Vec::as_slice)
                .unwrap_or_default();
            numbers.iter().for_each(|number| work.insert(*number));
        }
        found.intersect(work);
    }
}

/// One list condition, turned around.
#[derive(Debug, Default)]
struct Dimension {
    /// Campaigns that allow every value.
    any: Bits,
    allow: ByHash<Bits>,
    block: ByHash<Bits>,
}

impl Dimension {
    fn build(campaigns: &[Arc<CompiledCampaign>], list: fn(&CompiledCampaign) -> &List) -> Self {
        let empty = || Bits::empty(campaigns.len());
        let mut dimension = Self {
            any: empty(),
            ..Self::default()
        };
        for (number, list) in campaigns.iter().map(|campaign| list(campaign)).enumerate() {
            if list.allow.is_empty() {
                dimension.any.insert(number);
            }
            for value in &list.allow {
                dimension.allow.entry(*value).or_insert_with(empty).insert(number);
            }
            for value in &list.block {
                dimension.block.entry(*value).or_insert_with(empty).insert(number);
            }
        }
        dimension
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
