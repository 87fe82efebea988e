//! Quarter-hour rollups.

use crate::error::StorageError;
use crate::event_log::Topic;
use async_trait::async_trait;
use domain::event::{CheckpointDay, Dimensions, SpentTotals};
use domain::id::{AdvertiserId, CampaignId};
use domain::period::Day;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod fresh;
pub use fresh::{Books, DayBooks, Fresh, fresh};

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

impl Totals {
    /// `None` when a sum does not fit in 64 bits.
    #[must_use]
    pub fn checked_add(self, more: Self) -> Option<Self> {
        Some(Self {
            bids: self.bids.checked_add(more.bids)?,
            wins: self.wins.checked_add(more.wins)?,
            losses: self.losses.checked_add(more.losses)?,
            impressions: self.impressions.checked_add(more.impressions)?,
            clicks: self.clicks.checked_add(more.clicks)?,
            video_starts: self.video_starts.checked_add(more.video_starts)?,
            video_completes: self.video_completes.checked_add(more.video_completes)?,
            conversions: self.conversions.checked_add(more.conversions)?,
            conversion_value_micros: self
                .conversion_value_micros
                .checked_add(more.conversion_value_micros)?,
            spend_nanos: self.spend_nanos.checked_add(more.spend_nanos)?,
            media_cost_nanos: self.media_cost_nanos.checked_add(more.media_cost_nanos)?,
            over_delivery_nanos: self.over_delivery_nanos.checked_add(more.over_delivery_nanos)?,
        })
    }
}

/// What one event adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Applied once per id, whatever the number of repeats within the time that ids are remembered.
    pub event_id: String,
    /// The rows it adds to: quarter of an hour, dimensions, amounts. A record of bid counts has many, others one.
    pub rows: Vec<(i64, Arc<Dimensions>, Totals)>,
    /// Of a settled bid: what it adds to its campaign's books.
    pub spend: Option<SettledSpend>,
}

/// What one settled bid adds to its campaign's day and lifetime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledSpend {
    pub advertiser_id: AdvertiserId,
    pub campaign_id: CampaignId,
    /// Instants are 0 where the event did not tell them.
    pub day: Day,
    pub charge_nanos: i64,
    pub over_delivery_nanos: i64,
}

/// A record that can never be applied, kept for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    pub topic: Topic,
    pub partition: u32,
    pub offset: i64,
    pub reason: String,
    /// The first [`SetAside::VALUE_BYTES`] of it.
    pub value: Vec<u8>,
}

impl SetAside {
    pub const VALUE_BYTES: usize = 1_024;
    /// The latest that a store keeps: a flood of them must not fill it.
    pub const KEPT: u32 = 10_000;
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

/// What is applied in one transaction: of any number of partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportBatch {
    /// At most one of each partition.
    pub advances: Vec<Advance>,
    pub contributions: Vec<Contribution>,
    pub set_aside: Vec<SetAside>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub fresh: u64,
    /// Places, among the batch's contributions, of those whose event was applied before.
    pub repeated: Vec<usize>,
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

/// What a campaign's settled bids came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignSpend {
    pub advertiser_id: AdvertiserId,
    pub campaign_id: CampaignId,
    /// By their start.
    pub days: Vec<CheckpointDay>,
    pub lifetime: SpentTotals,
}

/// Some campaigns' books, all as of the same offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpendPage {
    /// The next offset of every partition of `spend` that was ever read: each event below is in the books, none at or above.
    pub offsets: Vec<(u32, i64)>,
    /// In the order of their ids.
    pub campaigns: Vec<CampaignSpend>,
    /// Asked for what changed since then, the store leaves out nothing that this page's state did not hold yet.
    pub mark: i64,
}

/// What the event ids of conversions begin with.
pub const CONVERSION_IDS: &str = "conversion:";
/// How much longer they are remembered than others: the longest look-back.
pub const CONVERSION_IDS_KEPT_MS: i64 = 366 * 24 * 60 * 60 * 1_000;

#[async_trait]
pub trait ReportStore: Send + Sync {
    /// Rollups, campaigns' books, event ids, records set aside and offsets in one transaction. `Conflict` (and nothing
    /// applied) when a partition no longer stands at `from_offset`: another reader went on from there. Dimension values
    /// beyond what a dimension may hold in a day (1,000 of `site_or_bundle`) are counted as `other`.
    async fn apply(&self, batch: Arc<ReportBatch>, now_ms: i64) -> Result<Applied, StorageError>;

    /// Where a reader goes on in each of the partitions, in their order; 0 for one never read.
    async fn offsets(&self, partitions: &[(Topic, u32)]) -> Result<Vec<i64>, StorageError>;

    /// Rows with something in them, ordered by bucket, then by values.
    async fn query(&self, query: &ReportQuery) -> Result<Vec<ReportRow>, StorageError>;

    /// The books of at most `limit` campaigns after `after` that changed since the mark (`None`: all), in one consistent read
    /// with the offsets. Only days that end after `days_from_ms`.
    async fn spend(
        &self,
        changed_since: Option<i64>,
        after: Option<&CampaignId>,
        days_from_ms: i64,
        limit: u32,
    ) -> Result<SpendPage, StorageError>;

    /// The latest records set aside, the last one first, each with when that was.
    async fn set_aside(&self, limit: u32) -> Result<Vec<(i64, SetAside)>, StorageError>;

    /// Forgets event ids applied, records set aside and campaigns' days ended before the instant; ids of conversions
    /// ([`CONVERSION_IDS`]) a year later, since they can repeat as long as a click counts.
    async fn forget_event_ids(&self, before_ms: i64) -> Result<(), StorageError>;

    /// Forgets the rollups of UTC days that ended at or before the instant; how many days.
    async fn forget_rollups(&self, before_ms: i64) -> Result<u64, StorageError>;
}
