//! A full disk, a locked file, a file that is gone or is none: a clear error, and work goes on afterwards.

use crate::error::storage_error;
use crate::{OpenError, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::contract::event_log::read_all;
use storage::event_log::{NewRecord, Topic};
use storage::{EventLog, StorageError};
use tempfile::TempDir;

const NOW_MS: i64 = 1_800_000_000_000;

async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(&format!("sqlite:{}", path.display()), Arc::new(|| NOW_MS)).await
}

async fn new_store() -> (TempDir, PathBuf, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await.unwrap();
    append(&store, "first", 10).await.unwrap();
    (folder, path, store)
}

async fn append(store: &SqliteStore, key: &str, bytes: usize) -> Result<(), StorageError> {
    let record = NewRecord {
        key: key.to_owned(),
        value: Some(vec![b'x'; bytes]),
    };
    store.append(Topic::Bids, vec![record], NOW_MS).await
}

fn assert_unavailable(result: Result<(), StorageError>) {
    assert!(matches!(result, Err(StorageError::Unavailable(_))), "{result:?}");
}

async fn keys(store: &SqliteStore) -> Vec<String> {
    let records = read_all(store, Topic::Bids).await;
    records.into_iter().map(|record| record.key).collect()
}

/// A bound on the file's pages stands in for a full disk: SQLite answers both with `SQLITE_FULL`.
async fn bound_pages(store: &SqliteStore, pages: u32) {
    store
        .run_write(move |connection| {
            Box::pin(async move {
                sqlx::query(AssertSqlSafe(format!("PRAGMA max_page_count = {pages}")))
                    .execute(connection)
                    .await
                    .map_err(storage_error)?;
                Ok(())
            })
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_disk_is_unavailable_until_there_is_room() {
    let (_folder, _path, store) = new_store().await;
    bound_pages(&store, 100).await;
    assert_unavailable(append(&store, "too big", 4_000_000).await);
    bound_pages(&store, u32::MAX - 1).await;
    append(&store, "fits again", 4_000_000).await.unwrap();
    assert_eq!(keys(&store).await, ["first", "fits again"]);
}

#[tokio::test]
async fn a_locked_file_is_unavailable_until_it_is_released() {
    let (_folder, path, store) = new_store().await;
    let mut other = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    assert_unavailable(append(&store, "locked out", 10).await);
    assert_eq!(keys(&store).await, ["first"], "reads go on");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    append(&store, "released", 10).await.unwrap();
    assert_eq!(keys(&store).await, ["first", "released"]);
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_missing_file_is_unavailable_until_it_is_back() {
    let (folder, path, store) = new_store().await;
    let away = folder.path().join("away.db");
    let with_log = |path: &Path, end: &str| PathBuf::from(format!("{}{end}", path.display()));
    for end in ["", "-wal", "-shm"] {
        std::fs::rename(with_log(&path, end), with_log(&away, end)).unwrap();
    }
    assert_unavailable(append(&store, "into nothing", 10).await);
    let read = store.end_offset(Topic::Bids, 0).await;
    assert!(matches!(read, Err(StorageError::Unavailable(_))), "{read:?}");
    assert!(
        !path.exists(),
        "a store that lost its file must not begin an empty one"
    );
    for end in ["", "-wal", "-shm"] {
        // The last connection to the file takes its log along.
        if with_log(&away, end).exists() {
            std::fs::rename(with_log(&away, end), with_log(&path, end)).unwrap();
        }
    }
    append(&store, "back", 10).await.unwrap();
    assert_eq!(keys(&store).await, ["first", "back"]);
}

#[tokio::test]
async fn an_operation_that_fails_takes_nothing_else_of_its_group_with_it() {
    let (_folder, _path, store) = new_store().await;
    let refused = store.run_write(|connection| {
        Box::pin(async move {
            sqlx::query("DELETE FROM records")
                .execute(connection)
                .await
                .map_err(storage_error)?;
            Err::<(), _>(StorageError::Conflict("refused".to_owned()))
        })
    });
    // Queued in one turn of the runtime: the writer takes all three at once.
    let (before, refused, after) =
        tokio::join!(append(&store, "before", 10), refused, append(&store, "after", 10));
    before.unwrap();
    assert!(matches!(refused, Err(StorageError::Conflict(_))));
    after.unwrap();
    assert_eq!(keys(&store).await, ["first", "before", "after"]);
}

#[tokio::test]
async fn an_operation_that_panics_is_undone_and_writing_goes_on() {
    let (_folder, _path, store) = new_store().await;
    let broken: fn() -> i64 = || panic!("a defect");
    let panicking = store.run_write(move |connection| {
        Box::pin(async move {
            sqlx::query("DELETE FROM records")
                .execute(connection)
                .await
                .map_err(storage_error)?;
            Ok::<i64, StorageError>(broken())
        })
    });
    let (panicked, after) = tokio::join!(panicking, append(&store, "after", 10));
    assert!(matches!(panicked, Err(StorageError::Corrupt(_))), "{panicked:?}");
    after.unwrap();
    assert_eq!(keys(&store).await, ["first", "after"]);
}

#[tokio::test]
async fn a_file_that_is_no_store_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, vec![b'#'; 10_000]).unwrap();
    let opened = open(&path).await.err();
    assert!(
        matches!(opened, Some(OpenError::Storage(StorageError::Corrupt(_)))),
        "{opened:?}"
    );
}

#[tokio::test]
async fn a_url_that_cannot_be_opened_is_an_error() {
    let clock = || Arc::new(|| NOW_MS);
    let postgres = SqliteStore::open("postgres://localhost/x", clock()).await.err();
    assert!(matches!(postgres, Some(OpenError::Url(_))), "{postgres:?}");
    let folder = SqliteStore::open("sqlite:/dev/null/folder/store.db", clock())
        .await
        .err();
    assert!(matches!(folder, Some(OpenError::Folder(..))), "{folder:?}");
}
