//! From the ledger's outbox to topic `spend`: right after settling, at a repeat, and by the sweeper.

use super::carry_out::{Obstacle, Place, at};
use super::{Settlement, events};
use crate::token::LONGEST_LIFE_MS;
use domain::event::SpendEvent;
use domain::id::AdvertiserId;
use platform::Shutdown;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use storage::StorageError;
use storage::event_log::{NewRecord, Topic};
use storage::spend_ledger::{BidRef, Settled};

/// On average; at random, so that of several bidders one sweeps and the others find little left.
const SWEEP: Duration = Duration::from_secs(5);
/// How often one who removes verdicts looks for those that others appended meanwhile.
const REMOVED_FOR_OTHERS: u32 = 2;
/// Younger verdicts are still being appended by whoever settled them.
const LEFT_BEHIND_MS: i64 = 5_000;
const SWEPT_AT_ONCE: u32 = 500;
/// Verdicts named in the log as unreadable; a person has long been told by then.
const UNREADABLE_TOLD: usize = 100;
const SWEEPS_BETWEEN_FORGETTING: u32 = 720;
/// The ledger forgets a bid this much later than the last token of it expires.
const FORGET_MARGIN_MS: i64 = 60 * 60 * 1_000;

impl Settlement {
    /// Returns once they are durably appended. They leave the outbox then or a little later.
    pub(super) async fn publish(&self, settled: &[SpendEvent]) -> Result<(), Obstacle> {
        let records = spend_records(settled).map_err(|error| at(Place::Log, error))?;
        self.append(Topic::Spend, records).await?;
        self.appended().extend(settled.iter().map(bid_ref));
        // Somebody at it already takes these along, or the next one does: nobody's answer waits for that.
        if let Ok(_alone) = self.removing.try_lock() {
            for _ in 0..REMOVED_FOR_OTHERS {
                self.remove_appended().await;
            }
        }
        Ok(())
    }

    /// The events are safe: a verdict that stays behind is only appended once more.
    async fn remove_appended(&self) {
        let bids = std::mem::take(&mut *self.appended());
        if bids.is_empty() {
            return;
        }
        if let Err(error) = self.ledger.appended(&bids).await {
            tracing::debug!(%error, "verdicts stay in the outbox");
        }
    }

    fn appended(&self) -> std::sync::MutexGuard<'_, Vec<BidRef>> {
        self.appended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settled before, perhaps by a process that died before the append.
    pub(super) async fn publish_left_over(&self, bid: &BidRef) -> Result<(), Obstacle> {
        let asked = self.ledger.settled(bid);
        match self.ask_ledger(&bid.advertiser_id, asked).await? {
            Some(settled) => {
                let event = event_of(&settled).map_err(|error| at(Place::Ledger, error))?;
                self.publish(&[event]).await
            }
            None => Ok(()),
        }
    }

    /// Appends what crashes and outages left in the outbox; now and then lets the stores forget what is over.
    pub(crate) async fn sweep(self: Arc<Self>, shutdown: Shutdown) {
        let stop = shutdown.background();
        let mut is_failing = false;
        for round in 0_u32.. {
            let outcome = self.sweep_once(round % SWEEPS_BETWEEN_FORGETTING == 0).await;
            match &outcome {
                Err(error) if !is_failing => tracing::error!(%error, "the spend outbox cannot be swept"),
                Ok(()) if is_failing => tracing::info!("the spend outbox is swept again"),
                _ => {}
            }
            is_failing = outcome.is_err();
            let pause = SWEEP.mul_f64(0.5 + fastrand::f64());
            tokio::select! {
                () = stop.cancelled() => return self.remove_appended().await,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One round of the sweeper.
    ///
    /// # Errors
    /// Ledger or log unavailable; the next round goes on.
    pub(crate) async fn sweep_once(&self, forgets: bool) -> Result<(), StorageError> {
        let now_ms = self.clock.unix_ms();
        {
            let _alone = self.removing.lock().await;
            self.remove_appended().await;
        }
        let appended = self.drain_outbox(now_ms.saturating_sub(LEFT_BEHIND_MS)).await?;
        if appended > 0 {
            tracing::warn!(verdicts = appended, "appended verdicts that were left behind");
        }
        if forgets {
            let before_ms = now_ms.saturating_sub(LONGEST_LIFE_MS + FORGET_MARGIN_MS);
            self.ledger.forget(before_ms).await?;
            self.users.expire(now_ms).await?;
        }
        Ok(())
    }

    /// Appends every verdict settled at or before the instant, by the ledger's clock, that is not in the topic yet. Returns
    /// how many.
    ///
    /// # Errors
    /// Ledger or log unavailable; what was appended has left the outbox, or is appended once more.
    pub(crate) async fn drain_outbox(&self, settled_before_ms: i64) -> Result<usize, StorageError> {
        let mut appended = 0;
        loop {
            let page = self.ledger.outbox(settled_before_ms, SWEPT_AT_ONCE).await?;
            let mut events = Vec::with_capacity(page.len());
            let mut unreadable = Vec::new();
            for settled in &page {
                match event_of(settled) {
                    Ok(event) => events.push(event),
                    Err(error) => unreadable.push((settled, error)),
                }
            }
            if !events.is_empty() {
                self.append_left_behind(&events).await?;
                appended += events.len();
            }
            for (settled, error) in &unreadable {
                self.tell_unreadable(settled, error);
            }
            // A short page says nothing: a ledger in groups gives of each what it has at hand. Unreadable ones stay, and come
            // first again: beyond them nothing more is seen of a page that is full of them.
            if events.is_empty() {
                return Ok(appended);
            }
        }
    }

    /// They leave the outbox before the next page is read, or that would be the same one.
    async fn append_left_behind(&self, events: &[SpendEvent]) -> Result<(), StorageError> {
        self.append(Topic::Spend, spend_records(events)?)
            .await
            .map_err(|obstacle| obstacle.error)?;
        let bids: Vec<BidRef> = events.iter().map(bid_ref).collect();
        self.ledger.appended(&bids).await
    }

    /// Once a bid.
    fn tell_unreadable(&self, settled: &Settled, error: &StorageError) {
        let mut told = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < UNREADABLE_TOLD && told.insert(settled.bid_id) {
            tracing::error!(bid_id = %settled.bid_id, %error, "a verdict cannot be read, it stays in the outbox");
        }
    }
}

fn spend_records(settled: &[SpendEvent]) -> Result<Vec<NewRecord>, StorageError> {
    let record = |event: &SpendEvent| {
        Ok(NewRecord {
            key: event.bid_id.to_string(),
            value: Some(serde_json::to_vec(event)?),
        })
    };
    settled.iter().map(record).collect()
}

fn bid_ref(event: &SpendEvent) -> BidRef {
    BidRef {
        advertiser_id: AdvertiserId(event.dimensions.advertiser.clone()),
        bid_id: event.bid_id,
    }
}

fn event_of(settled: &Settled) -> Result<SpendEvent, StorageError> {
    let draft: SpendEvent = serde_json::from_str(&settled.context)?;
    Ok(events::settled_spend(
        draft,
        settled.charge_nanos,
        settled.over_delivery_nanos,
    ))
}
