//! `BidRequest` (OpenRTB 2.6, 3.2.1) and what hangs below it, as borrowed structs.
//!
//! Fields keep the names of the specification, so that its text is their documentation; money and
//! times carry their unit in the name. A text is a slice of the body, or of the arena when it had
//! escapes in it. Defaults of the specification are filled in where a comment says so; everywhere
//! else absent is `None`, an empty slice, or `false`.

mod device;
mod imp;
mod inventory;
mod media;
mod regs;
mod source;
mod user;

pub use device::{BrandVersion, Device, Geo, UserAgent};
pub use imp::{Banner, Deal, Format, Imp, Native, Pmp, Qty};
pub use inventory::{Content, Inventory, InventoryKind, Publisher};
pub use media::{AudioVideo, DurFloor};
pub use regs::{Dsa, DsaTransparency, Regs};
pub use source::{Source, SupplyChain, SupplyChainNode};
pub use user::{Data, Eid, Segment, Uid, User};

/// One bid request (3.2.1). `read_request` promises a present `id`, at least one imp, every imp with
/// an id of its own, and no negative size.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BidRequest<'a> {
    pub id: &'a str,
    /// Never empty.
    pub imp: &'a [Imp<'a>],
    /// The one of `site`, `app`, `dooh` that is there, or of kind `Unknown`.
    pub inventory: Inventory<'a>,
    pub device: Device<'a>,
    pub user: User<'a>,
    /// Bid, but never spend and never bill.
    pub test: bool,
    /// 1 first price, 2 second price (the default, filled in), above 500 the exchange's own.
    pub at: u16,
    /// Milliseconds the exchange waits, network included.
    pub tmax_ms: Option<u32>,
    /// Seats that may bid; empty means all.
    pub wseat: &'a [&'a str],
    /// Seats that may not bid.
    pub bseat: &'a [&'a str],
    pub allimps: bool,
    /// Currencies a bid may use; `["USD"]` when absent or empty.
    pub cur: &'a [&'a str],
    /// ISO-639-1 languages of creatives that are allowed.
    pub wlang: &'a [&'a str],
    /// The same as IETF BCP 47 tags.
    pub wlangb: &'a [&'a str],
    /// Allowed advertiser categories.
    pub acat: &'a [&'a str],
    /// Blocked advertiser categories.
    pub bcat: &'a [&'a str],
    /// Taxonomy of `acat` and `bcat`; 1 when absent, `ext.cattax` read too.
    pub cattax: u16,
    /// Blocked advertiser domains.
    pub badv: &'a [&'a str],
    /// Blocked applications, by bundle.
    pub bapp: &'a [&'a str],
    pub source: Source<'a>,
    pub regs: Regs<'a>,
}
