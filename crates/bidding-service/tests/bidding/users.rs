//! A store of user states whose reads a test holds back, or which panics.

use crate::stage::{banner, campaign};
use async_trait::async_trait;
use serde_json::{Value, json};
use storage::user_states::{CounterKey, UserState};
use storage::{StorageError, UserStates};
use tokio::sync::Semaphore;

/// What becomes of a read.
pub(crate) struct Reads {
    /// One permit for each read that has come.
    pub(crate) begun: Semaphore,
    /// One permit for each read that may end.
    pub(crate) let_go: Semaphore,
    panics: bool,
}

impl Reads {
    /// Took the call, and answers nobody until it is let go.
    pub(crate) fn held() -> Self {
        Self {
            begun: Semaphore::new(0),
            let_go: Semaphore::new(0),
            panics: false,
        }
    }

    pub(crate) fn panicking() -> Self {
        Self {
            panics: true,
            ..Self::held()
        }
    }
}

#[async_trait]
impl UserStates for Reads {
    async fn read(&self, _: &str, _: i64) -> Result<UserState, StorageError> {
        assert!(!self.panics, "as the test wants");
        self.begun.add_permits(1);
        self.let_go.acquire().await.unwrap().forget();
        Ok(UserState::default())
    }

    async fn count(&self, _: &str, _: &str, _: &[CounterKey], _: i64) -> Result<(), StorageError> {
        Ok(())
    }

    async fn set_members(
        &self,
        _: &str,
        _: &[String],
        _: &[String],
        _: i64,
        _: i64,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    async fn link(&self, _: &str, _: &str, _: i64, _: i64) -> Result<(), StorageError> {
        Ok(())
    }

    async fn erase(&self, _: &str, _: i64) -> Result<(), StorageError> {
        Ok(())
    }

    async fn expire(&self, _: i64) -> Result<(), StorageError> {
        Ok(())
    }
}

/// A campaign that makes every bid of a known user read the store.
pub(crate) fn capped(id: &str) -> Value {
    let mut capped = campaign(id, [banner(300, 250)]);
    capped["campaign"]["frequency_caps"] =
        json!([{"impressions": 1, "window": "day", "unidentified": "bid"}]);
    capped
}

pub(crate) fn of_user(id: &str, mut request: Value) -> Value {
    request["user"] = json!({"buyeruid": id});
    request
}
