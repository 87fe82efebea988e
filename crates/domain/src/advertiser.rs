//! The tenant.

use crate::flat::deserialize_flat;
use crate::id::AdvertiserId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a client may set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdvertiserSpec {
    pub name: String,
    /// On whose behalf the ads are shown (`behalf` of the DSA transparency object).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_name: Option<String>,
    /// Who paid for them (`paid` of the DSA transparency object).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_by: Option<String>,
    #[serde(default)]
    pub status: AdvertiserStatus,
    /// Seat to bid with, by exchange; an exchange not named uses its own default seat.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seats: BTreeMap<String, String>,
    /// Days after a click within which a conversion counts.
    #[serde(default = "default_lookback_days")]
    pub conversion_lookback_days: i64,
}

fn default_lookback_days() -> i64 {
    30
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdvertiserStatus {
    #[default]
    Active,
    /// Nothing of this advertiser bids.
    Paused,
    Archived,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advertiser {
    pub id: AdvertiserId,
    #[serde(flatten)]
    pub spec: AdvertiserSpec,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

deserialize_flat!(Advertiser {
    spec: AdvertiserSpec,
    id: AdvertiserId,
    created_at: Timestamp,
    updated_at: Timestamp
});
