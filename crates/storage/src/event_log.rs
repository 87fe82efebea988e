//! Ordered, durable, replayable topics.

use crate::error::StorageError;
use async_trait::async_trait;
use std::time::Duration;

/// Names, compaction and retention are the platform's contract with the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    Campaigns,
    Exchanges,
    Deals,
    LedgerCheckpoints,
    Bids,
    Wins,
    Losses,
    Impressions,
    Clicks,
    Conversions,
    Spend,
    Diagnosis,
    Status,
}

impl Topic {
    pub const ALL: [Self; 13] = [
        Self::Campaigns,
        Self::Exchanges,
        Self::Deals,
        Self::LedgerCheckpoints,
        Self::Bids,
        Self::Wins,
        Self::Losses,
        Self::Impressions,
        Self::Clicks,
        Self::Conversions,
        Self::Spend,
        Self::Diagnosis,
        Self::Status,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Campaigns => "campaigns",
            Self::Exchanges => "exchanges",
            Self::Deals => "deals",
            Self::LedgerCheckpoints => "ledger_checkpoints",
            Self::Bids => "bids",
            Self::Wins => "wins",
            Self::Losses => "losses",
            Self::Impressions => "impressions",
            Self::Clicks => "clicks",
            Self::Conversions => "conversions",
            Self::Spend => "spend",
            Self::Diagnosis => "diagnosis",
            Self::Status => "status",
        }
    }

    /// The topic of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// Only the last record of a key is kept; one without a value (a tombstone) removes the key.
    #[must_use]
    pub fn is_compacted(self) -> bool {
        matches!(
            self,
            Self::Campaigns | Self::Exchanges | Self::Deals | Self::LedgerCheckpoints
        )
    }

    /// How long records of the others are kept.
    #[must_use]
    pub fn retention(self) -> Option<Duration> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        if self.is_compacted() {
            return None;
        }
        Some(if matches!(self, Self::Spend | Self::Wins) {
            35 * DAY
        } else {
            3 * DAY
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Records of one key keep their order.
    pub key: String,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    pub key: String,
    pub value: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub records: Vec<Record>,
    /// Where the next read goes on; offsets have gaps where records were compacted away.
    pub next_offset: i64,
}

#[async_trait]
pub trait EventLog: Send + Sync {
    /// Returns once every record is durable; an acknowledged record is never lost. After an error a repeat may store
    /// records twice: readers know events by their `event_id`.
    async fn append(&self, topic: Topic, records: Vec<NewRecord>, now_ms: i64) -> Result<(), StorageError>;

    /// Partitions are 0 to n - 1.
    async fn partitions(&self, topic: Topic) -> Result<u32, StorageError>;

    /// At most `limit` records from `from_offset` on; waits up to `wait` for the first. Empty is no error. A
    /// `from_offset` below what retention kept begins at the first record that is left.
    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from_offset: i64,
        limit: u32,
        wait: Duration,
    ) -> Result<Batch, StorageError>;

    /// One past the last record: a reader whose next offset is this has caught up.
    async fn end_offset(&self, topic: Topic, partition: u32) -> Result<i64, StorageError>;

    /// The first record appended at or after the instant; the end where none was.
    async fn offset_at(&self, topic: Topic, partition: u32, at_ms: i64) -> Result<i64, StorageError>;

    /// Joins the readers that share the partitions of `topics` under the name `group`; leaves them when dropped.
    async fn join(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Membership>, StorageError>;

    /// Removes what compaction and retention allow to go.
    async fn trim(&self, now_ms: i64) -> Result<(), StorageError>;
}

/// One reader's part in a group of readers.
#[async_trait]
pub trait Membership: Send {
    /// Waits for the next change, the first one included, and tells every partition that this member reads from then on.
    /// For a moment two members may both believe that they hold one: who commits what it read must compare the
    /// offset that it began at ([`crate::report_store::Advance`]).
    async fn assigned(&mut self) -> Result<Vec<(Topic, u32)>, StorageError>;
}

/// Of a log whose readers are few: every member reads every partition.
#[derive(Debug)]
pub struct AllPartitions(pub Option<Vec<(Topic, u32)>>);

#[async_trait]
impl Membership for AllPartitions {
    async fn assigned(&mut self) -> Result<Vec<(Topic, u32)>, StorageError> {
        match self.0.take() {
            Some(all) => Ok(all),
            None => std::future::pending().await,
        }
    }
}
