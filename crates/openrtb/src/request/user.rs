use super::Geo;

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
