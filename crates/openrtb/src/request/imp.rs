use super::AudioVideo;

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
