//! The decision on a whole request.

use crate::facts::Facts;
use crate::index::{Plan, RequestPlan};
use crate::offer::{Ask, Offer, goes_on, may_go_on, read_slots};
use crate::search::{Search, remember};
use crate::{Decision, ExchangeState, Leases, NoBidReason, Now, Outcome, Scratch, Snapshot, UserView};
use openrtb::BidRequest;

/// Decides on every imp of `request`, in order, and replaces `out` by the bids to make: for each imp at
/// most one for the open auction and one for each of its deals; for a dynamic pod (`poddur`) as many of each as
/// fill it.
///
/// Each decision's price is already reserved from its campaign's lease cell, except under `test: 1`;
/// one whose answer comes too late is given back with [`crate::LeaseCell::cancel`].
/// `leases` is parallel to the campaign numbers of `snapshot`; a campaign without a cell does not bid.
/// After the call [`Scratch::reasons`] says for each imp why nobody bids on it.
///
/// A slot goes to the highest value, among equals to the highest hash of request, imp and campaign. The
/// turn to ask the lease goes by the same order over all slots of an imp; who is withheld gives way to
/// the next. An advertiser bids on one imp of a request only, and no top category comes twice in a pod.
///
/// The value of a bid is the campaign's maximum CPM in the bid's currency, rounded down, and so is its price, with two
/// exceptions: under first price it is the snapshot's learned price, no higher than the value and no lower than the
/// floor, unless delivery is guaranteed; in a fixed-price deal (`at: 3`) it is the deal's floor.
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
    let ask = match open(snapshot, exchange, user, now, request, facts) {
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
        let comes_again = request.imp.len() > 1 || slots.len() > 1 || may_go_on(imp);
        loop {
            let decisions_before = out.len();
            let offer = Offer::new(&ask, position, imp, slots, history, arena);
            let search = Search {
                snapshot,
                leases,
                offer: &offer,
                plan: &Plan::new(&shared, &offer, arena),
                buffers: &mut *buffers,
                out: &mut *out,
                decisions_before,
                furthest: NoBidReason::NoActiveCampaign,
                comes_again,
            };
            let reason = search.run();
            if decisions_before == first_decision {
                reasons.push(reason);
            }
            let won = &out[decisions_before..];
            remember(snapshot, imp, won, history);
            if !goes_on(imp, won, slots) {
                break;
            }
        }
    }
    outcome(out, reasons)
}

/// Reads the request; fails by the conditions that concern no campaign.
pub(crate) fn open<'a>(
    snapshot: &Snapshot,
    exchange: &'a ExchangeState,
    user: &UserView<'a>,
    now: Now,
    request: &'a BidRequest<'a>,
    facts: &'a mut Facts,
) -> Result<Ask<'a>, NoBidReason> {
    if !exchange.is_active() {
        return Err(NoBidReason::ExchangePaused);
    }
    let traffic = &*snapshot.traffic;
    if let Some(reason) = traffic.refuses_source(request) {
        return Err(reason);
    }
    facts.read(request, exchange.serving().exchange.id.as_str(), user);
    if let Some(reason) = traffic.refuses_sellers(exchange, request, facts) {
        return Err(reason);
    }
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
