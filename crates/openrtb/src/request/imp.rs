use super::AudioVideo;
use crate::Malformed;
use crate::decimal::Rounding;
use crate::json::{FromObject, Reader};

/// One impression on offer (3.2.4), possibly in several formats.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imp<'a> {
    /// Unique in its request; a bid echoes it exactly.
    pub id: &'a str,
    pub banner: Option<&'a Banner<'a>>,
    pub video: Option<&'a AudioVideo<'a>>,
    pub audio: Option<&'a AudioVideo<'a>>,
    pub native: Option<&'a Native<'a>>,
    pub pmp: Pmp<'a>,
    pub displaymanager: Option<&'a str>,
    pub displaymanagerver: Option<&'a str>,
    /// Interstitial or full screen.
    pub instl: bool,
    pub tagid: Option<&'a str>,
    /// Floor, CPM in micros of `bidfloorcur`, rounded up to the next micro; 0 when absent or negative,
    /// `i64::MAX` when it is too large to hold.
    pub bidfloor_micros: i64,
    /// `USD` when absent.
    pub bidfloorcur: &'a str,
    pub clickbrowser: bool,
    /// Markup and every tracker in it must be https.
    pub secure: bool,
    /// Rewarded; `ext.rewarded` and `ext.is_rewarded_inventory` read too.
    pub rwdd: bool,
    /// Server-side ad insertion: 0 unknown, 1 all client, 2 assets stitched, 3 all server; `ext.ssai` read too.
    pub ssai: u16,
    /// Seconds that may pass between the auction and the impression.
    pub exp: Option<u32>,
    /// How many impressions one play counts for (DOOH).
    pub qty: Option<Qty<'a>>,
    /// When the impression is estimated to be shown, in Unix milliseconds (DOOH).
    pub dt_ms: Option<i64>,
}

/// A banner (3.2.6).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Banner<'a> {
    /// Sizes on offer, besides `w` and `h`.
    pub format: &'a [Format],
    pub w: Option<u32>,
    pub h: Option<u32>,
    /// Blocked banner ad types.
    pub btype: &'a [u16],
    /// Blocked creative attributes.
    pub battr: &'a [u16],
    pub pos: Option<u16>,
    pub mimes: &'a [&'a str],
    pub topframe: Option<bool>,
    /// Directions in which it may expand.
    pub expdir: &'a [u16],
    pub api: &'a [u16],
    pub id: Option<&'a str>,
    /// Companion rendering: `true` is end-card.
    pub vcm: Option<bool>,
}

/// A size on offer (3.2.10): device independent pixels, or a ratio with a least width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Format {
    pub w: Option<u32>,
    pub h: Option<u32>,
    pub wratio: Option<u32>,
    pub hratio: Option<u32>,
    pub wmin: Option<u32>,
}

/// A native offer (3.2.9). What it asks for is JSON inside a string: see [`crate::native`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Native<'a> {
    /// The text of the Native request, not yet read. An object where the string belongs is taken as its own text.
    pub request: Option<&'a str>,
    pub ver: Option<&'a str>,
    pub api: &'a [u16],
    /// Blocked creative attributes.
    pub battr: &'a [u16],
}

/// The private marketplace of an imp (3.2.11).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pmp<'a> {
    /// Only bids on deals are accepted.
    pub private_auction: bool,
    pub deals: &'a [Deal<'a>],
}

/// A deal (3.2.12). One without an id cannot be bid on and is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deal<'a> {
    pub id: &'a str,
    /// As [`Imp::bidfloor_micros`]; `None` when the deal names no floor.
    pub bidfloor_micros: Option<i64>,
    /// `USD` when absent; it does not inherit from the imp.
    pub bidfloorcur: &'a str,
    /// Overrides the request's; 3 is fixed price, the floor being the price.
    pub at: Option<u16>,
    pub wseat: &'a [&'a str],
    pub wadomain: &'a [&'a str],
    /// Guaranteed delivery.
    pub guar: bool,
    /// As [`AudioVideo::mincpmpersec_micros`].
    pub mincpmpersec_micros: Option<i64>,
    pub durfloors: &'a [super::DurFloor],
}

/// Multiplier of a DOOH impression (3.2.31).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Qty<'a> {
    /// Millionths (1_000_000 is one impression), rounded up; `None` when absent, negative or too large.
    pub multiplier_micros: Option<i64>,
    pub sourcetype: Option<u16>,
    pub vendor: Option<&'a str>,
}

impl<'a> FromObject<'a> for Imp<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut imp = Self::default();
        let mut id = None;
        let mut rwdd = None;
        let mut ssai = None;
        let mut ext = ImpExt::default();
        json.members(|json, key| {
            match key {
                b"id" => id = json.text()?,
                b"banner" => imp.banner = json.object_ref()?,
                b"video" => imp.video = json.object_ref()?,
                b"audio" => imp.audio = json.object_ref()?,
                b"native" => imp.native = json.object_ref()?,
                b"pmp" => imp.pmp = json.object_or_default()?,
                b"displaymanager" => imp.displaymanager = json.text()?,
                b"displaymanagerver" => imp.displaymanagerver = json.text()?,
                b"instl" => imp.instl = json.flag()?.unwrap_or_default(),
                b"tagid" => imp.tagid = json.text()?,
                b"bidfloor" => imp.bidfloor_micros = json.floor_micros()?.unwrap_or_default(),
                b"bidfloorcur" => imp.bidfloorcur = json.text()?.unwrap_or_default(),
                b"clickbrowser" => imp.clickbrowser = json.flag()?.unwrap_or_default(),
                b"secure" => imp.secure = json.flag()?.unwrap_or_default(),
                b"exp" => imp.exp = json.integer()?,
                b"qty" => imp.qty = json.object()?,
                b"dt" => imp.dt_ms = json.integer()?,
                b"rwdd" => rwdd = json.flag()?,
                b"ssai" => ssai = json.integer()?,
                b"ext" => ext = json.object_or_default()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        imp.id = id.ok_or(Malformed::MissingImpId)?;
        imp.bidfloorcur = or_usd(imp.bidfloorcur);
        imp.rwdd = rwdd.or(ext.rewarded).unwrap_or_default();
        imp.ssai = ssai.or(ext.ssai).unwrap_or_default();
        Ok(imp)
    }
}

/// What 2.5 keeps in `imp.ext` and 2.6 has first class.
#[derive(Default)]
struct ImpExt {
    rewarded: Option<bool>,
    ssai: Option<u16>,
}

impl<'a> FromObject<'a> for ImpExt {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut ext = Self::default();
        json.members(|json, key| {
            match key {
                b"rewarded" | b"is_rewarded_inventory" => ext.rewarded = json.flag()?.or(ext.rewarded),
                b"ssai" => ext.ssai = json.integer()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(ext)
    }
}

impl<'a> FromObject<'a> for Banner<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut banner = Self::default();
        json.members(|json, key| {
            match key {
                b"format" => banner.format = json.objects()?,
                b"w" => banner.w = json.size("imp.banner.w")?,
                b"h" => banner.h = json.size("imp.banner.h")?,
                b"btype" => banner.btype = json.integers()?,
                b"battr" => banner.battr = json.integers()?,
                b"pos" => banner.pos = json.integer()?,
                b"mimes" => banner.mimes = json.texts()?,
                b"topframe" => banner.topframe = json.flag()?,
                b"expdir" => banner.expdir = json.integers()?,
                b"api" => banner.api = json.integers()?,
                b"id" => banner.id = json.text()?,
                b"vcm" => banner.vcm = json.flag()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(banner)
    }
}

impl<'a> FromObject<'a> for Format {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut format = Self::default();
        json.members(|json, key| {
            match key {
                b"w" => format.w = json.size("imp.banner.format.w")?,
                b"h" => format.h = json.size("imp.banner.format.h")?,
                b"wratio" => format.wratio = json.size("imp.banner.format.wratio")?,
                b"hratio" => format.hratio = json.size("imp.banner.format.hratio")?,
                b"wmin" => format.wmin = json.size("imp.banner.format.wmin")?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(format)
    }
}

impl<'a> FromObject<'a> for Native<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut native = Self::default();
        json.members(|json, key| {
            match key {
                b"request" => native.request = json.text_or_object()?,
                b"ver" => native.ver = json.text()?,
                b"api" => native.api = json.integers()?,
                b"battr" => native.battr = json.integers()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(native)
    }
}

impl<'a> FromObject<'a> for Pmp<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut pmp = Self::default();
        json.members(|json, key| {
            match key {
                b"private_auction" => pmp.private_auction = json.flag()?.unwrap_or_default(),
                b"deals" => pmp.deals = json.objects_where(|deal: &Deal<'_>| !deal.id.is_empty())?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(pmp)
    }
}

impl<'a> FromObject<'a> for Deal<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut deal = Self::default();
        json.members(|json, key| {
            match key {
                b"id" => deal.id = json.text()?.unwrap_or_default(),
                b"bidfloor" => deal.bidfloor_micros = json.floor_micros()?,
                b"bidfloorcur" => deal.bidfloorcur = json.text()?.unwrap_or_default(),
                b"at" => deal.at = json.integer()?,
                b"wseat" => deal.wseat = json.texts()?,
                b"wadomain" => deal.wadomain = json.texts()?,
                b"guar" => deal.guar = json.flag()?.unwrap_or_default(),
                b"mincpmpersec" => deal.mincpmpersec_micros = json.floor_micros()?,
                b"durfloors" => deal.durfloors = json.objects()?,

                _ => json.skip()?,
            }
            Ok(())
        })?;
        deal.bidfloorcur = or_usd(deal.bidfloorcur);
        Ok(deal)
    }
}

impl<'a> FromObject<'a> for Qty<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut qty = Self::default();
        json.members(|json, key| {
            match key {
                b"multiplier" => {
                    qty.multiplier_micros = json
                        .micros(Rounding::Up)?
                        .filter(|micros| (0..i64::MAX).contains(micros))
                }
                b"sourcetype" => qty.sourcetype = json.integer()?,
                b"vendor" => qty.vendor = json.text()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(qty)
    }
}

fn or_usd(currency: &str) -> &str {
    if currency.is_empty() { "USD" } else { currency }
}
