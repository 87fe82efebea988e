//! What nobody needs any more goes: ids of applied events, records set aside, old days of rollups and of campaigns'
//! books, and records that their topic need not keep. Days to come are made when they are written to (PostgreSQL's
//! partitions a day ahead).

use super::retry::{Retry, Stopped};
use platform::Clock;
use std::sync::Arc;
use std::time::Duration;
use storage::{EventLog, ReportStore};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60 * 60);
/// A day longer than the longest retention of a topic (35 days): a record that is gone cannot be repeated, and what
/// spools hold is far younger.
const REMEMBERED_MS: i64 = 36 * 24 * 60 * 60 * 1_000;

/// Thirteen months: a month can be compared with the same one of last year.
const REPORTED_MS: i64 = 400 * 24 * 60 * 60 * 1_000;

pub(super) struct Upkeep {
    pub(super) reports: Arc<dyn ReportStore>,
    pub(super) events: Arc<dyn EventLog>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
}

impl Upkeep {
    /// At the start and every hour, until the process stops.
    pub(super) async fn run(self) -> Result<(), Stopped> {
        let mut forgetting = Retry::new("forgetting applied event ids", self.stop.clone());
        let mut dropping = Retry::new("dropping old rollups", self.stop.clone());
        let mut trimming = Retry::new("trimming topics", self.stop.clone());
        loop {
            let now_ms = self.clock.unix_ms();
            let before_ms = now_ms.saturating_sub(REMEMBERED_MS);
            forgetting
                .until_done(|| self.reports.forget_event_ids(before_ms))
                .await?;
            let reported_ms = now_ms.saturating_sub(REPORTED_MS);
            let days = dropping
                .until_done(|| self.reports.forget_rollups(reported_ms))
                .await?;
            if days > 0 {
                tracing::info!(days, "old days of the reports dropped");
            }
            trimming.until_done(|| self.events.trim(now_ms)).await?;
            trimming.sleep(EVERY).await?;
        }
    }
}
