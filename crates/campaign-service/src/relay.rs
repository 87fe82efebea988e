//! The outbox relay: what was stored is published, by one relay at a time.
//!
//! A row leaves the outbox only by being marked sent, after its record is durable in the topic; so a crash repeats
//! records and never skips one. A relay that was taken over while it worked may have published an older state
//! behind a newer one: it finds out when it marks, and then has those objects announced again.

mod traced;

use crate::Ports;
use crate::metrics::OutboxMetrics;
use crate::{entropy, publication};
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::{Clock, Latch, Traces};
use std::sync::Arc;
use std::time::Duration;
use storage::StorageError;
use storage::campaign_store::{Announcement, Kind, ListQuery, Outgoing, RelayClaim, Write};
use storage::event_log::{NewRecord, Topic};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use traced::Traced;

/// Other processes' changes are seen this late; a nudge tells of our own at once.
const POLL: Duration = Duration::from_millis(100);
/// A relay that is not the one looks this often whether it may be.
const STAND_BY: Duration = Duration::from_millis(500);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);
/// How long a claim holds without being renewed, and how often it is renewed.
const HOLD_MS: i64 = 6_000;
const RENEW_MS: i64 = 2_000;
/// Nothing is published on a claim this close to its end.
const MARGIN_MS: i64 = 1_000;
/// Budget periods are published for a week ahead; announcing every campaign again adds the new days.
const EXTEND_MS: i64 = 6 * 3_600_000;
/// How long a stop waits for the round at hand.
const LAST_ROUND: Duration = Duration::from_secs(2);
const BATCH: u32 = 500;
/// Campaigns of one read, each with its creatives.
const READ_TOGETHER: usize = 32;
const READS_AT_ONCE: usize = 4;
/// What comes in one moment is sent together; a change that comes alone is sent at once.
const GATHER: Duration = Duration::from_millis(50);
/// How often the backlog is counted.
const COUNT: Duration = Duration::from_millis(500);

pub(crate) struct Relay {
    ports: Ports,
    clock: Clock,
    nudge: Arc<Notify>,
    metrics: OutboxMetrics,
    traces: Traces,
    store_reached: Latch,
    id: String,
    held: Option<Held>,
    extended_at_ms: Option<i64>,
    counted_at: Option<Instant>,
}

struct Held {
    claim: RelayClaim,
    /// By the monotonic clock.
    since_ms: i64,
}

/// What a round came to.
enum Round {
    /// More is waiting.
    Full,
    /// More may come.
    Busy,
    Idle,
    /// Another relay is at work.
    StandBy,
}

impl Relay {
    pub(crate) fn new(
        ports: Ports,
        clock: Clock,
        nudge: Arc<Notify>,
        metrics: OutboxMetrics,
        traces: Traces,
        store_reached: Latch,
    ) -> Self {
        // Without entropy the id is the one of every such process; the fence still tells claims apart.
        let id = format!("relay_{:032x}", entropy::bits().unwrap_or_default());
        Self {
            ports,
            clock,
            nudge,
            metrics,
            traces,
            store_reached,
            id,
            held: None,
            extended_at_ms: None,
            counted_at: None,
        }
    }

    /// Works until `stop`, ends with a round done, and hands over; survives an unavailable store for any length of time.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut back_off = POLL;
        let mut is_failing = false;
        while !stop.is_cancelled() {
            let round = tokio::select! {
                round = self.round() => round,
                // Cut off in the middle: nobody may go on before the claim has run out by itself.
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_ROUND).await } => return,
            };
            let (pause, may_be_nudged) = match round {
                Ok(round) => {
                    if is_failing {
                        tracing::info!("the outbox is relayed again");
                    }
                    (is_failing, back_off) = (false, POLL);
                    match round {
                        Round::Full => continue,
                        Round::Busy => (GATHER, false),
                        Round::Idle => (POLL, true),
                        Round::StandBy => (STAND_BY, false),
                    }
                }
                Err(error) => {
                    if !is_failing {
                        tracing::error!(%error, "the outbox cannot be relayed");
                    }
                    is_failing = true;
                    back_off = (back_off * 2).min(LONGEST_BACK_OFF);
                    (back_off, false)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.nudge.notified(), if may_be_nudged => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.hand_over().await;
    }

    /// Lets another relay go on at once, instead of when the claim runs out.
    async fn hand_over(&self) {
        if self.held.is_none() {
            return;
        }
        let released = self
            .ports
            .campaigns
            .claim_relay(&self.id, self.clock.unix_ms(), 0);
        match tokio::time::timeout(LAST_ROUND, released).await {
            Ok(Ok(_)) => tracing::info!("the outbox is handed over"),
            Ok(Err(error)) => tracing::warn!(%error, "the outbox is not handed over"),
            Err(_) => tracing::warn!("the outbox is not handed over: the store is slow"),
        }
    }

    async fn round(&mut self) -> Result<Round, StorageError> {
        // A count that takes too long on a long outbox must not keep it from getting shorter.
        let counted = self.count_backlog().await;
        let Some(claim) = self.claim().await? else {
            return Ok(Round::StandBy);
        };
        self.extend_days().await?;
        let rows = self.ports.campaigns.outgoing(BATCH).await?;
        if rows.is_empty() {
            return counted.map(|()| Round::Idle);
        }
        let round = self.send(&claim, &rows).await;
        round.and_then(|round| counted.map(|()| round))
    }

    async fn count_backlog(&mut self) -> Result<(), StorageError> {
        if self.counted_at.is_some_and(|at| at.elapsed() < COUNT) {
            return Ok(());
        }
        let (pending, oldest_ms) = self.ports.campaigns.outgoing_backlog().await?;
        self.counted_at = Some(Instant::now());
        // The log may be away: changes are stored all the same, and wait in the outbox.
        self.store_reached.set();
        self.metrics.show(pending, oldest_ms, self.clock.unix_ms());
        Ok(())
    }

    /// The claim, taken or renewed when it is due.
    async fn claim(&mut self) -> Result<Option<RelayClaim>, StorageError> {
        let now_ms = self.clock.monotonic_ms();
        if let Some(held) = &self.held
            && now_ms - held.since_ms < RENEW_MS
        {
            return Ok(Some(held.claim.clone()));
        }
        let claimed = self
            .ports
            .campaigns
            .claim_relay(&self.id, self.clock.unix_ms(), HOLD_MS)
            .await?;
        let is_new =
            self.held.as_ref().map(|held| held.claim.fence) != claimed.as_ref().map(|claim| claim.fence);
        self.held = claimed.map(|claim| Held {
            claim,
            since_ms: now_ms,
        });
        if let Some(held) = &self.held
            && is_new
        {
            tracing::info!(fence = held.claim.fence, "relaying the outbox");
            self.publish_exchanges().await?;
        }
        Ok(self.held.as_ref().map(|held| held.claim.clone()))
    }

    /// Exchanges made by a migration have never been announced.
    async fn publish_exchanges(&self) -> Result<(), StorageError> {
        let query = ListQuery {
            limit: BATCH,
            ..ListQuery::default()
        };
        let exchanges = self.ports.campaigns.list(Kind::Exchange, &query).await?;
        let ids: Vec<String> = exchanges.into_iter().map(|exchange| exchange.id).collect();
        self.append(Topic::Exchanges, self.exchanges(&ids).await?).await
    }

    async fn extend_days(&mut self) -> Result<(), StorageError> {
        let now_ms = self.clock.unix_ms();
        if self
            .extended_at_ms
            .is_none_or(|last_ms| now_ms - last_ms >= EXTEND_MS)
        {
            let announced = self.ports.campaigns.announce_all(now_ms).await?;
            self.extended_at_ms = Some(now_ms);
            tracing::info!(announced, "publishing every campaign's next days");
        }
        Ok(())
    }

    async fn send(&mut self, claim: &RelayClaim, rows: &[Outgoing]) -> Result<Round, StorageError> {
        let traced = Traced::begin(&self.traces, rows);
        let published = self.publish(rows, &traced).await;
        traced.end(&published);
        if !published? {
            return Ok(Round::Busy);
        }
        let sequences: Vec<i64> = rows.iter().map(|row| row.sequence).collect();
        match self.ports.campaigns.mark_sent(claim, &sequences).await {
            Ok(()) if sequences.len() >= BATCH as usize => Ok(Round::Full),
            Ok(()) => Ok(Round::Busy),
            Err(StorageError::Conflict(_)) => {
                self.held = None;
                tracing::warn!(fence = claim.fence, "another relay took over");
                self.announce_again(rows).await?;
                Ok(Round::StandBy)
            }
            Err(error) => Err(error),
        }
    }

    /// Says whether it was still this relay's turn.
    async fn publish(&mut self, rows: &[Outgoing], traced: &Traced<'_>) -> Result<bool, StorageError> {
        let (campaigns, exchanges) = latest_of(rows);
        let now_ms = self.clock.unix_ms();
        let store = &*self.ports.campaigns;
        let reads: Vec<_> = campaigns
            .chunks(READ_TOGETHER)
            .map(|ids| publication::campaigns(store, ids, now_ms, |id| traced.traceparent_of(id)))
            .collect();
        let campaigns: Vec<Vec<NewRecord>> =
            stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        let campaigns = campaigns.into_iter().flatten().collect();
        let exchanges = self.exchanges(&exchanges).await?;
        if !self.may_publish() {
            return Ok(false);
        }
        self.append(Topic::Campaigns, campaigns).await?;
        self.append(Topic::Exchanges, exchanges).await?;
        Ok(true)
    }

    async fn exchanges(&self, ids: &[String]) -> Result<Vec<NewRecord>, StorageError> {
        let store = &*self.ports.campaigns;
        let reads: Vec<_> = ids.iter().map(|id| publication::exchange(store, id)).collect();
        stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
    }

    /// Whether the claim still holds, by a clock that nobody sets.
    fn may_publish(&mut self) -> bool {
        let now_ms = self.clock.monotonic_ms();
        let holds = self
            .held
            .as_ref()
            .is_some_and(|held| now_ms - held.since_ms < HOLD_MS - MARGIN_MS);
        if !holds {
            self.held = None;
        }
        holds
    }

    async fn append(&self, topic: Topic, records: Vec<NewRecord>) -> Result<(), StorageError> {
        if records.is_empty() {
            return Ok(());
        }
        self.ports.log.append(topic, records, self.clock.unix_ms()).await
    }

    async fn announce_again(&self, rows: &[Outgoing]) -> Result<(), StorageError> {
        let write = Write {
            changes: Vec::new(),
            announcements: rows.iter().map(|row| row.announcement.clone()).collect(),
            actor: "system".to_owned(),
            now_ms: self.clock.unix_ms(),
            idempotency: None,
            traceparent: None,
        };
        self.ports.campaigns.write(write).await.map(drop)
    }
}

/// Each object once, campaigns and exchanges apart: a record shows the present, whatever announced it.
fn latest_of(rows: &[Outgoing]) -> (Vec<String>, Vec<String>) {
    let (mut campaigns, mut exchanges) = (Vec::new(), Vec::new());
    let mut seen = std::collections::HashSet::new();
    for row in rows {
        if !seen.insert(key_of(&row.announcement)) {
            continue;
        }
        match &row.announcement {
            Announcement::Campaign(id) => campaigns.push(id.clone()),
            Announcement::Exchange(id) => exchanges.push(id.clone()),
            // Expanded when written.
            Announcement::CampaignsOf(_) => {}
        }
    }
    (campaigns, exchanges)
}

fn key_of(announcement: &Announcement) -> (u8, &str) {
    match announcement {
        Announcement::Campaign(id) => (0, id),
        Announcement::Exchange(id) => (1, id),
        Announcement::CampaignsOf(id) => (2, id),
    }
}
