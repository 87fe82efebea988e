//! Quarter-hour rollups.

use crate::error::StorageError;
use crate::event_log::Topic;
use async_trait::async_trait;
use domain::event::Dimensions;
use serde::{Deserialize, Serialize};

/// The dimension columns, in the order of [`Dimensions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    Advertiser,
    Campaign,
    Creative,
    Exchange,
    Deal,
    Country,
    Device,
    Os,
    Format,
    Size,
    Placement,
    SiteOrBundle,
}

impl Dimension {
    pub const ALL: [Self; 12] = [
        Self::Advertiser,
        Self::Campaign,
        Self::Creative,
        Self::Exchange,
        Self::Deal,
        Self::Country,
        Self::Device,
        Self::Os,
        Self::Format,
        Self::Size,
        Self::Placement,
        Self::SiteOrBundle,
    ];

    /// As reports and columns spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Advertiser => "advertiser",
            Self::Campaign => "campaign",
            Self::Creative => "creative",
            Self::Exchange => "exchange",
            Self::Deal => "deal",
            Self::Country => "country",
            Self::Device => "device",
            Self::Os => "os",
            Self::Format => "format",
            Self::Size => "size",
            Self::Placement => "placement",
            Self::SiteOrBundle => "site_or_bundle",
        }
    }
}

/// What is added up. Ratios (ctr, win rate, eCPM) are computed from these when a report is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    pub bids: i64,
    pub wins: i64,
    pub losses: i64,
    pub impressions: i64,
    pub clicks: i64,
    pub video_starts: i64,
    pub video_completes: i64,
    pub conversions: i64,
    pub conversion_value_micros: i64,
    /// What campaigns pay: media cost and fee. Nanos of each campaign's currency.
    pub spend_nanos: i64,
    pub media_cost_nanos: i64,
    pub over_delivery_nanos: i64,
}

/// What one event adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Applied once per id, whatever the number of repeats within the time that ids are remembered.
    pub event_id: String,
    /// The rows it adds to: quarter of an hour, dimensions, amounts. A record of bid counts has many, others one.
    pub rows: Vec<(i64, Dimensions, Totals)>,
}

/// A reader's step through one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    pub topic: Topic,
    pub partition: u32,
    /// The offset that must be stored now (0 when none is).
    pub from_offset: i64,
    pub to_offset: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub fresh: u64,
    pub repeated: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportQuery {
    /// Half-open, Unix milliseconds, ascending, without overlap; boundaries on quarters of an hour.
    pub buckets: Vec<(i64, i64)>,
    pub dimensions: Vec<Dimension>,
    /// Each must hold: the dimension is one of the values. A tenant's reports carry its advertiser here.
    pub filters: Vec<(Dimension, Vec<String>)>,
    pub offset: u32,
    pub limit: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRow {
    /// Index into the query's buckets.
    pub bucket: usize,
    /// One value for each of the query's dimensions.
    pub values: Vec<String>,
    pub totals: Totals,
}

#[async_trait]
pub trait ReportStore: Send + Sync {
    /// Rollups, event ids and offsets in one transaction. `Conflict` (and nothing applied) when a partition no longer
    /// stands at `from_offset`: another reader went on from there. Dimension values beyond what a dimension may hold
    /// in a day (1,000 of `site_or_bundle`) are counted as `other`.
    async fn apply(
        &self,
        advances: &[Advance],
        contributions: &[Contribution],
        now_ms: i64,
    ) -> Result<Applied, StorageError>;

    /// Where a reader goes on; 0 for a partition never read.
    async fn offset(&self, topic: Topic, partition: u32) -> Result<i64, StorageError>;

    /// Rows with something in them, ordered by bucket, then by values.
    async fn query(&self, query: &ReportQuery) -> Result<Vec<ReportRow>, StorageError>;

    /// Forgets event ids applied before the instant.
    async fn forget_event_ids(&self, before_ms: i64) -> Result<(), StorageError>;
}
