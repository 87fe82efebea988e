//! From the ledger's outbox to topic `spend`: right after settling, at a repeat, and by the sweeper.

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

const SWEEP: Duration = Duration::from_secs(5);
/// How often one who removes verdicts looks for those that others appended meanwhile.
const REMOVED_FOR_OTHERS: u32 = 2;
/// Younger verdicts are still being appended by whoever settled them.
const LEFT_BEHIND_MS: i64 = 5_000;
const SWEPT_AT_ONCE: u32 = 500;
const SWEEPS_BETWEEN_FORGETTING: u32 = 720;
/// The ledger forgets a bid this much later than the last token of it expires.
const FORGET_MARGIN_MS: i64 = 60 * 60 * 1_000;

impl Settlement {
    /// Returns once they are durably appended. They leave the outbox then or a little later.
    pub(super) async fn publish(&self, settled: &[SpendEvent]) -> Result<(), StorageError> {
        let records = settled
            .iter()
            .map(|event| {
                Ok(NewRecord {
                    key: event.bid_id.to_string(),
                    value: Some(serde_json::to_vec(event)?),
                })
            })
            .collect::<Result<Vec<_>, StorageError>>()?;
        self.log
            .append(Topic::Spend, records, self.clock.unix_ms())
            .await?;
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
    pub(super) async fn publish_left_over(&self, bid: &BidRef) -> Result<(), StorageError> {
        match self.ledger.settled(bid).await? {
            Some(settled) => self.publish(&[event_of(&settled)?]).await,
            None => Ok(()),
        }
    }

    /// Appends what crashes left in the outbox; now and then lets the stores forget what is over.
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
            tokio::select! {
                () = stop.cancelled() => return self.remove_appended().await,
                () = tokio::time::sleep(SWEEP) => {}
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
        loop {
            let left = self
                .ledger
                .outbox(now_ms.saturating_sub(LEFT_BEHIND_MS), SWEPT_AT_ONCE)
                .await?;
            let mut events = Vec::with_capacity(left.len());
            for settled in &left {
                match event_of(settled) {
                    Ok(event) => events.push(event),
                    Err(error) => {
                        tracing::error!(bid_id = %settled.bid_id, %error, "a verdict cannot be read")
                    }
                }
            }
            if events.is_empty() {
                break;
            }
            tracing::warn!(
                verdicts = events.len(),
                "appending verdicts that were left behind"
            );
            self.publish(&events).await?;
            if left.len() < SWEPT_AT_ONCE as usize || events.len() < left.len() {
                break;
            }
        }
        if forgets {
            let before_ms = now_ms.saturating_sub(LONGEST_LIFE_MS + FORGET_MARGIN_MS);
            self.ledger.forget(before_ms).await?;
            self.users.expire(now_ms).await?;
        }
        Ok(())
    }
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
