use super::Geo;
use crate::Malformed;
use crate::json::{FromObject, Reader};

/// The person (3.2.20). An absent one reads as one of whom nothing is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct User<'a> {
    /// The exchange's id.
    pub id: Option<&'a str>,
    /// Our own id, as matched by the exchange.
    pub buyeruid: Option<&'a str>,
    /// Year of birth.
    pub yob: Option<u16>,
    /// `M`, `F`, `O`.
    pub gender: Option<&'a str>,
    /// Comma-separated; `kwarray` is the same as a list.
    pub keywords: Option<&'a str>,
    pub kwarray: &'a [&'a str],
    /// The TCF consent string; `ext.consent` read too.
    pub consent: Option<&'a str>,
    /// `ext.eids` read too.
    pub eids: &'a [Eid<'a>],
    pub data: &'a [Data<'a>],
    pub geo: Geo<'a>,
}

/// Ids of one source (3.2.27).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Eid<'a> {
    pub source: Option<&'a str>,
    pub uids: &'a [Uid<'a>],
}

/// One id (3.2.28).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Uid<'a> {
    pub id: Option<&'a str>,
    /// 1 web or cookie, 2 application, 3 a person.
    pub atype: Option<u16>,
}

/// What a provider says of the user (3.2.21).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Data<'a> {
    pub id: Option<&'a str>,
    pub name: Option<&'a str>,
    pub segment: &'a [Segment<'a>],
}

/// One statement of a provider (3.2.22).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Segment<'a> {
    pub id: Option<&'a str>,
    pub name: Option<&'a str>,
    pub value: Option<&'a str>,
}

impl<'a> FromObject<'a> for User<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut user = Self::default();
        let mut ext = Self::default();
        json.members(|json, key| match key {
            b"ext" => json.members(|json, key| ext.read_member(key, json)).map(drop),
            _ => user.read_member(key, json),
        })?;
        user.consent = user.consent.or(ext.consent);
        if user.eids.is_empty() {
            user.eids = ext.eids;
        }
        Ok(user)
    }
}

impl<'a> User<'a> {
    fn read_member(&mut self, key: &[u8], json: &mut Reader<'a>) -> Result<(), Malformed> {
        match key {
            b"id" => self.id = json.text()?,
            b"buyeruid" => self.buyeruid = json.text()?,
            b"yob" => self.yob = json.integer()?,
            b"gender" => self.gender = json.text()?,
            b"keywords" => self.keywords = json.text()?,
            b"kwarray" => self.kwarray = json.texts()?,
            b"consent" => self.consent = json.text()?,
            b"eids" => self.eids = json.objects()?,
            b"data" => self.data = json.objects()?,
            b"geo" => self.geo = json.object_or_default()?,
            _ => json.skip()?,
        }
        Ok(())
    }
}

impl<'a> FromObject<'a> for Eid<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut eid = Self::default();
        json.members(|json, key| {
            match key {
                b"source" => eid.source = json.text()?,
                b"uids" => eid.uids = json.objects()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(eid)
    }
}

impl<'a> FromObject<'a> for Uid<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut uid = Self::default();
        json.members(|json, key| {
            match key {
                b"id" => uid.id = json.text()?,
                b"atype" => uid.atype = json.integer()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(uid)
    }
}

impl<'a> FromObject<'a> for Data<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut data = Self::default();
        json.members(|json, key| {
            match key {
                b"id" => data.id = json.text()?,
                b"name" => data.name = json.text()?,
                b"segment" => data.segment = json.objects()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(data)
    }
}

impl<'a> FromObject<'a> for Segment<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut segment = Self::default();
        json.members(|json, key| {
            match key {
                b"id" => segment.id = json.text()?,
                b"name" => segment.name = json.text()?,
                b"value" => segment.value = json.text()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(segment)
    }
}
