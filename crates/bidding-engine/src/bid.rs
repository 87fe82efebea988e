//! The decision on a whole request.

use crate::facts::Facts;
use crate::index::{Plan, RequestPlan};
use crate::offer::{Ask, Offer, read_slots};
use crate::search::{Search, remember};
use crate::{Decision, ExchangeState, Leases, NoBidReason, Now, Outcome, Scratch, Snapshot, UserView};
use openrtb::BidRequest;

/// Decides on every imp of `request`, in order, and replaces `out` by the bids to make: for each imp at
/// most one for the open auction and one for each of its deals.
///
/// Each decision's price is already reserved from its campaign's lease cell, except under `test: 1`;
/// one whose answer comes too late is given back with [`crate::LeaseCell::cancel`].
/// `leases` is parallel to the campaign numbers of `snapshot`; a campaign without a cell does not bid.
/// After the call [`Scratch::reasons`] says for each imp why nobody bids on it.
///
/// A slot goes to the highest value, among equals to the highest hash of request, imp and campaign. The
/// turn to ask the lease goes by the same order over all slots of an imp; who is withheld gives way to
/// the next. An advertiser bids on one imp of a request only.
///
/// The price is the campaign's value (its maximum CPM in the bid's currency, rounded down) under first
/// and second price alike; shading first-price bids is not part of this crate yet. In a fixed-price deal
/// (`at: 3`) it is the deal's floor.
#[expect(
    clippy::too_many_arguments,
    reason = "each has another owner: snapshot, leases, user, buffers"
)]
pub fn bid(
    snapshot: &Snapshot,
    exchange: &ExchangeState,
    leases: &Leases,
    user: &UserView<'_>,
    now: Now,
    request: &BidRequest<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<Decision>,
) -> Outcome {
    out.clear();
    let Scratch {
        arena,
        facts,
        reasons,
        slots,
        history,
        buffers,
    } = scratch;
    reasons.clear();
    arena.reset();
    let ask = match open(exchange, user, now, request, facts) {
        Ok(ask) => ask,
        Err(reason) => {
            reasons.resize(request.imp.len(), Some(reason));
            return Outcome::NoBid(reason);
        }
    };
    buffers.counted.begin(snapshot.numbers());
    history.advertisers.clear();
    history.pod_categories.clear();
    let arena = &*arena;
    let shared = RequestPlan::new(snapshot.index(), &ask, arena);
    for (position, imp) in request.imp.iter().enumerate() {
        read_slots(&ask, imp, slots);
        let first_decision = out.len();
        let offer = Offer::new(&ask, position, imp, slots, history, arena);
        let search = Search {
            snapshot,
            leases,
            offer: &offer,
            plan: &Plan::new(&shared, &offer, arena),
            buffers: &mut *buffers,
            out: &mut *out,
            furthest: NoBidReason::NoActiveCampaign,
            comes_again: request.imp.len() > 1 || slots.len() > 1,
        };
        let reason = search.run();
        reasons.push(reason);
        remember(snapshot, imp, &out[first_decision..], history);
    }
    outcome(out, reasons)
}

/// Reads the request; fails by the conditions that concern no campaign.
pub(crate) fn open<'a>(
    exchange: &'a ExchangeState,
    user: &UserView<'a>,
    now: Now,
    request: &'a BidRequest<'a>,
    facts: &'a mut Facts,
) -> Result<Ask<'a>, NoBidReason> {
    if !exchange.is_active() {
        return Err(NoBidReason::ExchangePaused);
    }
    facts.read(request, exchange.serving().exchange.id.as_str(), user);
    Ask::new(request, exchange, *user, now, facts).ok_or(NoBidReason::UnsupportedCurrency)
}

pub(crate) fn outcome(decisions: &[Decision], reasons: &[Option<NoBidReason>]) -> Outcome {
    if decisions.is_empty() {
        let furthest = reasons.iter().flatten().max().copied();
        Outcome::NoBid(furthest.unwrap_or(NoBidReason::NoActiveCampaign))
    } else {
        Outcome::Bid
    }
}
