//! `BidResponse` (4.2), written and read.

mod read;
mod write;

pub use read::read_response;
pub use write::{JsonText, write_response};

/// A bid response (4.2.1). Empty slices and `None` are left out of what is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BidResponse<'a> {
    /// The request's.
    pub id: &'a str,
    pub seatbid: &'a [SeatBid<'a>],
    pub bidid: Option<&'a str>,
    /// The one currency of all prices in it; `None` means USD.
    pub cur: Option<&'a str>,
    /// See [`crate::codes::no_bid_reason`].
    pub nbr: Option<u16>,
}

/// The bids of one seat (4.2.2).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeatBid<'a> {
    pub bid: &'a [Bid<'a>],
    pub seat: Option<&'a str>,
}

/// One bid (4.2.3).
///
/// `adm`, `nurl`, `burl` and `lurl` are given in pieces and written one after the other, so that
/// nobody has to join them first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bid<'a> {
    pub id: &'a str,
    pub impid: &'a str,
    /// CPM in micros of the response's currency.
    pub price_micros: i64,
    pub nurl: &'a [&'a str],
    pub burl: &'a [&'a str],
    pub lurl: &'a [&'a str],
    pub adm: &'a [&'a str],
    pub adid: Option<&'a str>,
    pub adomain: &'a [&'a str],
    pub bundle: Option<&'a str>,
    pub iurl: Option<&'a str>,
    pub cid: Option<&'a str>,
    pub crid: Option<&'a str>,
    pub tactic: Option<&'a str>,
    pub cat: &'a [&'a str],
    pub cattax: Option<u16>,
    pub attr: &'a [u16],
    pub apis: &'a [u16],
    pub protocol: Option<u16>,
    pub qagmediarating: Option<u16>,
    pub language: Option<&'a str>,
    pub dealid: Option<&'a str>,
    pub w: Option<u32>,
    pub h: Option<u32>,
    /// Seconds of a video or audio.
    pub dur: Option<u32>,
    pub slotinpod: Option<i32>,
    /// See [`crate::codes::mtype`].
    pub mtype: Option<u16>,
    /// Seconds from auction to impression that the bid stands for.
    pub exp: Option<u32>,
    /// `ext.dsa`.
    pub dsa: Option<BidDsa<'a>>,
}

/// What the Digital Services Act wants said of an advertisement (`bid.ext.dsa`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BidDsa<'a> {
    /// On whose behalf it is shown.
    pub behalf: Option<&'a str>,
    /// Who paid for it.
    pub paid: Option<&'a str>,
    pub transparency: &'a [crate::request::DsaTransparency<'a>],
    /// 1: the advertiser renders the disclosure itself.
    pub adrender: Option<u16>,
}
