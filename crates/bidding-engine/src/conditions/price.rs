//! Value, floors and price.

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::offer::{Ask, Floor, Offer, Slot, media};
use domain::money::{MULTIPLIER_ONE_MICROS, Terms, convert_down};
use openrtb::request::{Deal, DurFloor, Imp};

/// What a bid costs at most, before it is shaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    /// CPM micros of the bid's currency, above zero.
    pub(crate) price_cpm_micros: i64,
    pub(crate) terms: Terms,
    /// Nanos of the campaign's currency.
    pub(crate) reservation_nanos: i64,
}

/// The campaign's maximum in the bid's currency, rounded down; `None` without a rate between the two.
pub(crate) fn value_cpm_micros(campaign: &CompiledCampaign, ask: &Ask<'_>) -> Option<i64> {
    convert_down(
        campaign.max_cpm_micros,
        ask.exchange.rate_e9(campaign.currency, ask.currency)?,
    )
}

pub(super) fn reaches_floor(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
    slot: &Slot,
) -> bool {
    let value = value_cpm_micros(campaign, offer.ask);
    value
        .zip(floor_cpm_micros(creative, offer, slot))
        .is_some_and(|(value, floor)| floor <= value)
}

/// `None` when the price is nothing (`qty.multiplier` of 0 makes it so) or does not fit into 64 bits of nanos.
pub(crate) fn quote(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
    slot: &Slot,
) -> Option<Quote> {
    let value = value_cpm_micros(campaign, offer.ask)?;
    // The imp's floor is no price that was agreed on.
    let names_its_price = |deal| deal_floor(Some(creative), deal).is_some();
    let is_fixed = slot.is_fixed_price(offer) && slot.deal(offer).is_some_and(names_its_price);
    let fixed = floor_cpm_micros(creative, offer, slot).filter(|floor| *floor > 0 && is_fixed);
    let price_cpm_micros = fixed.unwrap_or(value);
    let multiplier_micros = offer.imp.qty.as_ref().and_then(|qty| qty.multiplier_micros);
    // It stands for any number that is too large: what it would cost is not known.
    if multiplier_micros == Some(i64::MAX) {
        return None;
    }
    let terms = Terms {
        rate_e9: offer
            .ask
            .exchange
            .rate_e9(offer.ask.currency, campaign.currency)?,
        multiplier_micros: multiplier_micros.unwrap_or(MULTIPLIER_ONE_MICROS),
        fee_ppm: campaign.record.fee_ppm,
    };
    let reservation_nanos = terms.reservation_nanos(price_cpm_micros).ok()?;
    (price_cpm_micros > 0 && reservation_nanos > 0).then_some(Quote {
        price_cpm_micros,
        terms,
        reservation_nanos,
    })
}

/// The floor in the bid's currency, rounded up; `None` when its currency has no rate.
///
/// OpenRTB 2.6, 7.11: the deal's own counts first, then the video's or audio's for this duration, then
/// the imp's. A deal's floor is in the deal's currency, which does not inherit from the imp.
pub(crate) fn floor_cpm_micros(creative: &CompiledCreative, offer: &Offer<'_>, slot: &Slot) -> Option<i64> {
    match slot.floor {
        Floor::Flat { cpm_micros } => Some(cpm_micros),
        Floor::WithoutRate => None,
        Floor::ByDuration => convert(
            stated_floor(Some(creative), offer.imp, slot.deal(offer)),
            offer.ask,
        ),
    }
}

/// The floor of the imp or of one of its deals, as far as all creatives have the same.
pub(crate) fn floor_of_all(ask: &Ask<'_>, imp: &Imp<'_>, deal: Option<&Deal<'_>>) -> Floor {
    let depends = |durfloors: &[DurFloor], mincpmpersec_micros: Option<i64>| {
        !durfloors.is_empty() || mincpmpersec_micros.is_some()
    };
    let players = [imp.video, imp.audio].into_iter().flatten();
    if deal.is_some_and(|deal| depends(deal.durfloors, deal.mincpmpersec_micros))
        || players
            .into_iter()
            .any(|media| depends(media.durfloors, media.mincpmpersec_micros))
    {
        return Floor::ByDuration;
    }
    match convert(stated_floor(None, imp, deal), ask) {
        Some(cpm_micros) => Floor::Flat { cpm_micros },
        None => Floor::WithoutRate,
    }
}

fn convert((floor_micros, currency): (i64, &str), ask: &Ask<'_>) -> Option<i64> {
    ask.exchange.convert_floor(floor_micros, currency, ask.currency)
}

/// Without a creative, of those that have no duration.
fn stated_floor<'a>(
    creative: Option<&CompiledCreative>,
    imp: &Imp<'a>,
    deal: Option<&Deal<'a>>,
) -> (i64, &'a str) {
    let of_deal = deal.and_then(|deal| Some((deal_floor(creative, deal)?, deal.bidfloorcur)));
    if let Some(floor) = of_deal {
        return floor;
    }
    let by_duration = creative.and_then(|creative| {
        let media = media(imp, creative.format)?;
        duration_floor(creative, media.durfloors, media.mincpmpersec_micros)
    });
    (by_duration.unwrap_or(imp.bidfloor_micros), imp.bidfloorcur)
}

/// The deal's own, if it names one.
fn deal_floor(creative: Option<&CompiledCreative>, deal: &Deal<'_>) -> Option<i64> {
    let by_duration =
        creative.and_then(|creative| duration_floor(creative, deal.durfloors, deal.mincpmpersec_micros));
    by_duration.or(deal.bidfloor_micros)
}

/// Of the floors that depend on the duration, the highest that applies; `None` when none does.
fn duration_floor(
    creative: &CompiledCreative,
    durfloors: &[DurFloor],
    mincpmpersec_micros: Option<i64>,
) -> Option<i64> {
    let (seconds, duration_ms) = creative.duration_s().zip(creative.traits.duration_ms)?;
    let in_range = durfloors.iter().filter(|floor| {
        floor.mindur.is_none_or(|least| i64::from(least) <= seconds)
            && floor.maxdur.is_none_or(|most| seconds <= i64::from(most))
    });
    let by_range = in_range.map(|floor| floor.bidfloor_micros).max();
    let by_second = mincpmpersec_micros.map(|micros| {
        let thousandths = i128::from(micros) * i128::from(duration_ms);
        i64::try_from((thousandths + 999).div_euclid(1_000)).unwrap_or(i64::MAX)
    });
    by_range.max(by_second)
}
