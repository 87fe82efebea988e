use std::slice;

use bumpalo::Bump;

use super::{Bid, BidDsa, BidResponse, SeatBid};
use crate::Malformed;
use crate::decimal::Rounding;
use crate::json::{FromObject, Reader};

/// Reads one bid response, as an exchange does, by the same rules of tolerance as a request.
///
/// `adm` and the notice URLs come as one piece each. A bid without `id`, `impid` or `price` has them
/// empty or 0, for the exchange to refuse.
///
/// # Errors
/// When the body is not a JSON object in UTF-8, has no `id`, or names a negative size.
pub fn read_response<'a>(body: &'a [u8], arena: &'a Bump) -> Result<BidResponse<'a>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed::NotUtf8)?;
    Reader::new(text, arena).document()
}

impl<'a> FromObject<'a> for BidResponse<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut response = Self::default();
        let mut id = None;
        json.members(|json, key| {
            match key {
                b"id" => id = json.text()?,
                b"seatbid" => response.seatbid = json.objects()?,
                b"bidid" => response.bidid = json.text()?,
                b"cur" => response.cur = json.text()?,
                b"nbr" => response.nbr = json.integer()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        response.id = id.ok_or(Malformed::MissingId)?;
        Ok(response)
    }
}

impl<'a> FromObject<'a> for SeatBid<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut seat_bid = Self::default();
        json.members(|json, key| {
            match key {
                b"bid" => seat_bid.bid = json.objects()?,
                b"seat" => seat_bid.seat = json.text()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(seat_bid)
    }
}

impl<'a> FromObject<'a> for Bid<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut bid = Self::default();
        json.members(|json, key| {
            match key {
                b"id" => bid.id = json.text()?.unwrap_or_default(),
                b"impid" => bid.impid = json.text()?.unwrap_or_default(),
                b"price" => bid.price_micros = json.micros(Rounding::Down)?.unwrap_or_default(),
                b"nurl" => bid.nurl = piece(json)?,
                b"burl" => bid.burl = piece(json)?,
                b"lurl" => bid.lurl = piece(json)?,
                b"adm" => bid.adm = piece(json)?,
                b"adid" => bid.adid = json.text()?,
                b"adomain" => bid.adomain = json.texts()?,
                b"bundle" => bid.bundle = json.text()?,
                b"iurl" => bid.iurl = json.text()?,
                b"cid" => bid.cid = json.text()?,
                b"crid" => bid.crid = json.text()?,
                b"tactic" => bid.tactic = json.text()?,
                b"cat" => bid.cat = json.texts()?,
                b"cattax" => bid.cattax = json.integer()?,
                b"attr" => bid.attr = json.integers()?,
                b"apis" => bid.apis = json.integers()?,
                b"protocol" => bid.protocol = json.integer()?,
                b"qagmediarating" => bid.qagmediarating = json.integer()?,
                b"language" => bid.language = json.text()?,
                b"dealid" => bid.dealid = json.text()?,
                b"w" => bid.w = json.size("seatbid.bid.w")?,
                b"h" => bid.h = json.size("seatbid.bid.h")?,
                b"dur" => bid.dur = json.integer()?,
                b"slotinpod" => bid.slotinpod = json.integer()?,
                b"mtype" => bid.mtype = json.integer()?,
                b"exp" => bid.exp = json.integer()?,
                b"ext" => {
                    json.members(|json, key| {
                        match key {
                            b"dsa" => bid.dsa = json.object()?,
                            _ => json.skip()?,
                        }
                        Ok(())
                    })?;
                }
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(bid)
    }
}

impl<'a> FromObject<'a> for BidDsa<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut dsa = Self::default();
        json.members(|json, key| {
            match key {
                b"behalf" => dsa.behalf = json.text()?,
                b"paid" => dsa.paid = json.text()?,
                b"transparency" => dsa.transparency = json.objects()?,
                b"adrender" => dsa.adrender = json.integer()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(dsa)
    }
}

fn piece<'a>(json: &mut Reader<'a>) -> Result<&'a [&'a str], Malformed> {
    let text = json.text()?;
    Ok(text.map_or(&[], |text| slice::from_ref(json.arena().alloc(text))))
}
