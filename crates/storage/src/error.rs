//! The errors that a caller may tell apart.

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// What the caller took for granted no longer holds: a version moved on, an id is taken, an offset was advanced by another.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The store cannot be reached, is locked or full. Whether the operation took effect is unknown; repeat it.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// What was read makes no sense; a person has to look.
    #[error("stored data is corrupt: {0}")]
    Corrupt(String),
}

impl From<serde_json::Error> for StorageError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}
