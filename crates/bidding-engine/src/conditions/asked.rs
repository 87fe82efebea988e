//! Asks only the conditions that somebody can fail, by a bit each: those that the campaign can fail at all, and those that
//! the opportunity asks of anybody, less the few that a look at both shows to hold.

use super::{CAMPAIGN, CREATIVE, Condition, SLOT};
use crate::campaign::CompiledCampaign;
use crate::card::Card;
use crate::creative::CompiledCreative;
use crate::offer::{Floor, Offer, Slot};
use crate::reason::NoBidReason;

/// The conditions of one of the tables that somebody can fail, a bit each.
pub(crate) type Conditions = u32;

/// Those of all three, in one word.
pub(crate) type AllConditions = u64;

const OF_SLOTS: u32 = 16;
const OF_CREATIVES: u32 = 32;
const _: () = assert!(CAMPAIGN.len() <= 16 && SLOT.len() <= 16 && CREATIVE.len() <= 32);

pub(crate) fn all_conditions(
    of_campaign: Conditions,
    of_creative: Conditions,
    in_slot: Conditions,
) -> AllConditions {
    AllConditions::from(of_campaign)
        | AllConditions::from(in_slot) << OF_SLOTS
        | AllConditions::from(of_creative) << OF_CREATIVES
}

fn those(can_fail: impl Iterator<Item = bool>) -> Conditions {
    can_fail
        .enumerate()
        .fold(0, |found, (at, can_fail)| found | (u32::from(can_fail) << at))
}

fn positions(mut left: Conditions) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        (at < Conditions::BITS).then_some(at as usize)
    })
}

impl CompiledCampaign {
    pub(crate) fn may_fail(&self) -> Conditions {
        those(CAMPAIGN.iter().map(|Condition(_, _, can_fail, _)| can_fail(self)))
    }

    pub(crate) fn creative_may_fail(&self, creative: &CompiledCreative) -> Conditions {
        those(
            CREATIVE
                .iter()
                .map(|Condition(_, _, can_fail, _)| can_fail(self, creative)),
        )
    }

    pub(crate) fn may_fail_in_slot(&self) -> Conditions {
        those(SLOT.iter().map(|Condition(_, _, can_fail, _)| can_fail(self)))
    }
}

impl Offer<'_> {
    pub(crate) fn asked_of_campaigns(&self) -> Conditions {
        those(CAMPAIGN.iter().map(|Condition(_, _, _, is_asked)| is_asked(self)))
    }

    pub(crate) fn asked_of_creatives(&self) -> Conditions {
        those(CREATIVE.iter().map(|Condition(_, _, _, is_asked)| is_asked(self)))
    }
}

impl Slot {
    pub(crate) fn asked_in_slot(&self) -> Conditions {
        those(SLOT.iter().map(|Condition(_, _, _, is_asked)| is_asked(self)))
    }
}

/// Where a condition stands in its table.
macro_rules! bit {
    ($table:ident, $reason:ident) => {
        const {
            let mut at = 0;
            while $table[at].0 as u8 != NoBidReason::$reason as u8 {
                at += 1;
            }
            1 << at
        }
    };
}

/// Whether a campaign passes all conditions in a slot of the open auction, as far as its card shows. False says nothing:
/// then they are to be asked one by one.
#[inline]
pub(crate) fn card_passes(card: &Card, offer: &Offer<'_>, slot: &Slot) -> bool {
    let facts = offer.ask.facts;
    let asked = all_conditions(offer.asked_of_campaigns, offer.asked_of_creatives, slot.asked);
    let mut left = card.may_fail & asked;
    let mut holds = |bit: AllConditions, holds: bool| left &= !(AllConditions::from(holds) * bit);
    holds(
        bit!(CAMPAIGN, OutOfFlight),
        card.flight.contains(offer.ask.now.unix_ms),
    );
    holds(bit!(CAMPAIGN, CurrencyRate), true);
    holds(
        bit!(CREATIVE, CreativeFormat) << OF_CREATIVES,
        offer.formats.contains(card.format),
    );
    // The index has compared it.
    holds(bit!(CREATIVE, Size) << OF_CREATIVES, offer.size_words_say_all);
    holds(
        bit!(CREATIVE, BlockedAdvertiser) << OF_CREATIVES,
        !facts.badv.may_contain_any(card.domains_seen),
    );
    let is_comparable = facts.bcat.is_empty() || card.spaces & offer.category_space != 0;
    let is_on_no_list = facts.acat.is_empty() && !facts.bcat.may_contain_any(card.categories_seen);
    holds(
        bit!(CREATIVE, BlockedCategory) << OF_CREATIVES,
        is_comparable && is_on_no_list,
    );
    let reaches_floor = matches!(slot.floor, Floor::Flat { cpm_micros } if cpm_micros <= card.max_cpm_micros);
    holds(bit!(SLOT, Floor) << OF_SLOTS, reaches_floor);
    holds(
        bit!(SLOT, Price) << OF_SLOTS,
        card.has_plain_price && slot.has_plain_price,
    );
    left == 0 && card.currency == offer.ask.currency && offer.formats.has_none_of(card.other_formats)
}

/// The first of the campaign's own conditions that fails.
#[inline]
pub(crate) fn campaign_fails(campaign: &CompiledCampaign, offer: &Offer<'_>) -> Option<NoBidReason> {
    let mut left = campaign.may_fail & offer.asked_of_campaigns;
    if campaign.span.contains(offer.ask.now.unix_ms) {
        left &= !bit!(CAMPAIGN, OutOfFlight);
    }
    if campaign.currency == offer.ask.currency {
        left &= !bit!(CAMPAIGN, CurrencyRate);
    }
    positions(left)
        .map(|at| &CAMPAIGN[at])
        .find(|Condition(_, holds, ..)| !holds(campaign, offer))
        .map(|Condition(reason, ..)| *reason)
}

/// The first of the creative's that fails.
#[inline]
pub(crate) fn creative_fails(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> Option<NoBidReason> {
    let facts = offer.ask.facts;
    let mut left = creative.may_fail & offer.asked_of_creatives;
    if offer.formats.contains(creative.format) {
        left &= !bit!(CREATIVE, CreativeFormat);
    }
    let names = bit!(CREATIVE, BlockedAdvertiser);
    if left & names != 0 && !facts.badv.may_contain_any(creative.adomain.seen) {
        left &= !names;
    }
    positions(left)
        .map(|at| &CREATIVE[at])
        .find(|Condition(_, holds, ..)| !holds(campaign, creative, offer))
        .map(|Condition(reason, ..)| *reason)
}

/// The first of those of a creative in a slot that fails.
#[inline]
pub(crate) fn slot_fails(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
    slot: &Slot,
) -> Option<NoBidReason> {
    let mut left = campaign.may_fail_in_slot & slot.asked;
    if campaign.currency == offer.ask.currency {
        if matches!(slot.floor, Floor::Flat { cpm_micros } if cpm_micros <= campaign.max_cpm_micros) {
            left &= !bit!(SLOT, Floor);
        }
        if campaign.has_plain_price && slot.has_plain_price {
            left &= !bit!(SLOT, Price);
        }
    }
    positions(left)
        .map(|at| &SLOT[at])
        .find(|Condition(_, holds, ..)| !holds(campaign, creative, offer, slot))
        .map(|Condition(reason, ..)| *reason)
}
