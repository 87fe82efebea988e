use crate::Malformed;
use crate::json::{FromObject, Reader};

/// A video (3.2.7) or audio (3.2.8) offer: one struct, since the rules a bid has to keep are the same.
/// What only the other kind has stays absent. Durations are seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AudioVideo<'a> {
    pub mimes: &'a [&'a str],
    pub minduration: Option<u32>,
    pub maxduration: Option<u32>,
    /// Exact durations that are accepted; excludes `minduration` and `maxduration`.
    pub rqddurs: &'a [u32],
    /// VAST or DAAST protocols; the deprecated lone `protocol` when the list is absent.
    pub protocols: &'a [u16],
    pub w: Option<u32>,
    pub h: Option<u32>,
    /// Seconds from the start of content, or 0 pre-roll, -1 mid-roll, -2 post-roll.
    pub startdelay: Option<i32>,
    /// The placement type of before 2023; `plcmt` supersedes it.
    pub placement: Option<u16>,
    /// `ext.plcmt` read too.
    pub plcmt: Option<u16>,
    /// 1 linear, 2 overlay; absent allows both.
    pub linearity: Option<u16>,
    pub skip: Option<bool>,
    pub skipmin: Option<u32>,
    pub skipafter: Option<u32>,
    /// Blocked creative attributes.
    pub battr: &'a [u16],
    /// Seconds it may be extended by: 0 none, -1 without limit.
    pub maxextended: Option<i32>,
    /// Kilobits per second.
    pub minbitrate: Option<u32>,
    pub maxbitrate: Option<u32>,
    /// Letterboxing; absent means allowed.
    pub boxingallowed: Option<bool>,
    pub playbackmethod: &'a [u16],
    pub delivery: &'a [u16],
    pub pos: Option<u16>,
    pub api: &'a [u16],
    pub podid: Option<&'a str>,
    pub podseq: Option<i32>,
    pub poddur: Option<u32>,
    pub maxseq: Option<u32>,
    pub slotinpod: Option<i32>,
    /// Floor per second of creative, CPM in micros of the imp's (or deal's) currency, rounded up.
    pub mincpmpersec_micros: Option<i64>,
    pub durfloors: &'a [DurFloor],
    pub companiontype: &'a [u16],
    /// Audio: 1 music service, 2 broadcast, 3 podcast.
    pub feed: Option<u16>,
    /// Audio: stitched into the stream.
    pub stitched: bool,
    /// Audio: volume normalisation.
    pub nvol: Option<u16>,
    pub poddedupe: &'a [u16],
}

/// The floor of creatives whose duration lies in a range (3.2.35).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DurFloor {
    /// Seconds, inclusive; absent is unbounded.
    pub mindur: Option<u32>,
    pub maxdur: Option<u32>,
    /// As [`super::Imp::bidfloor_micros`].
    pub bidfloor_micros: i64,
}

impl<'a> FromObject<'a> for AudioVideo<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut media = Self::default();
        let mut protocol: &[u16] = &[];
        let mut ext_plcmt = None;
        json.members(|json, key| {
            match key {
                b"mimes" => media.mimes = json.texts()?,
                b"minduration" => media.minduration = json.integer()?,
                b"maxduration" => media.maxduration = json.integer()?,
                b"rqddurs" => media.rqddurs = json.integers()?,
                b"protocols" => media.protocols = json.integers()?,
                b"w" => media.w = json.size("imp.video.w")?,
                b"h" => media.h = json.size("imp.video.h")?,
                b"startdelay" => media.startdelay = json.integer()?,
                b"placement" => media.placement = json.integer()?,
                b"plcmt" => media.plcmt = json.integer()?,
                b"linearity" => media.linearity = json.integer()?,
                b"skip" => media.skip = json.flag()?,
                b"skipmin" => media.skipmin = json.integer()?,
                b"skipafter" => media.skipafter = json.integer()?,
                b"battr" => media.battr = json.integers()?,
                b"maxextended" => media.maxextended = json.integer()?,
                b"minbitrate" => media.minbitrate = json.integer()?,
                b"maxbitrate" => media.maxbitrate = json.integer()?,
                b"boxingallowed" => media.boxingallowed = json.flag()?,
                b"playbackmethod" => media.playbackmethod = json.integers()?,
                b"delivery" => media.delivery = json.integers()?,
                b"pos" => media.pos = json.integer()?,
                b"api" => media.api = json.integers()?,
                b"podid" => media.podid = json.text()?,
                b"podseq" => media.podseq = json.integer()?,
                b"poddur" => media.poddur = json.integer()?,
                b"maxseq" => media.maxseq = json.integer()?,
                b"slotinpod" => media.slotinpod = json.integer()?,
                b"mincpmpersec" => media.mincpmpersec_micros = json.floor_micros()?,
                b"durfloors" => media.durfloors = json.objects()?,
                b"companiontype" => media.companiontype = json.integers()?,
                b"feed" => media.feed = json.integer()?,
                b"stitched" => media.stitched = json.flag()?.unwrap_or_default(),
                b"nvol" => media.nvol = json.integer()?,
                b"poddedupe" => media.poddedupe = json.integers()?,
                b"protocol" => protocol = json.integers()?,
                b"ext" => {
                    json.members(|json, key| {
                        match key {
                            b"plcmt" => ext_plcmt = json.integer()?,
                            _ => json.skip()?,
                        }
                        Ok(())
                    })?;
                }
                _ => json.skip()?,
            }
            Ok(())
        })?;
        if media.protocols.is_empty() {
            media.protocols = protocol;
        }
        media.plcmt = media.plcmt.or(ext_plcmt);
        Ok(media)
    }
}

impl<'a> FromObject<'a> for DurFloor {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut floor = Self::default();
        json.members(|json, key| {
            match key {
                b"mindur" => floor.mindur = json.integer()?,
                b"maxdur" => floor.maxdur = json.integer()?,
                b"bidfloor" => floor.bidfloor_micros = json.floor_micros()?.unwrap_or_default(),
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(floor)
    }
}
