//! What is known of a user: frequency counters, audiences, and whom an exchange's id stands for.

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
    /// Memberships that have not ended.
    pub audiences: Vec<String>,
    /// The key asked for is linked to this one, and all of the above is this one's: count on it.
    pub linked_to: Option<String>,
}

#[async_trait]
pub trait UserStates: Send + Sync {
    /// Everything of one user in one read, a link followed once. An unknown user has an empty state.
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

    /// Adds users to an audience until `until_ms` or takes them out of it; who is in both lists is out. Who is in it already
    /// stays until the later of the two instants. The lists may be long: what failed may be half done, and is repeated whole.
    async fn set_members(
        &self,
        audience_id: &str,
        add: &[String],
        remove: &[String],
        until_ms: i64,
        now_ms: i64,
    ) -> Result<(), StorageError>;

    /// From now on until `until_ms`, `user_key` stands for `to`, in the place of whom it stood for before. What was kept
    /// under `user_key` itself is not read meanwhile. A link to what is itself linked is not followed further.
    async fn link(&self, user_key: &str, to: &str, until_ms: i64, now_ms: i64) -> Result<(), StorageError>;

    /// Forgets everything under the key: counters, audiences, its link, and all of whom it is linked to. Events that were
    /// counted before may count again.
    async fn erase(&self, user_key: &str, now_ms: i64) -> Result<(), StorageError>;

    /// Frees the memory of what is over; no read shows it either way. Nothing to do where it expires by itself.
    async fn expire(&self, now_ms: i64) -> Result<(), StorageError>;
}
