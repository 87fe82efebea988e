//! Why one campaign bids on a request, or does not: every condition, with the same predicates.

use crate::bid::open;
use crate::campaign::CompiledCampaign;
use crate::conditions::{CAMPAIGN, CREATIVE, Condition, SLOT, failing, quote};
use crate::creative::CompiledCreative;
use crate::facts::Facts;
use crate::offer::{History, Offer, read_slots};
use crate::{ExchangeState, Leases, NoBidReason, Now, Snapshot, UserView};
use bumpalo::Bump;
use openrtb::BidRequest;

/// One campaign against one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Fails for every campaign, before any imp is looked at.
    pub request: Option<NoBidReason>,
    /// Parallel to the request's imps; empty when the request failed. Each as if it were the only one.
    pub imps: Vec<ImpExplanation>,
}

/// One campaign against one imp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImpExplanation {
    /// The condition at which the campaign drops out; `None`: it would be a candidate now.
    pub first: Option<NoBidReason>,
    /// Every condition of the campaign that fails, in order.
    pub campaign: Vec<NoBidReason>,
    /// Each creative in each slot that the campaign wants (in one slot at least, to show the creative's own).
    pub creatives: Vec<CreativeFailures>,
}

/// One creative in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreativeFailures {
    /// Position in the campaign's `creatives`.
    pub creative: usize,
    /// Position in the imp's deals; `None` is the open auction.
    pub deal: Option<usize>,
    /// Every condition that fails, in order; the last may be what the lease would say now.
    pub failures: Vec<NoBidReason>,
}

/// Evaluates every condition of campaign `number`, slowly; reserves nothing. `None`: there is no such campaign.
#[must_use]
pub fn explain(
    snapshot: &Snapshot,
    exchange: &ExchangeState,
    leases: &Leases,
    user: &UserView<'_>,
    now: Now,
    request: &BidRequest<'_>,
    number: usize,
) -> Option<Explanation> {
    let campaign = snapshot.compiled(number)?;
    let mut facts = Facts::default();
    let ask = match open(snapshot, exchange, user, now, request, &mut facts) {
        Ok(ask) => ask,
        Err(reason) => {
            return Some(Explanation {
                request: Some(reason),
                imps: Vec::new(),
            });
        }
    };
    let arena = Bump::new();
    let history = History::default();
    let imps = request.imp.iter().enumerate().map(|(position, imp)| {
        let mut slots = Vec::new();
        read_slots(&ask, imp, &mut slots);
        explain_imp(
            campaign,
            &Offer::new(&ask, position, imp, &slots, &history, &arena),
            leases,
            number,
        )
    });
    Some(Explanation {
        request: None,
        imps: imps.collect(),
    })
}

fn explain_imp(
    campaign: &CompiledCampaign,
    offer: &Offer<'_>,
    leases: &Leases,
    number: usize,
) -> ImpExplanation {
    let own = CAMPAIGN
        .iter()
        .filter(|Condition(_, holds, ..)| !holds(campaign, offer));
    let failing: Vec<NoBidReason> = failing(campaign, offer)
        .chain(own.map(|Condition(reason, ..)| *reason))
        .collect();
    let suiting: Vec<usize> = (0..offer.slots.len())
        .filter(|slot| offer.slots[*slot].suits(campaign))
        .collect();
    let slots = if suiting.is_empty() {
        (0..offer.slots.len().min(1)).collect()
    } else {
        suiting
    };
    let mut creatives = Vec::new();
    for slot in slots {
        let of_slot = campaign.creatives.iter();
        creatives.extend(
            of_slot.map(|creative| explain_creative(campaign, creative, offer, slot, leases, number)),
        );
    }
    ImpExplanation {
        first: first(&failing, &creatives),
        campaign: failing,
        creatives,
    }
}

/// Of the campaign's own the first; else where its last creative drops out of its last slot.
fn first(campaign: &[NoBidReason], creatives: &[CreativeFailures]) -> Option<NoBidReason> {
    let last_to_drop_out = || {
        let firsts: Option<Vec<NoBidReason>> =
            creatives.iter().map(|of| of.failures.first().copied()).collect();
        firsts?.into_iter().max()
    };
    campaign.first().copied().or_else(last_to_drop_out)
}

fn explain_creative(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
    slot: usize,
    leases: &Leases,
    number: usize,
) -> CreativeFailures {
    let slot = &offer.slots[slot];
    let of_creative = CREATIVE
        .iter()
        .filter(|Condition(_, holds, ..)| !holds(campaign, creative, offer));
    let of_slot = SLOT
        .iter()
        .filter(|Condition(_, holds, ..)| !holds(campaign, creative, offer, slot));
    let mut failures: Vec<NoBidReason> = of_creative
        .map(|Condition(reason, ..)| *reason)
        .chain(of_slot.map(|Condition(reason, ..)| *reason))
        .collect();
    let quote = quote(campaign, creative, offer, slot).filter(|_| !offer.ask.request.test);
    if let Some(quote) = quote {
        let would = match leases.cells.get(number) {
            Some(cell) if slot.is_guaranteed(offer) => cell
                .would_reserve_guaranteed(quote.reservation_nanos, offer.ask.now)
                .map_err(NoBidReason::from),
            Some(cell) => cell
                .would_reserve(quote.reservation_nanos, offer.ask.now)
                .map_err(NoBidReason::from),
            None => Err(NoBidReason::NoLease),
        };
        failures.extend(would.err());
    }
    CreativeFailures {
        creative: creative.position,
        deal: slot.deal,
        failures,
    }
}
