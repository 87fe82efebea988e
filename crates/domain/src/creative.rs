//! Creatives: banner, video, audio, native.

use crate::flat::deserialize_flat;
use crate::id::{CampaignId, CreativeId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a client may set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreativeSpec {
    pub name: String,
    #[serde(default)]
    pub status: CreativeStatus,
    pub format: Format,
    /// Banner: HTML. Video and audio: VAST XML. With macros `{CLICK_URL}`, `{CLICK_ID}`, `{CACHEBUSTER}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markup: Option<String>,
    /// Native only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<NativeAsset>,
    /// Video and audio, instead of `markup`: where the VAST document is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vast_url: Option<String>,
    /// Pixels: banner and video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<i64>,
    /// Video and audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// Video and audio: of the media file; `video/mp4` or `audio/mpeg` unless said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mimes: Vec<String>,
    /// Video and audio: AdCOM "Creative Subtypes - Audio/Video" (3 is VAST 3.0, 7 is VAST 4.0);
    /// VAST 2.0 and 3.0 unless said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<i64>,
    /// Landing page.
    pub click_url: String,
    /// Advertiser domains.
    pub adomain: Vec<String>,
    /// IAB categories in taxonomy `cattax`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// AdCOM list "Category Taxonomies": 1 is IAB Content Category Taxonomy 1.0.
    #[serde(default = "default_cattax")]
    pub cattax: i64,
    /// AdCOM list "Creative Attributes".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<i64>,
    /// AdCOM list "API Frameworks" that the markup needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apis: Vec<i64>,
    /// ISO 639-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub impression_trackers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub click_trackers: Vec<String>,
    /// Share of the campaign's impressions among the creatives that fit.
    #[serde(default = "default_weight")]
    pub weight: u32,
}

fn default_cattax() -> i64 {
    1
}

fn default_weight() -> u32 {
    1
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreativeStatus {
    #[default]
    Active,
    Paused,
    Archived,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Banner,
    Video,
    Audio,
    Native,
}

impl Format {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Banner => "banner",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Native => "native",
        }
    }
}

/// One asset of a native ad (OpenRTB Native 1.2, 5.3). Which request asset it answers is found by kind and type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NativeAsset {
    Title {
        text: String,
    },
    Image {
        /// Native 1.2, 7.4: 1 icon, 3 main.
        image_type: i64,
        url: String,
        width: i64,
        height: i64,
    },
    Data {
        /// Native 1.2, 7.3: 1 sponsored by, 2 description, 12 call to action, …
        data_type: i64,
        value: String,
    },
    Video {
        /// The VAST document itself.
        vast: String,
        duration_ms: i64,
    },
}

/// One exchange's word on a creative. An exchange that says nothing is taken to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    pub exchange: String,
    pub status: ReviewStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewStatus {
    Pending,
    Approved,
    Rejected,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Creative {
    pub id: CreativeId,
    pub campaign_id: CampaignId,
    #[serde(flatten)]
    pub spec: CreativeSpec,
    /// Raised whenever what is shown changes; `crid` is `{id}.{version}`.
    pub version: i64,
    /// Set by an administrator or by the exchange's review, not by the advertiser.
    pub reviews: Vec<Review>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

deserialize_flat!(Creative {
    spec: CreativeSpec,
    id: CreativeId,
    campaign_id: CampaignId,
    version: i64,
    reviews: Vec<Review> = Vec::new(),
    created_at: Timestamp,
    updated_at: Timestamp,
});

impl Creative {
    /// Stable, changes with the content, at most 64 bytes (OpenRTB 2.6, 4.2.3 `crid`).
    #[must_use]
    pub fn crid(&self) -> String {
        format!("{}.{}", self.id, self.version)
    }
}
