//! Asks only the conditions that somebody can fail, by a bit each: those that the campaign can fail at all, and those that
//! the opportunity asks of anybody, less the few that a look at both shows to hold.

use super::{CAMPAIGN, CREATIVE, Condition, SLOT};
use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::offer::{Floor, Offer, Slot};
use crate::reason::NoBidReason;

/// The conditions of one of the tables that somebody can fail, a bit each.
pub(crate) type Conditions = u32;

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
    if !facts.badv.may_contain_any(&creative.domains) {
        left &= !bit!(CREATIVE, BlockedAdvertiser);
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
