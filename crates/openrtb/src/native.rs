//! What a native offer asks for: the request of OpenRTB Dynamic Native Ads 1.2, found as text in
//! `imp.native.request`.

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
