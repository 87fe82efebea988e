//! What a native offer asks for: the request of OpenRTB Dynamic Native Ads 1.2, found as text in
//! `imp.native.request`.

use bumpalo::Bump;

use crate::Malformed;
use crate::json::{FromObject, Reader};

/// A native request (Native 1.2, 4.1).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NativeRequest<'a> {
    pub ver: Option<&'a str>,
    pub context: Option<u16>,
    pub contextsubtype: Option<u16>,
    pub plcmttype: Option<u16>,
    /// How many identical placements; 1 when absent.
    pub plcmtcnt: u32,
    pub assets: &'a [Asset<'a>],
    pub eventtrackers: &'a [EventTracker<'a>],
    /// A privacy link may be given.
    pub privacy: bool,
}

/// One asset on request (4.2). Exactly one of the four kinds should be there; an asset with none of
/// them is of a kind we do not know.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asset<'a> {
    /// A response's asset names it; `None` is an asset nobody can answer.
    pub id: Option<i64>,
    pub required: bool,
    pub title: Option<Title>,
    pub img: Option<Image<'a>>,
    pub video: Option<Video<'a>>,
    pub data: Option<DataAsset>,
}

/// A title (4.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Title {
    /// The most characters it may have.
    pub len: Option<u32>,
}

/// An image (4.4); sizes in pixels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Image<'a> {
    /// `type`: 1 icon, 3 main.
    pub kind: Option<u16>,
    pub w: Option<u32>,
    pub h: Option<u32>,
    pub wmin: Option<u32>,
    pub hmin: Option<u32>,
    pub mimes: &'a [&'a str],
}

/// A video (4.5); seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Video<'a> {
    pub mimes: &'a [&'a str],
    pub minduration: Option<u32>,
    pub maxduration: Option<u32>,
    pub protocols: &'a [u16],
}

/// A text of a set meaning (4.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataAsset {
    /// `type`: 1 sponsored by, 2 description, 12 call to action, ...
    pub kind: Option<u16>,
    /// The most characters it may have.
    pub len: Option<u32>,
}

/// An event we may track, and how (4.7).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventTracker<'a> {
    /// 1 impression, 2 to 4 viewable.
    pub event: Option<u16>,
    /// 1 image, 2 script.
    pub methods: &'a [u16],
}

/// Reads the text of `imp.native.request`, bare or wrapped in `{"native": ...}`, by the same rules of
/// tolerance as a bid request.
///
/// # Errors
/// When it is no JSON object or has an image of negative size. The native offer cannot be used then;
/// the bid request around it stands.
pub fn read_request<'a>(json_text: &'a str, arena: &'a Bump) -> Result<NativeRequest<'a>, Malformed> {
    Reader::new(json_text, arena).document()
}

impl<'a> FromObject<'a> for NativeRequest<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut request = Self {
            plcmtcnt: 1,
            ..Self::default()
        };
        json.members(|json, key| match key {
            b"native" => json.members(|json, key| request.read_member(key, json)).map(drop),
            _ => request.read_member(key, json),
        })?;
        Ok(request)
    }
}

impl<'a> NativeRequest<'a> {
    fn read_member(&mut self, key: &[u8], json: &mut Reader<'a>) -> Result<(), Malformed> {
        match key {
            b"ver" => self.ver = json.text()?,
            b"context" => self.context = json.integer()?,
            b"contextsubtype" => self.contextsubtype = json.integer()?,
            b"plcmttype" => self.plcmttype = json.integer()?,
            b"plcmtcnt" => self.plcmtcnt = json.integer()?.unwrap_or(1),
            b"assets" => self.assets = json.objects()?,
            b"eventtrackers" => self.eventtrackers = json.objects()?,
            b"privacy" => self.privacy = json.flag()?.unwrap_or_default(),
            _ => json.skip()?,
        }
        Ok(())
    }
}

impl<'a> FromObject<'a> for Asset<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut asset = Self::default();
        json.members(|json, key| {
            match key {
                b"id" => asset.id = json.integer()?,
                b"required" => asset.required = json.flag()?.unwrap_or_default(),
                b"title" => asset.title = json.object()?,
                b"img" => asset.img = json.object()?,
                b"video" => asset.video = json.object()?,
                b"data" => asset.data = json.object()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(asset)
    }
}

impl<'a> FromObject<'a> for Title {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut title = Self::default();
        json.members(|json, key| {
            match key {
                b"len" => title.len = json.integer()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(title)
    }
}

impl<'a> FromObject<'a> for Image<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut image = Self::default();
        json.members(|json, key| {
            match key {
                b"type" => image.kind = json.integer()?,
                b"w" => image.w = json.size("assets.img.w")?,
                b"h" => image.h = json.size("assets.img.h")?,
                b"wmin" => image.wmin = json.size("assets.img.wmin")?,
                b"hmin" => image.hmin = json.size("assets.img.hmin")?,
                b"mimes" => image.mimes = json.texts()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(image)
    }
}

impl<'a> FromObject<'a> for Video<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut video = Self::default();
        json.members(|json, key| {
            match key {
                b"mimes" => video.mimes = json.texts()?,
                b"minduration" => video.minduration = json.integer()?,
                b"maxduration" => video.maxduration = json.integer()?,
                b"protocols" => video.protocols = json.integers()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(video)
    }
}

impl<'a> FromObject<'a> for DataAsset {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut data = Self::default();
        json.members(|json, key| {
            match key {
                b"type" => data.kind = json.integer()?,
                b"len" => data.len = json.integer()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(data)
    }
}

impl<'a> FromObject<'a> for EventTracker<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut tracker = Self::default();
        json.members(|json, key| {
            match key {
                b"event" => tracker.event = json.integer()?,
                b"methods" => tracker.methods = json.integers()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(tracker)
    }
}
