//! What is known of a user: frequency counters and audiences.

use crate::error::StorageError;
use async_trait::async_trait;

/// One frequency counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CounterKey {
    /// The campaign, creative or advertiser that is capped: its id.
    pub scope_id: String,
    /// The window begins with its first impression and ends this much later.
    pub window_ms: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserState {
    /// Running windows only.
    pub counters: Vec<(CounterKey, u32)>,
    pub audiences: Vec<String>,
}

#[async_trait]
pub trait UserStates: Send + Sync {
    /// Everything of one user in one read. An unknown user has an empty state.
    async fn read(&self, user_key: &str, now_ms: i64) -> Result<UserState, StorageError>;

    /// Counts one impression on each counter, once per `event_id` (remembered at least as long as the longest window). An event
    /// is of one user: the same id with another user may count again.
    async fn count(
        &self,
        event_id: &str,
        user_key: &str,
        counters: &[CounterKey],
        now_ms: i64,
    ) -> Result<(), StorageError>;

    /// Adds users to an audience or takes them out of it; who is in both lists is out. The lists may be long: what failed may be
    /// half done, and is repeated whole.
    async fn set_members(
        &self,
        audience_id: &str,
        add: &[String],
        remove: &[String],
        now_ms: i64,
    ) -> Result<(), StorageError>;

    /// Frees the memory of counters whose window is over; no read shows them either way. Nothing to do where they expire by
    /// themselves.
    async fn expire(&self, now_ms: i64) -> Result<(), StorageError>;
}
