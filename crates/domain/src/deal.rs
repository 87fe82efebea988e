//! An agreement with a seller, as an advertiser knows it. Its terms (floor, seats, kind of auction) come with each request;
//! what is kept here is which of an exchange's deals it is, and whether it is to be bid on.

use crate::id::{AdvertiserId, DealId, ExchangeId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Stands in no text that a client may set, and in no id that is taken from a request.
const BEHIND_EXCHANGE: &str = "\u{1f}";

/// Whether it can be an exchange's id of a deal.
pub fn is_plain_id(text: &str) -> bool {
    !text.contains(BEHIND_EXCHANGE)
}

/// A deal of one exchange, in the pieces of the text that campaigns are published with: two exchanges may give two deals the
/// same id.
pub fn at_exchange<'a>(exchange: &'a ExchangeId, deal_id: &'a str) -> [&'a str; 3] {
    [exchange.as_str(), BEHIND_EXCHANGE, deal_id]
}

/// What a client may set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DealSpec {
    pub advertiser_id: AdvertiserId,
    pub name: String,
    #[serde(default)]
    pub status: DealStatus,
    pub exchange: ExchangeId,
    /// The exchange's own id of it, as requests have it.
    pub deal_id: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DealStatus {
    #[default]
    Active,
    /// No campaign that names it bids on it.
    Paused,
    Archived,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deal {
    pub id: DealId,
    #[serde(flatten)]
    pub spec: DealSpec,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
