//! What the index has to do for one imp: found once, then done block by block as far as the search goes.

use super::set::Member;
use super::{Dimension, Index};
use crate::bits::{Bits, Block, EMPTY_BLOCK};
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
    /// Sets that must all have the campaign: what the steps come to where it is no more than that.
    required: ArenaVec<'a, &'a Bits>,
    /// Of the others their position, in the request's steps and then the imp's.
    others: ArenaVec<'a, usize>,
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
        let members = deals
            .flat_map(|slot| slot.deal_hashes)
            .filter_map(|hash| index.deals.get(&hash));
        steps.push(Step {
            reason: NoBidReason::Deal,
            allow: Some(Allow {
                any: is_open.then_some(&*index.open_auction),
                members: ArenaVec::from_iter_in(members.map(|set| Member::new(set)), arena),
            }),
            block: ArenaVec::new_in(arena),
            concerns: None,
        });
        let formats = offer.format_words();
        steps.push(Step::of_words(
            NoBidReason::Format,
            &index.formats,
            formats.as_slice(),
            arena,
        ));
        let mut sizes = ArenaVec::new_in(arena);
        offer.size_words(|word| sizes.push(word));
        // The last, since its words may be too many: what they let through is looked at once more.
        steps.push(Step::of_words(
            NoBidReason::NoFittingSize,
            &index.sizes,
            &sizes,
            arena,
        ));
        let mut plan = Self {
            of_request,
            steps,
            required: ArenaVec::with_capacity_in(LISTS.len() + 3, arena),
            others: ArenaVec::with_capacity_in(LISTS.len() + 3, arena),
        };
        plan.sort();
        plan
    }

    fn sort(&mut self) {
        for (at, step) in self.of_request.steps.iter().chain(&self.steps).enumerate() {
            match step.required() {
                // Every word of a size is of a format that is offered.
                _ if step.reason == NoBidReason::Format => {}
                Some(required) => self.required.push(required),
                None => self.others.push(at),
            }
        }
    }

    pub(crate) fn blocks(&self) -> usize {
        self.of_request.index.active.blocks()
    }

    /// The campaigns of the block that pass. The blocks are asked for in rising order.
    pub(crate) fn find(&self, at: usize) -> Block {
        let mut left = *self.of_request.index.active.block(at);
        for required in &self.required {
            left.intersect(required.block(at));
        }
        if left.is_empty() {
            return left;
        }
        let steps_of_request = self.of_request.steps.len();
        for position in &self.others {
            let step = match position.checked_sub(steps_of_request) {
                None => &self.of_request.steps[*position],
                Some(position) => &self.steps[position],
            };
            step.narrow(at, &mut left);
        }
        left
    }

    /// The condition at which the last campaign of all dropped out, where none passes: one condition after the other,
    /// which takes more time. Asked after the last [`Plan::find`].
    pub(crate) fn reason(&self) -> NoBidReason {
        let reasons = (0..self.blocks()).map(|at| self.reason_of(at));
        reasons.max().unwrap_or(NoBidReason::NoActiveCampaign)
    }

    fn reason_of(&self, at: usize) -> NoBidReason {
        let mut left = *self.of_request.index.active.block(at);
        let mut reason = NoBidReason::NoActiveCampaign;
        for step in self.of_request.steps.iter().chain(&self.steps) {
            if left.is_empty() {
                break;
            }
            reason = step.reason;
            step.narrow(at, &mut left);
        }
        reason
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

    /// Of words of which every campaign has some: nobody takes any.
    fn of_words(reason: NoBidReason, dimension: &'a Dimension, words: &[u64], arena: &'a Bump) -> Self {
        let found = words.iter().filter_map(|word| dimension.allow.get(word));
        Self {
            reason,
            allow: Some(Allow {
                any: None,
                members: ArenaVec::from_iter_in(found.map(|set| Member::new(set)), arena),
            }),
            block: ArenaVec::new_in(arena),
            concerns: None,
        }
    }

    /// The set that must have the campaign, where that is all.
    fn required(&self) -> Option<&'a Bits> {
        let allow = self
            .allow
            .as_ref()
            .filter(|_| self.block.is_empty() && self.concerns.is_none())?;
        match (allow.any, allow.members.as_slice()) {
            (Some(any), []) => Some(any),
            (None, [only]) => only.dense(),
            _ => None,
        }
    }

    #[inline]
    fn narrow(&self, at: usize, found: &mut Block) {
        let before = *found;
        if let Some(allow) = &self.allow {
            allow.narrow(at, found);
        }
        self.block.iter().for_each(|member| member.take_from(found, at));
        if let Some(concerned) = self.concerns {
            let mut others = before;
            others.subtract(concerned.block(at));
            found.union(&others);
        }
    }
}

impl Allow<'_> {
    #[inline]
    fn narrow(&self, at: usize, found: &mut Block) {
        let any = self.any.map_or(&EMPTY_BLOCK, |any| any.block(at));
        // Most of the sets are small, and have nobody in most of the blocks.
        if !self.members.iter().any(|member| member.touches(at)) {
            return found.intersect(any);
        }
        let mut allowed = *any;
        self.members
            .iter()
            .for_each(|member| member.add_to(&mut allowed, at));
        found.intersect(&allowed);
    }
}
