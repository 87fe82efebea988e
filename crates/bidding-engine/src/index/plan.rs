//! What the index has to do for one imp: found once, then done block by block as far as the search goes.

use super::set::Member;
use super::{Dimension, Index};
use crate::bits::{self, Bits, Block, EMPTY_BLOCK};
use crate::conditions::LISTS;
use crate::offer::{Ask, Offer};
use crate::reason::NoBidReason;
use crate::user::UserView;
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use openrtb::request::InventoryKind;

/// The steps that all imps of a request share.
#[derive(Debug)]
pub(crate) struct RequestPlan<'a> {
    index: &'a Index,
    steps: ArenaVec<'a, Step<'a>>,
}

/// Those and the imp's own.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    of_request: &'a RequestPlan<'a>,
    steps: ArenaVec<'a, Step<'a>>,
}

/// A condition that some campaign could fail.
#[derive(Debug)]
struct Step<'a> {
    reason: NoBidReason,
    /// None: it blocks only.
    allow: Option<Allow<'a>>,
    block: ArenaVec<'a, Member<'a>>,
    /// Of campaigns outside of this set nothing is asked.
    concerns: Option<&'a Bits>,
}

/// One of these sets must have the campaign.
#[derive(Debug)]
struct Allow<'a> {
    any: Option<&'a Bits>,
    members: ArenaVec<'a, Member<'a>>,
}

impl<'a> RequestPlan<'a> {
    pub(crate) fn new(index: &'a Index, ask: &Ask<'_>, arena: &'a Bump) -> Self {
        let mut plan = Self {
            index,
            steps: ArenaVec::with_capacity_in(LISTS.len() + 1, arena),
        };
        for (list, dimension) in LISTS.iter().zip(&index.lists) {
            if list.reason == NoBidReason::Audience && matches!(ask.user, UserView::Unavailable) {
                plan.steps.push(Step {
                    reason: NoBidReason::UserStateUnavailable,
                    block: bumpalo::vec![in arena; Member::new(&index.needing_user_state)],
                    allow: None,
                    concerns: None,
                });
            }
            let concerns = plan.concerned(list.reason, ask.request.inventory.kind);
            let step = Step::of(list.reason, dimension, (list.values)(ask.facts), arena);
            plan.steps.extend(step.map(|step| Step { concerns, ..step }));
        }
        plan
    }

    /// A campaign with a list of apps to allow does not ask an app for its site, nor the other way round.
    fn concerned(&self, reason: NoBidReason, kind: InventoryKind) -> Option<&'a Bits> {
        let others = match (reason, kind) {
            (NoBidReason::Site, InventoryKind::App) => NoBidReason::App,
            (NoBidReason::App, InventoryKind::Site) => NoBidReason::Site,
            _ => return None,
        };
        let dimensions = LISTS.iter().zip(&self.index.lists);
        dimensions
            .filter(|(list, _)| list.reason == others)
            .map(|(_, dimension)| &*dimension.any)
            .next()
    }
}

impl<'a> Plan<'a> {
    pub(crate) fn new(of_request: &'a RequestPlan<'a>, offer: &Offer<'_>, arena: &'a Bump) -> Self {
        let index = of_request.index;
        let mut steps = ArenaVec::with_capacity_in(3, arena);
        let is_open = offer.slots.iter().any(|slot| slot.deal.is_none());
        let deals = offer.slots.iter().filter(|slot| slot.deal.is_some());
        let members = deals.filter_map(|slot| index.deals.get(&slot.deal_hash));
        steps.push(Step {
            reason: NoBidReason::Deal,
            allow: Some(Allow {
                any: is_open.then_some(&*index.open_auction),
                members: ArenaVec::from_iter_in(members.map(|set| Member::new(set)), arena),
            }),
            block: ArenaVec::new_in(arena),
            concerns: None,
        });
        steps.extend(Step::of(
            NoBidReason::Format,
            &index.formats,
            offer.format_words().as_slice(),
            arena,
        ));
        let mut sizes = ArenaVec::new_in(arena);
        offer.size_words(|word| sizes.push(word));
        // The last, since its words may be too many: what they let through is looked at once more.
        steps.extend(Step::of(NoBidReason::NoFittingSize, &index.sizes, &sizes, arena));
        Self { of_request, steps }
    }

    pub(crate) fn blocks(&self) -> usize {
        self.of_request.index.active.blocks()
    }

    /// Fills `found` with the campaigns of the block that pass. The blocks are asked for in rising order.
    ///
    /// # Errors
    /// The condition at which the last of the block dropped out.
    pub(crate) fn find(&self, at: usize, found: &mut Block) -> Result<(), NoBidReason> {
        *found = *self.of_request.index.active.block(at);
        if bits::is_empty(found) {
            return Err(NoBidReason::NoActiveCampaign);
        }
        for step in self.of_request.steps.iter().chain(&self.steps) {
            step.narrow(at, found);
            if bits::is_empty(found) {
                return Err(step.reason);
            }
        }
        Ok(())
    }
}

impl<'a> Step<'a> {
    /// As [`crate::list::List::admits`]. None: nobody can fail it.
    fn of(reason: NoBidReason, dimension: &'a Dimension, values: &[u64], arena: &'a Bump) -> Option<Self> {
        let members = |sets: &'a super::Sets| {
            let found = values.iter().filter_map(|value| sets.get(value));
            ArenaVec::from_iter_in(found.map(|set| Member::new(set)), arena)
        };
        let allow = (!dimension.allow.is_empty()).then(|| Allow {
            any: Some(&*dimension.any),
            members: members(&dimension.allow),
        });
        let block = members(&dimension.block);
        (allow.is_some() || !block.is_empty()).then_some(Self {
            reason,
            allow,
            block,
            concerns: None,
        })
    }

    #[inline]
    fn narrow(&self, at: usize, found: &mut Block) {
        let before = *found;
        if let Some(allow) = &self.allow {
            let mut allowed = allow.any.map_or(EMPTY_BLOCK, |any| *any.block(at));
            allow
                .members
                .iter()
                .for_each(|member| member.add_to(&mut allowed, at));
            bits::intersect(found, &allowed);
        }
        self.block.iter().for_each(|member| member.take_from(found, at));
        if let Some(concerned) = self.concerns {
            let mut others = before;
            bits::subtract(&mut others, concerned.block(at));
            bits::union(found, &others);
        }
    }
}
