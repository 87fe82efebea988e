//! The decision on a whole request.

use crate::facts::Facts;
use crate::offer::{Ask, Offer, read_slots};
use crate::scratch::Buffers;
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
    let ask = match survey(snapshot, exchange, user, now, request, facts, buffers) {
        Ok(ask) => ask,
        Err(reason) => {
            reasons.resize(request.imp.len(), Some(reason));
            return Outcome::NoBid(reason);
        }
    };
    history.advertisers.clear();
    history.pod_categories.clear();
    for (position, imp) in request.imp.iter().enumerate() {
        read_slots(imp, slots);
        let first_decision = out.len();
        let offer = Offer::new(&ask, position, imp, slots, history, arena);
        buffers.of_imp.copy_from(&buffers.of_request);
        let found = snapshot
            .index()
            .of_offer(&offer, &mut buffers.of_imp, &mut buffers.work);
        let reason = found.map_or_else(Some, |()| {
            let furthest = NoBidReason::NoActiveCampaign;
            Search {
                snapshot,
                leases,
                offer: &offer,
                buffers: &mut *buffers,
                out: &mut *out,
                furthest,
            }
            .run()
        });
        reasons.push(reason);
        remember(snapshot, imp, &out[first_decision..], history);
    }
    outcome(out, reasons)
}

/// What holds for the request as a whole; leaves in `buffers` the campaigns that it leaves.
fn survey<'a>(
    snapshot: &Snapshot,
    exchange: &'a ExchangeState,
    user: &UserView<'a>,
    now: Now,
    request: &'a BidRequest<'a>,
    facts: &'a mut Facts,
    buffers: &mut Buffers,
) -> Result<Ask<'a>, NoBidReason> {
    let ask = open(exchange, user, now, request, facts)?;
    buffers.counted.reset(snapshot.numbers());
    snapshot
        .index()
        .of_request(ask.facts, &mut buffers.of_request, &mut buffers.work)?;
    Ok(ask)
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
