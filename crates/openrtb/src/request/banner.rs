use crate::Malformed;
use crate::json::{FromObject, Reader};

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
