//! An advertiser's own list of users. Who is on it is not part of it: members are kept with each user's state.

use crate::id::{AdvertiserId, AudienceId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a client may set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudienceSpec {
    pub advertiser_id: AdvertiserId,
    /// The client's own id, unique for the advertiser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    pub name: String,
    #[serde(default)]
    pub status: AudienceStatus,
    /// A member stays so long after the last upload that named it.
    #[serde(default = "default_membership_days")]
    pub membership_days: i64,
}

fn default_membership_days() -> i64 {
    30
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudienceStatus {
    #[default]
    Active,
    /// To campaigns nobody is on it any more.
    Archived,
}

/// What uploads came to, counted by what they named: who is named twice counts twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Uploads {
    pub added: i64,
    pub removed: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    pub id: AudienceId,
    #[serde(flatten)]
    pub spec: AudienceSpec,
    #[serde(default)]
    pub uploads: Uploads,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Audience {
    /// When the membership of someone named now ends, Unix milliseconds.
    #[must_use]
    pub fn membership_until_ms(&self, now_ms: i64) -> i64 {
        const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
        now_ms.saturating_add(self.spec.membership_days.saturating_mul(DAY_MS))
    }
}
