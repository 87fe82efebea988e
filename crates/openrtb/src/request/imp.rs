use super::deal::or_usd;
use super::{AudioVideo, Banner, Pmp};
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

/// Multiplier of a DOOH impression (3.2.31).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Qty<'a> {
    /// Millionths (1_000_000 is one impression), rounded up; 0 when negative, `i64::MAX` when it is too large to hold,
    /// since what is billed is multiplied by it and must not be taken for one.
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

impl<'a> FromObject<'a> for Qty<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut qty = Self::default();
        json.members(|json, key| {
            match key {
                b"multiplier" => {
                    qty.multiplier_micros = json.micros(Rounding::Up)?.map(|micros| micros.max(0))
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
