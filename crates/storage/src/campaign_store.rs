//! Advertisers, campaigns, creatives, exchanges, keys: versioned documents, their history, and the outbox of changes.

use crate::error::StorageError;
use async_trait::async_trait;
use domain::advertiser::Advertiser;
use domain::campaign::Campaign;
use domain::creative::Creative;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Advertiser,
    Campaign,
    Creative,
    Exchange,
    Key,
    Audience,
    Deal,
}

/// One stored object. The columns beside `body` are what lists can be filtered and ordered by.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub kind: Kind,
    pub id: String,
    /// The tenant that owns it; `None` for exchanges and administrators' keys.
    pub advertiser_id: Option<String>,
    /// A creative's campaign.
    pub parent_id: Option<String>,
    /// The client's own id, unique for (kind, advertiser).
    pub external_id: Option<String>,
    pub name: String,
    pub status: String,
    /// 1 when created, raised by one with each write.
    pub version: i64,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    /// The typed object as JSON (`domain::campaign::Campaign`, …).
    pub body: Value,
}

/// One write of one document. `document.version` is the new version: 1 creates (a taken id is a
/// conflict), n replaces version n - 1 (any other stored version is a conflict).
#[derive(Clone, Debug)]
pub struct Change {
    pub document: Document,
}

/// What the rest of the platform must hear of; the relay composes the record when it sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    Campaign(String),
    /// Each campaign of the advertiser, archived ones too.
    CampaignsOf(String),
    Exchange(String),
}

/// Everything of one request, committed together or not at all.
#[derive(Clone, Debug)]
pub struct Write {
    pub changes: Vec<Change>,
    pub announcements: Vec<Announcement>,
    /// Who did it, for the history: a key id, or `system`.
    pub actor: String,
    pub now_ms: i64,
    pub idempotency: Option<Idempotent>,
    /// `traceparent` of the request, if its trace is sampled: what is announced carries it on.
    pub traceparent: Option<String>,
}

/// The first answer to a keyed request, kept for `Write::now_ms + 24 h` (expired ones are forgotten).
#[derive(Clone, Debug, PartialEq)]
pub struct Idempotent {
    /// The caller and its `Idempotency-Key`, so that tenants cannot see each other's.
    pub key: String,
    /// Hash of method, path and body: the same key with another request is an error of the client.
    pub request_hash: String,
    pub answer: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    Done,
    /// The key was used before, for the same request or another; nothing was written.
    Repeated(Idempotent),
}

#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    pub advertiser_id: Option<String>,
    pub parent_id: Option<String>,
    pub external_id: Option<String>,
    pub statuses: Vec<String>,
    /// Part of the name, without case (ASCII).
    pub name_contains: Option<String>,
    pub updated_since_ms: Option<i64>,
    pub order: Order,
    /// Order value and id of the last document seen: a page begins after it.
    pub after: Option<(OrderValue, String)>,
    pub limit: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    pub by: OrderBy,
    pub descending: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderBy {
    #[default]
    CreatedAt,
    UpdatedAt,
    Name,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OrderValue {
    Ms(i64),
    Text(String),
}

/// One version in a document's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    pub version: i64,
    pub actor: String,
    pub at_ms: i64,
    pub body: Value,
}

/// A row of the outbox that has not been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// In order of commit.
    pub sequence: i64,
    /// `Campaign` or `Exchange` (`CampaignsOf` is expanded when written).
    pub announcement: Announcement,
    pub written_at_ms: i64,
    /// As the write had it.
    pub traceparent: Option<String>,
}

/// A campaign with all it is served with, read at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignBundle {
    pub generation: i64,
    /// Grows with every write to the store: what was read later has a higher one.
    pub revision: i64,
    pub campaign: Campaign,
    pub advertiser: Advertiser,
    /// Every creative that is not archived.
    pub creatives: Vec<Creative>,
}

/// Proof of being the one relay at work. A holder whose claim was taken over is fenced: it can mark nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayClaim {
    pub relay_id: String,
    pub fence: i64,
}

#[async_trait]
pub trait CampaignStore: Send + Sync {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Document>, StorageError>;

    /// At most `query.limit` documents after `query.after`, in `query.order`, ties by id.
    async fn list(&self, kind: Kind, query: &ListQuery) -> Result<Vec<Document>, StorageError>;

    /// Documents, history, outbox and answer, all or none.
    async fn write(&self, write: Write) -> Result<Written, StorageError>;

    /// The answer kept for the key, unless it expired before `now_ms`.
    async fn answered(&self, key: &str, now_ms: i64) -> Result<Option<Idempotent>, StorageError>;

    /// Newest first, below `before_version` when given.
    async fn history(
        &self,
        kind: Kind,
        id: &str,
        before_version: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Revision>, StorageError>;

    /// Takes or renews the relay's claim until `now_ms + hold_ms`; `None` while another holds it.
    async fn claim_relay(
        &self,
        relay_id: &str,
        now_ms: i64,
        hold_ms: i64,
    ) -> Result<Option<RelayClaim>, StorageError>;

    /// Rows not yet sent, oldest first. A late commit can never be skipped: rows leave only by being marked.
    async fn outgoing(&self, limit: u32) -> Result<Vec<Outgoing>, StorageError>;

    /// How many are waiting, and since when the oldest (for `outbox_pending`, `outbox_lag_seconds`).
    async fn outgoing_backlog(&self) -> Result<(i64, Option<i64>), StorageError>;

    /// Forgets sent rows. `Conflict` when the claim is no longer the caller's.
    async fn mark_sent(&self, claim: &RelayClaim, sequences: &[i64]) -> Result<(), StorageError>;

    /// The campaign as it is now; `None` when there is no such campaign.
    async fn bundle(&self, campaign_id: &str) -> Result<Option<CampaignBundle>, StorageError>;

    /// Several of them, in the order of their ids.
    async fn bundles(&self, campaign_ids: &[String]) -> Result<Vec<Option<CampaignBundle>>, StorageError> {
        let mut bundles = Vec::with_capacity(campaign_ids.len());
        for id in campaign_ids {
            bundles.push(self.bundle(id).await?);
        }
        Ok(bundles)
    }

    /// (generation, revision) now: for records that are not campaigns.
    async fn revision(&self) -> Result<(i64, i64), StorageError>;

    /// Announces every campaign that is not archived again (each new day extends the published budget periods).
    async fn announce_all(&self, now_ms: i64) -> Result<u64, StorageError>;

    /// After a restore, which takes revisions back: a generation above `past` and the store's own, and every campaign that
    /// is not archived and every exchange announced, so that readers take this store for a new one. The new generation.
    async fn begin_generation(&self, past: i64, now_ms: i64) -> Result<i64, StorageError>;
}
