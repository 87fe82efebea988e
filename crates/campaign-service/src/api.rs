//! What every handler shares.

use crate::auth::Gate;
use crate::config::Config;
use crate::error::ApiError;
use crate::rate_limit::RateLimiter;
use crate::{Ports, entropy};
use domain::id;
use jiff::Timestamp;
use platform::Clock;
use std::sync::Arc;
use storage::campaign_store::{Announcement, Change, Document, Idempotent, Kind, Write, Written};
use storage::{CampaignStore, SpendLedger, StorageError, UserStates};
use tokio::sync::Notify;

pub(crate) struct Api {
    pub(crate) store: Arc<dyn CampaignStore>,
    pub(crate) ledger: Arc<dyn SpendLedger>,
    pub(crate) users: Arc<dyn UserStates>,
    pub(crate) gate: Gate,
    pub(crate) limiter: RateLimiter,
    clock: Clock,
    nudge: Arc<Notify>,
}

impl Api {
    pub(crate) fn new(config: &Config, ports: &Ports, clock: Clock) -> Self {
        Self {
            store: ports.campaigns.clone(),
            ledger: ports.ledger.clone(),
            users: ports.users.clone(),
            gate: Gate::new(&config.admin_api_key, ports.campaigns.clone(), clock.clone()),
            limiter: RateLimiter::new(config.rate_limit_per_second, clock.clone()),
            clock,
            nudge: Arc::new(Notify::new()),
        }
    }

    /// Wakes the relay of this process: there is something to publish.
    pub(crate) fn nudge(&self) -> Arc<Notify> {
        self.nudge.clone()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.unix_ms()
    }

    pub(crate) fn mint(&self, prefix: &str, now_ms: i64) -> Result<String, ApiError> {
        Ok(id::mint(prefix, now_ms, entropy::bits()?))
    }

    pub(crate) async fn commit(
        &self,
        documents: Vec<Document>,
        announcements: Vec<Announcement>,
        actor: &str,
        now_ms: i64,
        idempotency: Option<Idempotent>,
    ) -> Result<Written, StorageError> {
        let changed_keys: Vec<String> = documents
            .iter()
            .filter(|document| document.kind == Kind::Key)
            .map(|key| key.id.clone())
            .collect();
        let is_news = !announcements.is_empty();
        let changes = documents
            .into_iter()
            .map(|document| Change { document })
            .collect();
        let actor = actor.to_owned();
        let write = Write {
            changes,
            announcements,
            actor,
            now_ms,
            idempotency,
            traceparent: platform::traces::current()
                .filter(|trace| trace.is_sampled)
                .map(|trace| trace.traceparent()),
        };
        let written = self.store.write(write).await;
        // Even after an error: it may have taken effect.
        self.gate.forget(&changed_keys);
        if is_news {
            self.nudge.notify_one();
        }
        written
    }
}

/// An instant to show; the clock of a machine may be wrong, so what cannot be shown becomes the epoch.
pub(crate) fn timestamp(unix_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH)
}
