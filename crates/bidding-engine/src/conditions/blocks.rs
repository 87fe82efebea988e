//! What the publisher does not want to be shown.

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::list::Asked;
use crate::offer::Offer;
use crate::taxonomy::Category;
use domain::creative::Format;

/// `btype` (OpenRTB 2.6, 3.2.6).
pub(super) fn ad_type_is_allowed(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    let blocked = offer.imp.banner.map(|banner| banner.btype).unwrap_or_default();
    !creative
        .traits
        .banner_types
        .iter()
        .any(|kind| blocked.contains(kind))
}

/// AdCOM "Creative Attributes": expandable by itself, on a click, on a rollover.
const EXPANDABLE: std::ops::RangeInclusive<u16> = 3..=5;
/// OpenRTB 2.6, 3.2.6 `expdir`: left, right, up, down.
const EVERY_DIRECTION: std::ops::RangeInclusive<u16> = 1..=4;

/// `battr` of the object that the creative answers, and `expdir` of a banner: since a creative does not say in which
/// direction it expands, one that does fits only where none is ruled out.
pub(super) fn attributes_are_allowed(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    let blocked = match creative.format {
        Format::Banner => offer.imp.banner.map(|banner| banner.battr),
        Format::Video | Format::Audio => offer.media(creative.format).map(|media| media.battr),
        Format::Native => offer.imp.native.map(|native| native.battr),
    };
    let blocked = blocked.unwrap_or_default();
    let attributes = &creative.traits.attributes;
    let is_blocked = attributes.iter().any(|attribute| blocked.contains(attribute));
    let banner = offer.imp.banner.filter(|_| creative.format == Format::Banner);
    let expdir = banner.map(|banner| banner.expdir).unwrap_or_default();
    let may_expand = expdir.is_empty() || EVERY_DIRECTION.into_iter().all(|way| expdir.contains(&way));
    !is_blocked && (may_expand || !attributes.iter().any(|attribute| EXPANDABLE.contains(attribute)))
}

/// `bcat` and `acat` in taxonomy `cattax`; a parent stands for its children. A creative with a category that the taxonomy
/// has nothing for cannot be shown to be allowed.
pub(super) fn categories_are_allowed(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    let facts = offer.ask.facts;
    let taxonomy = i64::from(offer.ask.request.cattax);
    let categories = &creative.traits.category_words;
    let is_listed =
        |list: &Asked, category: &Category| category.words.iter().any(|word| list.contains(*word));
    let is_blocked = !facts.bcat.is_empty()
        && (categories
            .iter()
            .any(|category| !category.is_comparable(creative.traits.cattax, taxonomy))
            || facts.bcat.may_contain_any(creative.traits.categories_seen)
                && categories.iter().any(|category| is_listed(&facts.bcat, category)));
    let is_allowed = facts.acat.is_empty()
        || !categories.is_empty() && categories.iter().all(|category| is_listed(&facts.acat, category));
    !is_blocked && is_allowed
}

/// `badv`: a domain covers its subdomains.
pub(super) fn advertiser_is_allowed(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    let badv = &offer.ask.facts.badv;
    !badv.may_contain_any(creative.adomain.seen)
        || !creative.adomain.words().any(|domain| badv.contains(domain))
}

/// `bapp`, compared with the app whose store page the creative leads to.
pub(super) fn app_is_allowed(_: &CompiledCampaign, creative: &CompiledCreative, offer: &Offer<'_>) -> bool {
    let blocked = &offer.ask.facts.bapp;
    let bundle = creative.bundle.as_ref();
    bundle.is_none_or(|bundle| !blocked.contains(**bundle))
}

/// `wlang` and `wlangb`. A creative that does not say its language is in none of those asked for.
pub(super) fn language_is_allowed(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    let allowed = &offer.ask.facts.allowed_languages;
    allowed.is_empty()
        || creative
            .traits
            .language_word
            .is_some_and(|language| allowed.contains(language))
}
