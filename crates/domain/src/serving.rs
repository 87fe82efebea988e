//! The value of topic `campaigns`: all that serving needs to know of one campaign.

use crate::advertiser::AdvertiserStatus;
use crate::campaign::Campaign;
use crate::creative::Creative;
use crate::id::AdvertiserId;
use crate::period::{Day, Limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Raised when a reader of the old shape would misunderstand the new one.
pub const SCHEMA: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingCampaign {
    pub schema: u32,
    /// Readers drop a record whose (generation, revision) is older than what they hold.
    pub generation: i64,
    pub revision: i64,
    /// Capabilities without which a reader would bid too broadly; one that lacks any leaves the campaign out.
    #[serde(default)]
    pub requires: Vec<String>,
    pub campaign: Campaign,
    pub advertiser: ServingAdvertiser,
    /// Active ones only, with their reviews.
    pub creatives: Vec<Creative>,
    pub limits: Limits,
    /// Today and the days after it, without gaps.
    pub days: Vec<Day>,
    /// W3C Trace Context of the relay that sent the record, if the change's trace is sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServingAdvertiser {
    pub id: AdvertiserId,
    pub status: AdvertiserStatus,
    #[serde(default)]
    pub legal_name: Option<String>,
    #[serde(default)]
    pub paid_by: Option<String>,
    #[serde(default)]
    pub seats: BTreeMap<String, String>,
    pub conversion_lookback_days: i64,
}

/// The value of topic `exchanges`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingExchange {
    pub schema: u32,
    pub generation: i64,
    pub revision: i64,
    pub exchange: crate::exchange::Exchange,
}
