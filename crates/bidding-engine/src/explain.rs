//! Why one campaign bids on a request, or does not: every condition, with the same predicates.

use crate::bid::open;
use crate::campaign::CompiledCampaign;
use crate::conditions::{CAMPAIGN, CREATIVE, Condition, SLOT, failing, floor_cpm_micros, value_cpm_micros};
use crate::creative::CompiledCreative;
use crate::facts::Facts;
use crate::offer::{History, Offer, Slot, read_slots};
use crate::shading::price;
use crate::{ExchangeState, LeaseCell, Leases, Market, NoBidReason, Now, Snapshot, UserView};
use bumpalo::Bump;
use domain::currency::Currency;
use domain::money::Terms;
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
    /// What it would bid; `None` where the price cannot be expressed.
    pub price: Option<ExplainedPrice>,
}

/// Of a bid that would be made if nothing failed. CPM micros of `currency`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainedPrice {
    pub currency: Currency,
    /// As [`crate::Decision::auction_type`].
    pub auction_type: u16,
    /// 0: there is none; `None`: its currency has no rate.
    pub floor_cpm_micros: Option<i64>,
    pub value_cpm_micros: i64,
    pub price_cpm_micros: i64,
    pub terms: Terms,
    pub market: Option<Market>,
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
    let explained = Explained {
        snapshot,
        campaign: snapshot.compiled(number)?,
        lease: Some(leases.cells.get(number).map(|cell| &**cell)),
    };
    Some(explained.against(exchange, user, now, request))
}

/// The same for a campaign that is not in the snapshot, and as if its budget had no end.
#[must_use]
pub fn explain_draft(
    snapshot: &Snapshot,
    exchange: &ExchangeState,
    user: &UserView<'_>,
    now: Now,
    request: &BidRequest<'_>,
    draft: &CompiledCampaign,
) -> Explanation {
    let explained = Explained {
        snapshot,
        campaign: draft,
        lease: None,
    };
    explained.against(exchange, user, now, request)
}

/// Who is explained.
struct Explained<'a> {
    snapshot: &'a Snapshot,
    campaign: &'a CompiledCampaign,
    /// The cell that a bid would ask, where it has one; `None`: no lease is asked for.
    lease: Option<Option<&'a LeaseCell>>,
}

impl Explained<'_> {
    fn against(
        &self,
        exchange: &ExchangeState,
        user: &UserView<'_>,
        now: Now,
        request: &BidRequest<'_>,
    ) -> Explanation {
        let mut facts = Facts::default();
        let ask = match open(self.snapshot, exchange, user, now, request, &mut facts) {
            Ok(ask) => ask,
            Err(reason) => {
                return Explanation {
                    request: Some(reason),
                    imps: Vec::new(),
                };
            }
        };
        let arena = Bump::new();
        let history = History::default();
        let imps = request.imp.iter().enumerate().map(|(position, imp)| {
            let mut slots = Vec::new();
            read_slots(&ask, imp, &mut slots);
            self.imp(&Offer::new(&ask, position, imp, &slots, &history, &arena))
        });
        Explanation {
            request: None,
            imps: imps.collect(),
        }
    }

    fn imp(&self, offer: &Offer<'_>) -> ImpExplanation {
        let campaign = self.campaign;
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
            creatives.extend(of_slot.map(|creative| self.creative(creative, offer, &offer.slots[slot])));
        }
        ImpExplanation {
            first: first(&failing, &creatives),
            campaign: failing,
            creatives,
        }
    }

    fn creative(&self, creative: &CompiledCreative, offer: &Offer<'_>, slot: &Slot) -> CreativeFailures {
        let campaign = self.campaign;
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
        let cell = self.lease.flatten();
        let priced = price(self.snapshot, campaign, creative, offer, slot, cell);
        if let Some((quote, _)) = priced.filter(|_| !offer.ask.request.test)
            && self.lease.is_some()
        {
            failures.extend(withheld(cell, offer, slot, quote.reservation_nanos));
        }
        CreativeFailures {
            creative: creative.position as usize,
            deal: slot.deal,
            failures,
            price: priced.map(|(quote, market)| ExplainedPrice {
                currency: offer.ask.currency,
                auction_type: slot.auction_type(offer),
                floor_cpm_micros: floor_cpm_micros(creative, offer, slot),
                value_cpm_micros: value_cpm_micros(campaign, offer.ask).unwrap_or(quote.price_cpm_micros),
                price_cpm_micros: quote.price_cpm_micros,
                terms: quote.terms,
                market,
            }),
        }
    }
}

/// What the lease would say now.
fn withheld(
    cell: Option<&LeaseCell>,
    offer: &Offer<'_>,
    slot: &Slot,
    reservation_nanos: i64,
) -> Option<NoBidReason> {
    let Some(cell) = cell else {
        return Some(NoBidReason::NoLease);
    };
    let would = if slot.is_guaranteed(offer) {
        cell.would_reserve_guaranteed(reservation_nanos, offer.ask.now)
    } else {
        cell.would_reserve(reservation_nanos, offer.ask.now)
    };
    would.err().map(NoBidReason::from)
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
