//! From the spool back to the stores, by time of arrival.

use super::carry_out::Place;
use super::work::Work;
use super::{Applied, Settlement};
use crate::spool::{Spool, Spooled};
use crate::token::LONGEST_LIFE_MS;
use futures_util::future::join_all;
use platform::Shutdown;
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);
const EVERY_AT_THE_END: Duration = Duration::from_millis(100);
const PASSES_BETWEEN_ADOPTIONS: u32 = 10;
const AT_ONCE: usize = 64;
/// While this many segments wait, the one being written is left to grow.
const MANY_SEGMENTS: usize = 16;

/// What one pass has learned.
#[derive(Default)]
struct Pass {
    replayed: AtomicU64,
    is_log_away: AtomicBool,
    are_users_away: AtomicBool,
    groups_away: Mutex<HashSet<u32>>,
}

impl Settlement {
    /// Replays whenever something waits. At the end of the process it goes on, for at most `patience`: what is left
    /// then stays for the next one that takes the folder.
    pub(crate) async fn replay(self: Arc<Self>, shutdown: Shutdown, patience: Duration) {
        let Some(spool) = &self.spool else { return };
        tokio::select! {
            () = shutdown.background().cancelled() => {}
            () = self.replay_forever(spool) => {}
        }
        let is_drained = tokio::select! {
            () = shutdown.hard().cancelled() => false,
            drained = tokio::time::timeout(patience, self.drain_spool(spool)) => drained.is_ok(),
        };
        if !is_drained {
            tracing::error!(
                records = spool.records(),
                "stopped with notices in the spool: they wait for the next process that takes its folder"
            );
        }
    }

    async fn replay_forever(&self, spool: &Spool) {
        for pass in 0_u32.. {
            if pass % PASSES_BETWEEN_ADOPTIONS == 0
                && let Err(error) = spool.adopt().await
            {
                tracing::warn!(%error, "cannot look for what other processes left in their spools");
            }
            self.replay_once().await;
            spool.tell_age(self.clock.unix_ms());
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn drain_spool(&self, spool: &Spool) {
        loop {
            self.replay_once().await;
            if spool.is_empty() {
                return;
            }
            tokio::time::sleep(EVERY_AT_THE_END).await;
        }
    }

    /// One pass over everything that waits; returns how many records were applied.
    pub(crate) async fn replay_once(&self) -> u64 {
        let Some(spool) = &self.spool else { return 0 };
        if spool.is_empty() {
            return 0;
        }
        if spool.sealed().len() < MANY_SEGMENTS {
            spool.seal().await;
        }
        let pass = Pass::default();
        for segment in spool.sealed() {
            if let Err(error) = self.replay_segment(spool, &segment, &pass).await {
                tracing::error!(%error, segment = %segment.display(), "a part of the spool cannot be replayed");
            }
            // Whatever else waits needs the log too.
            if pass.is_log_away.load(Ordering::Relaxed) {
                break;
            }
        }
        let replayed = pass.replayed.into_inner();
        if replayed > 0 {
            let left = spool.records();
            tracing::info!(replayed, left, "notices of the spool are applied");
        }
        replayed
    }

    async fn replay_segment(&self, spool: &Spool, segment: &Path, pass: &Pass) -> io::Result<()> {
        let mut waiting = spool.load(segment).await?.into_iter();
        let mut left = Vec::new();
        // The first goes alone: when the log is away, nobody else need try.
        let mut at_once = 1;
        loop {
            let group: Vec<Spooled> = waiting.by_ref().take(at_once).collect();
            if group.is_empty() {
                break;
            }
            let outcomes = group
                .into_iter()
                .map(|record| self.replay_record(spool, record, pass));
            left.extend(join_all(outcomes).await.into_iter().flatten());
            if pass.is_log_away.load(Ordering::Relaxed) {
                left.extend(waiting);
                break;
            }
            at_once = AT_ONCE;
        }
        spool.leave(segment, left).await
    }

    /// Gives the record back if it has to wait.
    async fn replay_record(&self, spool: &Spool, record: Spooled, pass: &Pass) -> Option<Spooled> {
        let never = match self.try_record(&record, pass).await {
            Ok(true) => {
                pass.replayed.fetch_add(1, Ordering::Relaxed);
                spool.metrics().replayed.inc();
                return None;
            }
            Ok(false) => return Some(record),
            Err(never) => never,
        };
        let set_aside = spool.set_aside(record.arrived_at_ms, &never, record.payload.clone());
        set_aside.await.is_err().then_some(record)
    }

    /// Whether it is done; an error says why it never can be.
    async fn try_record(&self, record: &Spooled, pass: &Pass) -> Result<bool, String> {
        let work: Work = serde_json::from_slice(&record.payload).map_err(|error| error.to_string())?;
        // The ledger would take a bid that it has forgotten for a new one, and charge it again.
        if self.clock.unix_ms().saturating_sub(work.bid_at_ms()) > LONGEST_LIFE_MS {
            return Err("older than what the stores remember of bids".to_owned());
        }
        let group = work
            .ledger_advertiser()
            .map(|advertiser_id| self.ledger.group_of(&advertiser_id));
        if pass.is_hopeless(&work, group) {
            return Ok(false);
        }
        match self.carry_out(&work).await {
            Ok(Applied::First | Applied::Repeated | Applied::Test | Applied::Spooled) => {
                self.recent().insert(work.happened());
                Ok(true)
            }
            Err(obstacle) if obstacle.is_away() => {
                pass.learn(obstacle.place, group);
                Ok(false)
            }
            Err(obstacle) => Err(obstacle.error.to_string()),
        }
    }
}

impl Pass {
    fn is_hopeless(&self, work: &Work, group: Option<u32>) -> bool {
        let is_count = matches!(work, Work::Count(_));
        let groups_away = self.groups_away.lock().unwrap_or_else(PoisonError::into_inner);
        (is_count && self.are_users_away.load(Ordering::Relaxed))
            || (!is_count && self.is_log_away.load(Ordering::Relaxed))
            || group.is_some_and(|group| groups_away.contains(&group))
    }

    fn learn(&self, place: Place, group: Option<u32>) {
        match place {
            Place::Log => self.is_log_away.store(true, Ordering::Relaxed),
            Place::Users => self.are_users_away.store(true, Ordering::Relaxed),
            Place::Ledger => {
                let mut groups_away = self.groups_away.lock().unwrap_or_else(PoisonError::into_inner);
                groups_away.extend(group);
            }
        }
    }
}
