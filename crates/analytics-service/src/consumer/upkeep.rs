//! Forgets the ids of applied events once no repeat of theirs can come.

use super::retry::Retry;
use platform::Clock;
use std::sync::Arc;
use std::time::Duration;
use storage::ReportStore;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60 * 60);
/// A day longer than the longest retention of a topic (35 days): a record that is gone cannot be repeated, and what
/// spools hold is far younger.
const REMEMBERED_MS: i64 = 36 * 24 * 60 * 60 * 1_000;

pub(super) async fn forget_event_ids(reports: Arc<dyn ReportStore>, clock: Clock, stop: CancellationToken) {
    let mut retry = Retry::new("forgetting applied event ids", stop);
    loop {
        let before_ms = clock.unix_ms().saturating_sub(REMEMBERED_MS);
        if retry
            .until_done(|| reports.forget_event_ids(before_ms))
            .await
            .is_err()
            || retry.sleep(EVERY).await.is_err()
        {
            return;
        }
    }
}
