//! What [`crate::bid`] takes and gives besides the snapshot.

use crate::{Market, NoBidReason};
use domain::creative::Format;
use domain::currency::Currency;
use domain::money::Terms;

/// The caller's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, for flights, days and day-parts.
    pub unix_ms: i64,
    /// A clock that never goes back, for the ends of leases.
    pub monotonic_ms: i64,
}

/// One bid to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Position in `request.imp`.
    pub imp: usize,
    /// Position in `imp.pmp.deals`; `None` is the open auction.
    pub deal: Option<usize>,
    /// Number in the snapshot: [`crate::Snapshot::campaign`].
    pub campaign: usize,
    /// Position in the campaign's `creatives`.
    pub creative: usize,
    /// Position in the campaign's `days`: the day that pays.
    pub day: usize,
    pub format: Format,
    /// Of the creative, pixels; `None` for audio and native, and where a video does not say.
    pub width: Option<i64>,
    pub height: Option<i64>,
    /// Of the creative; video and audio.
    pub duration_ms: Option<i64>,
    /// How the exchange finds the price: 1 first price, 2 second price, 3 fixed (a deal's), above 500 its own.
    pub auction_type: u16,
    /// Where first- and second-price bids meet their rivals; `None` for every other auction.
    pub market: Option<Market>,
    /// CPM in micros of `bid_currency`.
    pub price_cpm_micros: i64,
    /// The same for every decision of a response.
    pub bid_currency: Currency,
    /// From the price to the campaign's charge.
    pub terms: Terms,
    /// What was taken from the lease, nanos of the campaign's currency; 0 under `test: 1`.
    pub reserved_nanos: i64,
    /// Under `test: 1`: nothing was reserved, and nothing of it may ever be billed.
    pub test: bool,
}

/// The request as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least one decision.
    Bid,
    /// The reason of the imp that came furthest.
    NoBid(NoBidReason),
}
