//! Value, floors and price.

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::offer::{Ask, Offer, Slot};
use domain::money::{MULTIPLIER_ONE_MICROS, Terms, convert_down};
use openrtb::request::DurFloor;

/// What a bid costs at most.
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
    let spec = &campaign.serving.campaign.spec;
    let exchange = &ask.exchange.serving().exchange.spec;
    convert_down(
        spec.bid.max_cpm_micros,
        exchange.rate_e9(spec.budget.currency, ask.currency)?,
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

/// `None` when the price is nothing or does not fit into 64 bits of nanos.
pub(crate) fn quote(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
    slot: &Slot,
) -> Option<Quote> {
    let value = value_cpm_micros(campaign, offer.ask)?;
    let fixed =
        floor_cpm_micros(creative, offer, slot).filter(|floor| *floor > 0 && slot.is_fixed_price(offer));
    let price_cpm_micros = fixed.unwrap_or(value);
    let spec = &campaign.serving.campaign.spec;
    let exchange = &offer.ask.exchange.serving().exchange.spec;
    let multiplier_micros = offer.imp.qty.as_ref().and_then(|qty| qty.multiplier_micros);
    let terms = Terms {
        rate_e9: exchange.rate_e9(offer.ask.currency, spec.budget.currency)?,
        multiplier_micros: multiplier_micros
            .filter(|micros| *micros > 0)
            .unwrap_or(MULTIPLIER_ONE_MICROS),
        fee_ppm: spec.fee_ppm,
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
pub(super) fn floor_cpm_micros(creative: &CompiledCreative, offer: &Offer<'_>, slot: &Slot) -> Option<i64> {
    let (floor_micros, currency) = stated_floor(creative, offer, slot);
    offer
        .ask
        .exchange
        .convert_floor(floor_micros, currency, offer.ask.currency)
}

fn stated_floor<'a>(creative: &CompiledCreative, offer: &Offer<'a>, slot: &Slot) -> (i64, &'a str) {
    if let Some(deal) = slot.deal(offer) {
        let by_duration = duration_floor(creative, deal.durfloors, deal.mincpmpersec_micros);
        if let Some(floor_micros) = by_duration.or(deal.bidfloor_micros) {
            return (floor_micros, deal.bidfloorcur);
        }
    }
    let by_duration = offer
        .media(creative.format)
        .and_then(|media| duration_floor(creative, media.durfloors, media.mincpmpersec_micros));
    let floor_micros = by_duration.unwrap_or(offer.imp.bidfloor_micros);
    (floor_micros, offer.imp.bidfloorcur)
}

/// Of the floors that depend on the duration, the highest that applies; `None` when none does.
fn duration_floor(
    creative: &CompiledCreative,
    durfloors: &[DurFloor],
    mincpmpersec_micros: Option<i64>,
) -> Option<i64> {
    let (seconds, duration_ms) = creative.duration_s().zip(creative.duration_ms)?;
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
