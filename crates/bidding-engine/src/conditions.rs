//! The conditions of a bid, each once, in the fixed order in which they are evaluated and reported.
//!
//! A campaign drops out of an opportunity at the first condition that fails; for those of a creative, at
//! the one where its last creative drops out of its last slot. The reason of the opportunity is the
//! latest condition at which any campaign dropped out: that one left nobody. So the order here and the
//! order of [`NoBidReason`] are one, and nothing may depend on who evaluates them: search, oracle or
//! explanation.

mod asked;
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
use crate::list::ListOf;
use crate::offer::{Floor, Offer, Slot};
use crate::reason::NoBidReason::{self, *};
use domain::creative::Format;

pub(crate) use asked::{
    AllConditions, Conditions, all_conditions, campaign_fails, card_passes, creative_fails, slot_fails,
};
pub(crate) use indexed::{LISTS, failing, has_fitting_size};
pub use native::answers_native_asset;
pub(crate) use price::{Quote, floor_cpm_micros, floor_of_all, quote, value_cpm_micros};

/// A condition: its reason, whether it holds (`true`: the campaign stays in), which campaigns or creatives can fail it
/// at all, and in which opportunities anybody can. The search asks only where somebody can fail; the oracle and the
/// explanation always ask, so that tests compare the two.
pub(crate) struct Condition<Holds, CanFail, IsAsked>(
    pub(crate) NoBidReason,
    pub(crate) Holds,
    pub(crate) CanFail,
    pub(crate) IsAsked,
);

type OfCampaign = Condition<
    fn(&CompiledCampaign, &Offer<'_>) -> bool,
    fn(&CompiledCampaign) -> bool,
    fn(&Offer<'_>) -> bool,
>;
type OfCreative = Condition<
    fn(&CompiledCampaign, &CompiledCreative, &Offer<'_>) -> bool,
    fn(&CompiledCampaign, &CompiledCreative) -> bool,
    fn(&Offer<'_>) -> bool,
>;
type OfSlot = Condition<
    fn(&CompiledCampaign, &CompiledCreative, &Offer<'_>, &Slot) -> bool,
    fn(&CompiledCampaign) -> bool,
    fn(&Slot) -> bool,
>;

pub(crate) const CAMPAIGN: &[OfCampaign] = &[
    Condition(
        OutOfFlight,
        |campaign, offer| campaign.span.contains(offer.ask.now.unix_ms),
        |_| true,
        |_| true,
    ),
    Condition(
        DayPart,
        |campaign, offer| {
            let schedule = campaign.schedule.as_ref();
            schedule.is_none_or(|schedule| schedule.covers(offer.ask.now.unix_ms))
        },
        |campaign| campaign.schedule.is_some(),
        |_| true,
    ),
    Condition(
        CurrencyRate,
        |campaign, offer| value_cpm_micros(campaign, offer.ask).is_some(),
        |_| true,
        |_| true,
    ),
    Condition(
        Seat,
        party::seat_may_bid,
        |_| true,
        |offer| !offer.ask.request.wseat.is_empty() || !offer.ask.request.bseat.is_empty(),
    ),
    Condition(
        Dsa,
        party::can_disclose,
        |_| true,
        |offer| offer.ask.request.regs.dsa.is_some(),
    ),
    Condition(
        Geo,
        |campaign, offer| {
            let geo = campaign.geo.as_ref();
            geo.is_none_or(|geo| geo.admits(&offer.ask.facts.whereabouts))
        },
        |campaign| campaign.geo.is_some(),
        |_| true,
    ),
    Condition(
        AdvertiserRepeated,
        |campaign, offer| !offer.history.advertisers.contains(&campaign.advertiser),
        |_| true,
        |offer| !offer.history.advertisers.is_empty(),
    ),
];

pub(crate) const CREATIVE: &[OfCreative] = &[
    Condition(
        CreativeReview,
        creative::is_approved,
        |_, creative| !creative.traits.unapproved_by.is_empty(),
        |_| true,
    ),
    Condition(CreativeFormat, creative::format_is_offered, |_, _| true, |_| true),
    Condition(
        CreativeTooLarge,
        |_, creative, _| !creative.is_too_large,
        |_, creative| creative.is_too_large,
        |_| true,
    ),
    Condition(
        Placement,
        context::placement_is_wanted,
        |campaign, _| !campaign.list(ListOf::Placements).is_any(),
        |_| true,
    ),
    Condition(
        Position,
        context::position_is_wanted,
        |campaign, _| !campaign.list(ListOf::Positions).is_any(),
        |_| true,
    ),
    Condition(
        Size,
        creative::size_is_offered,
        |_, creative| creative.format == Format::Banner,
        |offer| offer.imp.banner.is_some(),
    ),
    Condition(
        SizeTargeting,
        creative::size_is_wanted,
        |campaign, _| !campaign.list(ListOf::Sizes).is_any(),
        |_| true,
    ),
    Condition(Linearity, media::is_linear, is_played, has_player),
    Condition(Duration, media::duration_fits, is_played, has_player),
    Condition(Protocol, media::protocol_is_supported, is_played, has_player),
    Condition(Mime, media::mime_is_supported, is_played, has_player),
    Condition(
        Api,
        media::apis_are_supported,
        |_, creative| !creative.traits.apis.is_empty(),
        |_| true,
    ),
    Condition(
        NativeAssets,
        native::has_required_assets,
        |_, creative| creative.format == Format::Native,
        |_| true,
    ),
    Condition(
        BlockedAdType,
        blocks::ad_type_is_allowed,
        |_, creative| !creative.traits.banner_types.is_empty(),
        |offer| offer.imp.banner.is_some_and(|banner| !banner.btype.is_empty()),
    ),
    Condition(
        BlockedAttribute,
        blocks::attributes_are_allowed,
        |_, creative| !creative.traits.attributes.is_empty(),
        |_| true,
    ),
    Condition(
        BlockedCategory,
        blocks::categories_are_allowed,
        |_, _| true,
        |offer| !offer.ask.facts.bcat.is_empty() || !offer.ask.facts.acat.is_empty(),
    ),
    Condition(
        BlockedAdvertiser,
        blocks::advertiser_is_allowed,
        |_, creative| !creative.adomain.names.is_empty(),
        |offer| !offer.ask.facts.badv.is_empty(),
    ),
    Condition(
        BlockedApp,
        blocks::app_is_allowed,
        |_, creative| creative.bundle.is_some(),
        |offer| !offer.ask.facts.bapp.is_empty(),
    ),
    Condition(
        CreativeLanguage,
        blocks::language_is_allowed,
        |_, _| true,
        |offer| !offer.ask.facts.allowed_languages.is_empty(),
    ),
    Condition(
        NotSecure,
        |_, creative, offer| !offer.imp.secure || creative.is_secure,
        |_, creative| !creative.is_secure,
        |offer| offer.imp.secure,
    ),
    Condition(
        PodCategory,
        creative::is_new_to_pod,
        |_, creative| !creative.traits.category_words.is_empty(),
        |offer| !offer.history.pod_categories.is_empty(),
    ),
];

pub(crate) const SLOT: &[OfSlot] = &[
    Condition(PodRoom, media::has_room, |_| true, |slot| slot.filled.ads > 0),
    Condition(
        DealSeat,
        party::seat_may_bid_in_deal,
        |_| true,
        |slot| slot.deal.is_some(),
    ),
    Condition(
        DealAdvertiser,
        party::advertiser_may_bid_in_deal,
        |_| true,
        |slot| slot.deal.is_some(),
    ),
    Condition(
        FloorCurrency,
        |_, creative, offer, slot| price::floor_cpm_micros(creative, offer, slot).is_some(),
        |_| true,
        |slot| !matches!(slot.floor, Floor::Flat { .. }),
    ),
    Condition(
        NoBidReason::Floor,
        price::reaches_floor,
        |_| true,
        |slot| slot.floor != Floor::Flat { cpm_micros: 0 },
    ),
    Condition(
        Price,
        |campaign, creative, offer, slot| quote(campaign, creative, offer, slot).is_some(),
        |_| true,
        |_| true,
    ),
    Condition(
        FrequencyCap,
        |campaign, creative, offer, _| user::is_below_caps(campaign, creative, offer),
        |campaign| !campaign.record.frequency_caps.is_empty(),
        |_| true,
    ),
];

fn is_played(_: &CompiledCampaign, creative: &CompiledCreative) -> bool {
    matches!(creative.format, Format::Video | Format::Audio)
}

fn has_player(offer: &Offer<'_>) -> bool {
    offer.imp.video.is_some() || offer.imp.audio.is_some()
}

/// Position of the published day that holds the instant: the day that pays.
pub(crate) fn day(campaign: &CompiledCampaign, now_ms: i64) -> Option<usize> {
    campaign.record.days.iter().position(|day| day.contains(now_ms))
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
            .chain([Deal, NoBidReason::Format, NoFittingSize])
            .chain(CAMPAIGN.iter().map(|Condition(reason, ..)| *reason))
            .chain(CREATIVE.iter().map(|Condition(reason, ..)| *reason))
            .chain(SLOT.iter().map(|Condition(reason, ..)| *reason))
            .chain([NoLease, Paced, Budget])
            .collect();
        let of_campaigns = NoBidReason::ALL
            .iter()
            .position(|reason| *reason == UnsupportedCurrency);
        assert_eq!(tables, NoBidReason::ALL[of_campaigns.unwrap()..]);
    }
}
