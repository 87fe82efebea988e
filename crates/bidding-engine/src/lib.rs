//! Decides which campaigns bid on a request: (request, snapshot, leases, user, now) -> decisions.
//!
//! [`bid`] is the whole of it. The same inputs give the same decisions: no clock, no I/O, no random
//! numbers, no logging; ties and rotations come from a hash of the request. A [`Snapshot`] is immutable
//! and shared; a [`LeaseCell`] is the only thing that several threads change, by atomics, and the table of
//! [`LearnedPrices`] the only one that is swapped under it; a [`Scratch`] belongs to one thread and keeps its
//! buffers, so that a steady state allocates nothing on the heap.
//!
//! Promises: never panics on any request; never bids above a campaign's maximum, below a floor, or
//! beyond what a lease has left; says why it does not bid with one typed [`NoBidReason`] per opportunity.
//! Must never: read a clock, block, log, or know storage and transport.
//!
//! Where to look: the conditions and their fixed order are the tables in `conditions`, used by the search
//! (`search`, over the bitmaps of `index`), by the reference that tests compare it with ([`oracle`]) and
//! by [`explain`]. The price of the winner is in `shading`.

mod agent;
mod bid;
mod bits;
mod campaign;
mod card;
mod catalog;
mod conditions;
mod creative;
mod decision;
mod exchange;
mod explain;
mod facts;
mod hash;
mod index;
mod lease;
mod list;
mod offer;
pub mod oracle;
mod pages;
mod place;
mod pool;
mod price_level;
mod prices;
mod privacy;
mod reason;
mod record;
mod rotation;
mod schedule;
mod scratch;
mod search;
mod shading;
mod snapshot;
mod taxonomy;
mod traffic;
mod user;
mod words;

pub use bid::bid;
pub use campaign::CompiledCampaign;
pub use catalog::{Catalog, Change, Entry, NeedsBuild};
pub use conditions::answers_native_asset;
pub use creative::advertised_bundle;
pub use decision::{Decision, Now, Outcome};
pub use exchange::ExchangeState;
pub use explain::{CreativeFailures, ExplainedPrice, Explanation, ImpExplanation, explain, explain_draft};
pub use lease::{LeaseCell, Leases, Withheld};
pub use pages::Pages;
pub use price_level::PriceLevel;
pub use prices::{BidsByLevel, LearnedPrices, Market, MarketPrices, PriceTable};
pub use privacy::is_identifiable;
pub use reason::NoBidReason;
pub use record::{Adomain, CampaignRecord, CreativeRecord, CreativeTraits, NativeRecord};
pub use scratch::Scratch;
pub use snapshot::Snapshot;
pub use traffic::{AdsTxt, BadList, Crawlers, Networks, Traffic};
pub use user::{Counter, UserView};
