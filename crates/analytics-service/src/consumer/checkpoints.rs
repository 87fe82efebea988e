//! Topic `ledger_checkpoints`: what campaigns have spent, from which a ledger that lost its books is rebuilt.
//!
//! Each record says which offsets of `spend` it is complete up to, so it is right by itself: two replicas that publish at
//! once for a moment, or one that publishes late, do no harm.

use super::retry::{Retry, Stopped};
use domain::event::{LedgerCheckpoint, SCHEMA};
use domain::id::CampaignId;
use platform::Clock;
use prometheus::IntCounter;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use storage::event_log::{NewRecord, Topic};
use storage::report_store::{CampaignSpend, SpendPage};
use storage::{EventLog, ReportStore, StorageError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The campaigns that changed.
const EVERY: Duration = Duration::from_secs(5);
/// All of them: a campaign at rest would have a rebuild read all that came since it spent last.
const ALL_EVERY: Duration = Duration::from_secs(60 * 60);
const CAMPAIGNS_AT_ONCE: u32 = 1_000;
/// Days that ended longer ago are in the lifetime alone: no notice is billed to them any more.
const DAYS_BACK_MS: i64 = 3 * 24 * 60 * 60 * 1_000;

pub(super) struct Checkpoints {
    pub(super) reports: Arc<dyn ReportStore>,
    pub(super) events: Arc<dyn EventLog>,
    pub(super) clock: Clock,
    pub(super) published: IntCounter,
    /// Whether this replica is the one.
    pub(super) publishes: watch::Receiver<bool>,
    pub(super) stop: CancellationToken,
}

impl Checkpoints {
    /// Until the process stops.
    pub(super) async fn run(mut self) -> Result<(), Stopped> {
        let mut publishing = Retry::new("publishing ledger checkpoints", self.stop.clone());
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Stopped),
                chosen = self.publishes.wait_for(|chosen| *chosen) => drop(chosen.map_err(|_| Stopped)?),
            }
            // Another may have published up to here: all, once, tells what this replica does not know.
            let mut mark = None;
            let mut all_at = Instant::now() + ALL_EVERY;
            while *self.publishes.borrow() {
                if Instant::now() >= all_at {
                    (mark, all_at) = (None, Instant::now() + ALL_EVERY);
                }
                match self.publish(mark).await {
                    Ok(reached) => {
                        publishing.succeeded();
                        mark = Some(reached);
                        publishing.sleep(EVERY).await?;
                    }
                    Err(error) => publishing.failed(&error).await?,
                }
            }
        }
    }

    /// The campaigns that changed since the mark, page by page; answers the next one's mark.
    async fn publish(&self, changed_since: Option<i64>) -> Result<i64, StorageError> {
        let mut reached = None;
        let mut after: Option<CampaignId> = None;
        loop {
            let now_ms = self.clock.unix_ms();
            let days_from_ms = now_ms.saturating_sub(DAYS_BACK_MS);
            let page = self
                .reports
                .spend(changed_since, after.as_ref(), days_from_ms, CAMPAIGNS_AT_ONCE)
                .await?;
            // The first page's: what changes while the others are read comes again.
            let mark = *reached.get_or_insert(page.mark);
            let Some(last) = page.campaigns.last() else {
                return Ok(mark);
            };
            let (last, count) = (last.campaign_id.clone(), page.campaigns.len());
            self.events
                .append(Topic::LedgerCheckpoints, records(page, now_ms)?, now_ms)
                .await?;
            self.published.inc_by(count as u64);
            if count < CAMPAIGNS_AT_ONCE as usize {
                return Ok(mark);
            }
            after = Some(last);
        }
    }
}

fn records(page: SpendPage, at_ms: i64) -> Result<Vec<NewRecord>, StorageError> {
    let offsets: BTreeMap<u32, i64> = page.offsets.into_iter().collect();
    let record = |of: CampaignSpend| {
        let checkpoint = LedgerCheckpoint {
            schema: SCHEMA,
            advertiser_id: of.advertiser_id,
            campaign_id: of.campaign_id,
            days: of.days,
            lifetime: of.lifetime,
            offsets: offsets.clone(),
            at_ms,
        };
        Ok(NewRecord {
            key: checkpoint.campaign_id.0.clone(),
            value: Some(serde_json::to_vec(&checkpoint)?),
        })
    };
    page.campaigns.into_iter().map(record).collect()
}
