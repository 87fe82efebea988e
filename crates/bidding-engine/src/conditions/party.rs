//! Who may buy: seats, advertisers, and what the law wants them to say.

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::offer::{Offer, Slot};
use crate::words::domain;

/// `wseat` and `bseat` (OpenRTB 2.6, 3.2.1).
pub(super) fn seat_may_bid(campaign: &CompiledCampaign, offer: &Offer<'_>) -> bool {
    let request = offer.ask.request;
    is_invited(campaign, offer, request.wseat)
        && (request.bseat.is_empty()
            || seat(campaign, offer).is_none_or(|seat| !request.bseat.contains(&seat)))
}

/// The deal's `wseat` (3.2.12).
pub(super) fn seat_may_bid_in_deal(
    campaign: &CompiledCampaign,
    _: &CompiledCreative,
    offer: &Offer<'_>,
    slot: &Slot,
) -> bool {
    slot.deal(offer)
        .is_none_or(|deal| is_invited(campaign, offer, deal.wseat))
}

/// The deal's `wadomain`: a domain covers its subdomains.
pub(super) fn advertiser_may_bid_in_deal(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
    slot: &Slot,
) -> bool {
    let allowed = slot.deal(offer).map(|deal| deal.wadomain).unwrap_or_default();
    let mut words = creative.adomain.words();
    allowed.is_empty() || words.any(|word| allowed.iter().any(|name| domain(name) == word))
}

/// Regulation (EU) 2022/2065: with `dsarequired` 2 or 3 a bid says on whose behalf it is and who paid,
/// and the publisher has to show it, since our markup does not (`pubrender: 0`).
pub(super) fn can_disclose(campaign: &CompiledCampaign, offer: &Offer<'_>) -> bool {
    let Some(dsa) = &offer.ask.request.regs.dsa else {
        return true;
    };
    let advertiser = &campaign.record.advertiser;
    !matches!(dsa.dsarequired, Some(2..=3))
        || advertiser.legal_name.is_some() && advertiser.paid_by.is_some() && dsa.pubrender != Some(0)
}

fn is_invited(campaign: &CompiledCampaign, offer: &Offer<'_>, wseat: &[&str]) -> bool {
    wseat.is_empty() || seat(campaign, offer).is_some_and(|seat| wseat.contains(&seat))
}

/// The advertiser's own at this exchange, else the exchange's default; empty ones are none.
fn seat<'a>(campaign: &'a CompiledCampaign, offer: &Offer<'a>) -> Option<&'a str> {
    let exchange = &offer.ask.exchange.serving().exchange;
    let own = campaign.record.advertiser.seats.get(exchange.id.as_str());
    own.or(exchange.spec.seat.as_ref())
        .map(String::as_str)
        .filter(|seat| !seat.is_empty())
}
