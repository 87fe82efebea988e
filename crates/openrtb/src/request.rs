//! `BidRequest` (OpenRTB 2.6, 3.2.1) and what hangs below it, as borrowed structs.
//!
//! Fields keep the names of the specification, so that its text is their documentation; money and
//! times carry their unit in the name. A text is a slice of the body, or of the arena when it had
//! escapes in it. Defaults of the specification are filled in where a comment says so; everywhere
//! else absent is `None`, an empty slice, or `false`.

mod banner;
mod deal;
mod device;
mod imp;
mod inventory;
mod media;
mod regs;
mod source;
mod user;

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

use crate::Malformed;
use crate::json::{FromObject, Reader};

pub use banner::{Banner, Format};
pub use deal::{Deal, Pmp};
pub use device::{BrandVersion, Device, Geo, UserAgent};
pub use imp::{Imp, Native, Qty};
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
    /// 1 first price, 2 second price, above 500 the exchange's own. Absent is 2 by the specification, but an
    /// exchange may have agreed otherwise with its bidders: the default is not filled in.
    pub at: Option<u16>,
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

/// Reads one bid request.
///
/// # Errors
/// See [`Malformed`], which lists every rule.
pub fn read_request<'a>(body: &'a [u8], arena: &'a Bump) -> Result<BidRequest<'a>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed::NotUtf8)?;
    Reader::new(text, arena).document()
}

/// What is decided only when the whole object has been read.
#[derive(Default)]
struct Undecided<'a> {
    id: Option<&'a str>,
    site: Option<Inventory<'a>>,
    app: Option<Inventory<'a>>,
    dooh: Option<Inventory<'a>>,
    cattax: Option<u16>,
    ext_cattax: Option<u16>,
}

impl<'a> FromObject<'a> for BidRequest<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut request = Self::default();
        let mut undecided = Undecided::default();
        json.members(|json, key| request.read_member(&mut undecided, key, json))?;
        request.id = undecided.id.ok_or(Malformed::MissingId)?;
        request.cattax = undecided.cattax.or(undecided.ext_cattax).unwrap_or(1);
        request.inventory = undecided.inventory()?;
        if request.cur.is_empty() {
            request.cur = &["USD"];
        }
        if request.imp.is_empty() {
            return Err(Malformed::NoImp);
        }
        if has_duplicate_ids(request.imp, json.arena()) {
            return Err(Malformed::DuplicateImpId);
        }
        Ok(request)
    }
}

impl<'a> BidRequest<'a> {
    fn read_member(
        &mut self,
        undecided: &mut Undecided<'a>,
        key: &[u8],
        json: &mut Reader<'a>,
    ) -> Result<(), Malformed> {
        match key {
            b"id" => undecided.id = json.text()?,
            b"imp" => self.imp = json.objects()?,
            b"site" => undecided.site = json.object()?,
            b"app" => undecided.app = json.object()?,
            b"dooh" => undecided.dooh = json.object()?,
            b"at" => self.at = json.integer()?,
            b"cattax" => undecided.cattax = json.integer()?,
            b"cur" => self.cur = json.texts()?,
            b"device" => self.device = json.object_or_default()?,
            b"user" => self.user = json.object_or_default()?,
            b"test" => self.test = json.flag()?.unwrap_or_default(),
            b"tmax" => self.tmax_ms = json.integer()?,
            b"wseat" => self.wseat = json.texts()?,
            b"bseat" => self.bseat = json.texts()?,
            b"allimps" => self.allimps = json.flag()?.unwrap_or_default(),
            b"wlang" => self.wlang = json.texts()?,
            b"wlangb" => self.wlangb = json.texts()?,
            b"acat" => self.acat = json.texts()?,
            b"bcat" => self.bcat = json.texts()?,
            b"badv" => self.badv = json.texts()?,
            b"bapp" => self.bapp = json.texts()?,
            b"source" => self.source = json.object_or_default()?,
            b"regs" => self.regs = json.object_or_default()?,
            b"ext" => {
                json.members(|json, key| {
                    match key {
                        b"cattax" => undecided.ext_cattax = json.integer()?,
                        _ => json.skip()?,
                    }
                    Ok(())
                })?;
            }
            _ => json.skip()?,
        }
        Ok(())
    }
}

impl<'a> Undecided<'a> {
    fn inventory(&mut self) -> Result<Inventory<'a>, Malformed> {
        let (kind, inventory) = match (self.site.take(), self.app.take(), self.dooh.take()) {
            (None, None, None) => (InventoryKind::Unknown, Inventory::default()),
            (Some(site), None, None) => (InventoryKind::Site, site),
            (None, Some(app), None) => (InventoryKind::App, app),
            (None, None, Some(dooh)) => (InventoryKind::Dooh, dooh),
            _ => return Err(Malformed::SeveralInventories),
        };
        Ok(Inventory { kind, ..inventory })
    }
}

/// Sorts when there are many: a body of a hundred thousand imps must not cost their square.
fn has_duplicate_ids(imps: &[Imp<'_>], arena: &Bump) -> bool {
    const FEW: usize = 16;
    if imps.len() <= FEW {
        return imps
            .iter()
            .enumerate()
            .any(|(at, imp)| imps[..at].iter().any(|other| other.id == imp.id));
    }
    let mut ids = ArenaVec::from_iter_in(imps.iter().map(|imp| imp.id), arena);
    ids.sort_unstable();
    ids.windows(2).any(|pair| pair[0] == pair[1])
}
