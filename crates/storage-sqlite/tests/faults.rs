//! A full disk, a locked file, a file that is gone or is none: a clear error, and work goes on afterwards.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::event_log::{NewRecord, Topic};
use storage::{CampaignStore, EventLog, StorageError};
use storage_sqlite::{OpenError, SqliteStore};

const NOW_MS: i64 = 1_800_000_000_000;

async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(&format!("sqlite:{}", path.display()), Arc::new(|| NOW_MS)).await
}

async fn append(store: &SqliteStore, bytes: usize) -> Result<(), StorageError> {
    let record = NewRecord {
        key: "k".to_owned(),
        value: Some(vec![b'x'; bytes]),
    };
    store.append(Topic::Bids, vec![record], NOW_MS).await
}

fn assert_unavailable(result: Result<(), StorageError>) {
    assert!(matches!(result, Err(StorageError::Unavailable(_))), "{result:?}");
}

async fn count(store: &SqliteStore) -> usize {
    storage::contract::event_log::read_all(store, Topic::Bids).await.len()
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

/// A bound on the file's pages stands in for a full disk: both are SQLITE_FULL. SQLite keeps the bound for
/// each connection, so the store gets it through its URL, in a folder whose file is already at the bound.
#[tokio::test]
async fn a_file_that_cannot_grow_fails_the_write_alone_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await.unwrap();
    append(&store, 10).await.unwrap();
    store.bound_pages(Some(100)).await.unwrap();
    let big = append(&store, 4_000_000);
    let small = append(&store, 10);
    let (big, small) = tokio::join!(big, small);
    assert_unavailable(big);
    drop(small);
    store.bound_pages(None).await.unwrap();
    append(&store, 4_000_000).await.unwrap();
    assert!(count(&store).await >= 2);
}
