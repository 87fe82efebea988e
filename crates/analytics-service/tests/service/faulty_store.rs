//! A report store with faults.

use crate::app::{self, App};
use analytics_service::{Ports, wiring};
use async_trait::async_trait;
use domain::id::CampaignId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use storage::event_log::Topic;
use storage::report_store::{Applied, ReportBatch, ReportQuery, ReportRow, SetAside, SpendPage};
use storage::{ReportStore, StorageError};
use storage_sqlite::SqliteStore;

/// Its next calls fail: before they take effect, or after.
pub(crate) struct Faulty {
    store: Arc<SqliteStore>,
    pub(crate) lost_calls: AtomicU32,
    pub(crate) lost_answers: AtomicU32,
    /// Every event is refused as one that can never be applied.
    pub(crate) refuses: AtomicBool,
}

/// Whether one was left to take.
fn take(count: &AtomicU32) -> bool {
    count
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

impl Faulty {
    fn fail_first<T>(&self, answer: impl FnOnce() -> T) -> Result<T, StorageError> {
        if take(&self.lost_calls) {
            Err(StorageError::Unavailable("away".to_owned()))
        } else {
            Ok(answer())
        }
    }
}

#[async_trait]
impl ReportStore for Faulty {
    async fn apply(&self, batch: Arc<ReportBatch>, now_ms: i64) -> Result<Applied, StorageError> {
        self.fail_first(|| ())?;
        if self.refuses.load(Ordering::SeqCst) && !batch.contributions.is_empty() {
            return Err(StorageError::Corrupt("a damaged page".to_owned()));
        }
        let applied = self.store.apply(batch, now_ms).await?;
        if take(&self.lost_answers) {
            return Err(StorageError::Unavailable("answer lost".to_owned()));
        }
        Ok(applied)
    }

    async fn offsets(&self, partitions: &[(Topic, u32)]) -> Result<Vec<i64>, StorageError> {
        self.fail_first(|| ())?;
        self.store.offsets(partitions).await
    }

    async fn query(&self, query: &ReportQuery) -> Result<Vec<ReportRow>, StorageError> {
        self.fail_first(|| ())?;
        self.store.query(query).await
    }

    async fn spend(
        &self,
        changed_since: Option<i64>,
        after: Option<&CampaignId>,
        days_from_ms: i64,
        limit: u32,
    ) -> Result<SpendPage, StorageError> {
        self.store.spend(changed_since, after, days_from_ms, limit).await
    }

    async fn set_aside(&self, limit: u32) -> Result<Vec<(i64, SetAside)>, StorageError> {
        self.store.set_aside(limit).await
    }

    async fn forget_rollups(&self, before_ms: i64) -> Result<u64, StorageError> {
        self.store.forget_rollups(before_ms).await
    }

    async fn forget_event_ids(&self, before_ms: i64) -> Result<(), StorageError> {
        self.store.forget_event_ids(before_ms).await
    }
}

pub(crate) async fn with_faults(lost_calls: u32, lost_answers: u32) -> (App, Arc<Faulty>) {
    let store = app::store().await;
    let faulty = Arc::new(Faulty {
        store: store.clone(),
        lost_calls: AtomicU32::new(lost_calls),
        lost_answers: AtomicU32::new(lost_answers),
        refuses: AtomicBool::new(false),
    });
    let ports = Ports {
        reports: faulty.clone(),
        ..wiring::embedded(store.clone())
    };
    (App::with(store, ports), faulty)
}
