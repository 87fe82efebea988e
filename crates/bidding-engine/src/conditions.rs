//! The conditions of a bid, each once, in the fixed order in which they are evaluated and reported.
//!
//! A campaign drops out of an opportunity at the first condition that fails; for those of a creative, at
//! the one where its last creative drops out of its last slot. The reason of the opportunity is the
//! latest condition at which any campaign dropped out: that one left nobody. So the order here and the
//! order of [`NoBidReason`] are one, and nothing may depend on who evaluates them: search, oracle or
//! explanation.

mod blocks;
mod context;
mod creative;
mod indexed;
mod media;
mod native;
mod party;
mod price;
mod user;

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::offer::{Offer, Slot};
use crate::reason::NoBidReason::{self, *};
use domain::period;

pub(crate) use indexed::{LISTS, failing, has_fitting_size};
pub use media::protocols;
pub use native::answers_native_asset;
pub(crate) use price::{quote, value_cpm_micros};

/// `true` means that the campaign stays in.
pub(crate) type CampaignCondition = fn(&CompiledCampaign, &Offer<'_>) -> bool;
pub(crate) type CreativeCondition = fn(&CompiledCampaign, &CompiledCreative, &Offer<'_>) -> bool;
pub(crate) type SlotCondition = fn(&CompiledCampaign, &CompiledCreative, &Offer<'_>, &Slot) -> bool;

pub(crate) const CAMPAIGN: &[(NoBidReason, CampaignCondition)] = &[
    (OutOfFlight, |campaign, offer| {
        is_in_flight(campaign, offer.ask.now.unix_ms)
    }),
    (DayPart, |campaign, offer| {
        campaign
            .schedule
            .as_ref()
            .is_none_or(|schedule| schedule.covers(offer.ask.now.unix_ms))
    }),
    (CurrencyRate, |campaign, offer| {
        value_cpm_micros(campaign, offer.ask).is_some()
    }),
    (Seat, party::seat_may_bid),
    (Dsa, party::can_disclose),
    (Geo, |campaign, offer| {
        campaign.geo.admits(&offer.ask.facts.whereabouts)
    }),
    (AdvertiserRepeated, |campaign, offer| {
        !offer.history.advertisers.contains(&campaign.advertiser)
    }),
];

pub(crate) const CREATIVE: &[(NoBidReason, CreativeCondition)] = &[
    (CreativeReview, creative::is_approved),
    (CreativeFormat, creative::format_is_offered),
    (CreativeTooLarge, |_, creative, _| !creative.is_too_large),
    (Placement, context::placement_is_wanted),
    (Position, context::position_is_wanted),
    (Size, creative::size_is_offered),
    (SizeTargeting, creative::size_is_wanted),
    (Linearity, media::is_linear),
    (Duration, media::duration_fits),
    (Protocol, media::protocol_is_supported),
    (Mime, media::mime_is_supported),
    (Api, media::apis_are_supported),
    (NativeAssets, native::has_required_assets),
    (BlockedAdType, blocks::ad_type_is_allowed),
    (BlockedAttribute, blocks::attributes_are_allowed),
    (BlockedCategory, blocks::categories_are_allowed),
    (BlockedAdvertiser, blocks::advertiser_is_allowed),
    (BlockedApp, blocks::app_is_allowed),
    (CreativeLanguage, blocks::language_is_allowed),
    (NotSecure, |_, creative, offer| {
        !offer.imp.secure || creative.is_secure
    }),
    (PodCategory, creative::is_new_to_pod),
];

pub(crate) const SLOT: &[(NoBidReason, SlotCondition)] = &[
    (DealSeat, party::seat_may_bid_in_deal),
    (DealAdvertiser, party::advertiser_may_bid_in_deal),
    (FloorCurrency, |_, creative, offer, slot| {
        price::floor_cpm_micros(creative, offer, slot).is_some()
    }),
    (Floor, price::reaches_floor),
    (Price, |campaign, creative, offer, slot| {
        quote(campaign, creative, offer, slot).is_some()
    }),
    (FrequencyCap, |campaign, creative, offer, _| {
        user::is_below_caps(campaign, creative, offer)
    }),
];

fn is_in_flight(campaign: &CompiledCampaign, now_ms: i64) -> bool {
    period::in_flight(&campaign.serving.campaign.spec, now_ms) && day(campaign, now_ms).is_some()
}

/// Position of the published day that holds the instant: the day that pays.
pub(crate) fn day(campaign: &CompiledCampaign, now_ms: i64) -> Option<usize> {
    campaign.serving.days.iter().position(|day| day.contains(now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_stand_in_the_order_of_the_reasons_and_none_is_missing() {
        let (audience, other_lists) = LISTS.split_last().unwrap();
        let tables: Vec<NoBidReason> = [UnsupportedCurrency, NoActiveCampaign]
            .into_iter()
            .chain(other_lists.iter().map(|list| list.reason))
            .chain([UserStateUnavailable, audience.reason])
            .chain([Deal, Format, NoFittingSize])
            .chain(CAMPAIGN.iter().map(|(reason, _)| *reason))
            .chain(CREATIVE.iter().map(|(reason, _)| *reason))
            .chain(SLOT.iter().map(|(reason, _)| *reason))
            .chain([NoLease, Paced, Budget])
            .collect();
        assert_eq!(tables, NoBidReason::ALL[1..]);
    }
}
