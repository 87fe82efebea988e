//! The price of a bid: the value, or where the winner pays what it bid a learned price below it.

use crate::campaign::CompiledCampaign;
use crate::conditions::{Quote, floor_cpm_micros, quote};
use crate::creative::CompiledCreative;
use crate::hash::mix;
use crate::offer::{Offer, Slot};
use crate::prices::{Market, roll};
use crate::{LeaseCell, Snapshot};
use domain::creative::Format;
use openrtb::codes::auction_type::{FIRST_PRICE, SECOND_PRICE};

const ONE_PPM: i64 = 1_000_000;

/// What is bid and reserved, and the market that it meets its rivals in.
pub(crate) fn price(
    snapshot: &Snapshot,
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
    slot: &Slot,
    cell: Option<&LeaseCell>,
) -> Option<(Quote, Option<Market>)> {
    let full = quote(campaign, creative, offer, slot)?;
    let auction_type = slot.auction_type(offer);
    let market = match auction_type {
        FIRST_PRICE | SECOND_PRICE => market(auction_type, creative, offer, slot),
        _ => return Some((full, None)),
    };
    if auction_type == SECOND_PRICE || slot.is_guaranteed(offer) {
        return Some((full, Some(market)));
    }
    let value = full.price_cpm_micros;
    let floor = floor_cpm_micros(creative, offer, slot)?;
    let learned = snapshot
        .prices
        .table()
        .price_cpm_micros(market, value, roll(offer.hash));
    let lift_ppm = cell.map_or(0, LeaseCell::price_lift_ppm);
    let price_cpm_micros = lifted(learned, value, lift_ppm).max(floor).clamp(1, value);
    let shaded = Quote {
        price_cpm_micros,
        reservation_nanos: full.terms.reservation_nanos(price_cpm_micros).ok()?,
        ..full
    };
    Some((shaded, Some(market)))
}

/// A campaign that falls behind its plan pays more, up to its maximum.
fn lifted(price: i64, value: i64, lift_ppm: i64) -> i64 {
    let more = i128::from(value - price) * i128::from(lift_ppm.clamp(0, ONE_PPM)) / i128::from(ONE_PPM);
    price + i64::try_from(more).unwrap_or(0)
}

fn market(auction_type: u16, creative: &CompiledCreative, offer: &Offer<'_>, slot: &Slot) -> Market {
    let exchange = offer.ask.facts.exchange.first().copied().unwrap_or(0);
    let currency = offer.ask.currency.as_str().bytes();
    let currency = currency.fold(0, |code, letter| code << 8 | u64::from(letter));
    let kind = u64::from(auction_type) << 16
        | (creative.format as u64) << 8
        | place(creative.format, offer) << 1
        | u64::from(slot.deal.is_some());
    Market(mix(mix(exchange, currency), kind))
}

/// Kinds of place, as far as buyers pay differently for them. `plcmt` (AdCOM "Plcmt Subtypes - Video") wins over the older
/// `placement`.
fn place(format: Format, offer: &Offer<'_>) -> u64 {
    let imp = offer.imp;
    if imp.rwdd {
        return 1;
    }
    if imp.instl {
        return 2;
    }
    let video = offer.media(format).map(|media| (media.plcmt, media.placement));
    match video {
        Some((Some(plcmt), _)) => 3 + u64::from(plcmt.min(15)),
        Some((None, Some(placement))) => 20 + u64::from(placement.min(15)),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::lifted;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_lift_leads_from_the_price_to_the_value(
            value in 1..i64::MAX,
            price in 1..i64::MAX,
            lifts in (0..=1_000_000_i64, 0..=1_000_000_i64),
        ) {
            let price = price.min(value);
            let (low, high) = (lifts.0.min(lifts.1), lifts.0.max(lifts.1));
            prop_assert_eq!(lifted(price, value, 0), price);
            prop_assert_eq!(lifted(price, value, 1_000_000), value);
            prop_assert!(lifted(price, value, low) <= lifted(price, value, high));
        }
    }
}
