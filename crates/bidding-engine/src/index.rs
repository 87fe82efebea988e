//! Which campaigns pass the conditions of [`crate::conditions::INDEXED`], for many of them at once: a set of campaigns for
//! each value of a condition, combined block by block in the order of the campaigns' numbers, as far as a search goes.

mod plan;
mod set;

use crate::bits::Bits;
use crate::campaign::CompiledCampaign;
use crate::conditions::LISTS;
use crate::hash::HashedBy;
use crate::list::{List, ListOf};
use set::Set;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use plan::{Plan, RequestPlan};

/// By a text's hash, which is not hashed again.
type Sets = HashMap<u64, Arc<Set>, HashedBy>;

/// Copies share what is equal: putting a campaign in or taking it out copies the sets that it is in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Numbers are below.
    room: usize,
    active: Arc<Bits>,
    /// Parallel to [`LISTS`].
    lists: Vec<Dimension>,
    needing_user_state: Arc<Set>,
    formats: Dimension,
    sizes: Dimension,
    open_auction: Arc<Bits>,
    deals: Arc<Sets>,
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
            lists: LISTS.iter().map(|_| dimension()).collect(),
            needing_user_state: Arc::default(),
            formats: dimension(),
            sizes: dimension(),
            open_auction: none(),
            deals: Arc::default(),
        }
    }

    pub(crate) fn insert(&mut self, number: usize, campaign: &CompiledCampaign) {
        if campaign.record.is_active {
            Arc::make_mut(&mut self.active).insert(number);
        }
        if campaign.needs_user_state {
            Arc::make_mut(&mut self.needing_user_state).insert(number, self.room);
        }
        if campaign.open_auction {
            Arc::make_mut(&mut self.open_auction).insert(number);
        }
        let deals = campaign.list(ListOf::Deals).allow;
        insert(&mut self.deals, deals, number, self.room);
        let room = self.room;
        self.lists(campaign)
            .for_each(|(dimension, list)| dimension.insert(number, list, room));
        self.formats.insert(number, campaign.formats().as_list(), room);
        self.sizes
            .insert(number, campaign.fitting_sizes().as_list(), room);
    }

    /// `campaign` is the one that was put in under the number.
    pub(crate) fn remove(&mut self, number: usize, campaign: &CompiledCampaign) {
        if campaign.record.is_active {
            Arc::make_mut(&mut self.active).remove(number);
        }
        if campaign.needs_user_state {
            Arc::make_mut(&mut self.needing_user_state).remove(number);
        }
        if campaign.open_auction {
            Arc::make_mut(&mut self.open_auction).remove(number);
        }
        remove(&mut self.deals, campaign.list(ListOf::Deals).allow, number);
        self.lists(campaign)
            .for_each(|(dimension, list)| dimension.remove(number, list));
        self.formats.remove(number, campaign.formats().as_list());
        self.sizes.remove(number, campaign.fitting_sizes().as_list());
    }

    /// Whether any campaign asks for the deal.
    pub(crate) fn knows_deal(&self, deal_hashes: [u64; 2]) -> bool {
        deal_hashes.iter().any(|hash| self.deals.contains_key(hash))
    }

    fn lists<'a>(
        &'a mut self,
        campaign: &'a CompiledCampaign,
    ) -> impl Iterator<Item = (&'a mut Dimension, List<'a>)> {
        let lists = LISTS.iter().map(|list| campaign.list(list.of));
        self.lists.iter_mut().zip(lists)
    }
}

/// One list condition, turned around.
#[derive(Clone, Debug, Default)]
struct Dimension {
    /// Campaigns that allow every value.
    any: Arc<Bits>,
    allow: Arc<Sets>,
    block: Arc<Sets>,
}

impl Dimension {
    fn insert(&mut self, number: usize, list: List<'_>, room: usize) {
        if list.allow.is_empty() {
            Arc::make_mut(&mut self.any).insert(number);
        }
        insert(&mut self.allow, list.allow, number, room);
        insert(&mut self.block, list.block, number, room);
    }

    fn remove(&mut self, number: usize, list: List<'_>) {
        if list.allow.is_empty() {
            Arc::make_mut(&mut self.any).remove(number);
        }
        remove(&mut self.allow, list.allow, number);
        remove(&mut self.block, list.block, number);
    }
}

fn insert(sets: &mut Arc<Sets>, values: &[u64], number: usize, room: usize) {
    if values.is_empty() {
        return;
    }
    let sets = Arc::make_mut(sets);
    for value in values {
        Arc::make_mut(sets.entry(*value).or_default()).insert(number, room);
    }
}

fn remove(sets: &mut Arc<Sets>, values: &[u64], number: usize) {
    if values.is_empty() {
        return;
    }
    let sets = Arc::make_mut(sets);
    for value in values {
        if let Some(set) = sets.get_mut(value) {
            Arc::make_mut(set).remove(number);
        }
    }
}
