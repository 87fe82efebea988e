//! Campaigns: flight, budget, pacing, bid, targeting, frequency caps, status.

use crate::currency::Currency;
use crate::flat::deserialize_flat;
use crate::id::{AdvertiserId, CampaignId};
use crate::targeting::Targeting;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a client may set. Amounts are micros of `budget.currency`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignSpec {
    pub advertiser_id: AdvertiserId,
    pub name: String,
    /// The client's own id, unique within the advertiser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(default)]
    pub status: CampaignStatus,
    pub flight: Flight,
    pub budget: Budget,
    #[serde(default)]
    pub pacing: Pacing,
    pub bid: BidSpec,
    #[serde(default)]
    pub targeting: Targeting,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frequency_caps: Vec<FrequencyCap>,
    /// The platform's fee on top of the media cost, parts per million.
    #[serde(default)]
    pub fee_ppm: i64,
    /// Share of the budget kept free for billings that come too late to be backed by a lease, parts per million.
    #[serde(default)]
    pub reserve_ppm: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignStatus {
    #[default]
    Draft,
    Active,
    Paused,
    Archived,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flight {
    pub start: Timestamp,
    /// Exclusive; absent means until paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// IANA name; the campaign's days begin at its midnight.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// At least one of the two limits is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub currency: Currency,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_micros: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_micros: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    #[default]
    Even,
    Asap,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BidSpec {
    #[serde(default)]
    pub strategy: BidStrategy,
    /// The most one thousand impressions may cost, fee not included.
    pub max_cpm_micros: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BidStrategy {
    #[default]
    MaxCpm,
}

/// At most `impressions` to one user within `window`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrequencyCap {
    pub impressions: u32,
    pub window: CapWindow,
    #[serde(default)]
    pub scope: CapScope,
    /// What holds where no user is known.
    #[serde(default)]
    pub unidentified: Unidentified,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapWindow {
    Hour,
    Day,
    Week,
    /// Thirty days.
    Month,
}

impl CapWindow {
    /// Length of the window, which begins with its first impression.
    #[must_use]
    pub fn length_ms(self) -> i64 {
        const HOUR_MS: i64 = 3_600_000;
        match self {
            Self::Hour => HOUR_MS,
            Self::Day => 24 * HOUR_MS,
            Self::Week => 7 * 24 * HOUR_MS,
            Self::Month => 30 * 24 * HOUR_MS,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapScope {
    #[default]
    Campaign,
    Creative,
    Advertiser,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unidentified {
    #[default]
    Skip,
    Bid,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Campaign {
    pub id: CampaignId,
    #[serde(flatten)]
    pub spec: CampaignSpec,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

deserialize_flat!(Campaign {
    spec: CampaignSpec,
    id: CampaignId,
    created_at: Timestamp,
    updated_at: Timestamp
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_reads_back_what_it_shows() {
        let campaign = Campaign {
            id: CampaignId::mint(0, 1),
            spec: serde_json::from_value(serde_json::json!({
                "advertiser_id": "adv_1", "name": "n", "flight": {"start": "2026-01-01T00:00:00Z"},
                "budget": {"currency": "USD", "daily_micros": 1}, "bid": {"max_cpm_micros": 1},
            }))
            .unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        let text = serde_json::to_string(&campaign).unwrap();
        assert_eq!(serde_json::from_str::<Campaign>(&text).unwrap(), campaign);
    }
}
