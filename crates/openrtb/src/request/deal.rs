use super::DurFloor;
use crate::Malformed;
use crate::json::{FromObject, Reader};

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
    /// As [`super::Imp::bidfloor_micros`]; `None` when the deal names no floor.
    pub bidfloor_micros: Option<i64>,
    /// `USD` when absent; it does not inherit from the imp.
    pub bidfloorcur: &'a str,
    /// Overrides the request's; 3 is fixed price, the floor being the price.
    pub at: Option<u16>,
    pub wseat: &'a [&'a str],
    pub wadomain: &'a [&'a str],
    /// Guaranteed delivery.
    pub guar: bool,
    /// As [`super::AudioVideo::mincpmpersec_micros`].
    pub mincpmpersec_micros: Option<i64>,
    pub durfloors: &'a [DurFloor],
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

/// The default of `bidfloorcur` wherever it occurs.
pub(super) fn or_usd(currency: &str) -> &str {
    if currency.is_empty() { "USD" } else { currency }
}
