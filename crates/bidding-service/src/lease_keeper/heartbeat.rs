//! One heartbeat: ask every account what it needs, renew in one batch, tell every account its answer.

use super::{FIRST_RETRY, HOLD_AFTER_NOTICES_MS, Held, LeaseKeeper, REST_MS};
use std::sync::Arc;
use storage::StorageError;
use storage::spend_ledger::LeaseRequest;

/// New and resting campaigns named in one heartbeat: 100,000 of them must not hold up the busy ones.
const RESTING_IN_ONE: usize = 500;

/// A resting campaign's lease would end by itself only after minutes.
const GIVE_BACK_ATTEMPTS: u32 = 5;

/// Campaigns looked at in one go: bids wait for the same threads.
const LOOKED_AT_IN_ONE: usize = 256;

/// Requests of one `renew`, and whose each is.
#[derive(Default)]
struct Batch {
    requests: Vec<LeaseRequest>,
    of: Vec<Arc<Held>>,
}

impl Batch {
    fn push(&mut self, held: &Arc<Held>, request: Option<LeaseRequest>) {
        if let Some(request) = request {
            self.requests.push(request);
            self.of.push(held.clone());
        }
    }
}

impl LeaseKeeper {
    /// Renews what is due.
    ///
    /// # Errors
    /// When the ledger does not answer; the cells then run out by themselves, and the next heartbeat asks anew.
    pub(crate) async fn beat(&self) -> Result<(), StorageError> {
        let mut dice = self.heartbeat.lock().await;
        let all: Vec<Arc<Held>> = self.accounts().values().cloned().collect();
        let sent = self.now();
        let (mut busy, mut resting) = (Batch::default(), Batch::default());
        for (position, held) in all.iter().enumerate() {
            make_way(position).await;
            let may_rest = resting.requests.len() < RESTING_IN_ONE;
            let asks = held
                .account()
                .ask(&held.cell, sent, self.win_notice_delay_ms(), may_rest, dice.f64());
            busy.push(held, asks.yesterday);
            let batch = if asks.rests { &mut resting } else { &mut busy };
            batch.push(held, asks.today);
        }
        let hold_ms = self.win_notice_delay_ms().saturating_add(HOLD_AFTER_NOTICES_MS);
        // The first is sent even when it is empty: that the ledger answers is what lets resting campaigns bid on.
        let outcome = self.renew(busy, hold_ms).await;
        let rested = if resting.requests.is_empty() {
            Ok(())
        } else if outcome.is_ok() {
            self.renew(resting, hold_ms.saturating_add(REST_MS)).await
        } else {
            resting
                .of
                .iter()
                .for_each(|held| held.account().unanswered(&held.cell));
            Ok(())
        };
        self.settle_round(&all, outcome.is_ok().then_some(sent)).await;
        outcome.and(rested)
    }

    async fn renew(&self, batch: Batch, hold_ms: i64) -> Result<(), StorageError> {
        let outcome = self
            .ledger
            .0
            .renew(0, &self.bidder_id, hold_ms, &batch.requests)
            .await;
        let now = self.now();
        match outcome {
            Ok(grants) => {
                for (held, grant) in batch.of.iter().zip(&grants) {
                    held.account().granted(grant, &held.cell, now);
                }
                Ok(())
            }
            Err(error) => {
                for held in &batch.of {
                    held.account().unanswered(&held.cell);
                }
                Err(error)
            }
        }
    }

    /// Extends the resting, forgets the drained, adds up the metrics.
    async fn settle_round(&self, all: &[Arc<Held>], answered: Option<bidding_engine::Now>) {
        let (mut leased_nanos, mut pending_nanos) = (0_i64, 0_i64);
        let mut drained = Vec::new();
        for (position, held) in all.iter().enumerate() {
            make_way(position).await;
            let mut account = held.account();
            if let Some(sent) = answered {
                account.rest_on(&held.cell, sent);
            }
            leased_nanos = leased_nanos.saturating_add(account.leased_nanos());
            pending_nanos = pending_nanos.saturating_add(account.pending_nanos());
            if account.is_drained() {
                drained.push(account.campaign_id().clone());
            }
        }
        self.metrics.lease_balance_nanos.set(leased_nanos);
        self.metrics.pending_nanos.set(pending_nanos);
        if !drained.is_empty() {
            self.forget_drained(&drained);
        }
    }

    /// A paused campaign keeps its place while the follower serves it: its cell is in the snapshot.
    fn forget_drained(&self, drained: &[domain::id::CampaignId]) {
        let mut accounts = self.accounts();
        for id in drained {
            // Its own handle is the last: no snapshot has the cell, and under this lock none can take it.
            if accounts
                .get(id)
                .is_some_and(|held| Arc::strong_count(&held.cell) == 1)
            {
                accounts.remove(id);
            }
        }
    }

    /// The last heartbeat: no bid will be made any more; what no open bid needs goes back.
    pub(super) async fn give_back(&self) {
        let all: Vec<Arc<Held>> = self.accounts().values().cloned().collect();
        for held in &all {
            held.account().stop(&held.cell);
        }
        for attempt in 1.. {
            match self.beat().await {
                Ok(()) => return tracing::info!("leases given back"),
                Err(error) if attempt == GIVE_BACK_ATTEMPTS => {
                    return tracing::warn!(%error, "leases could not be given back, they end by themselves");
                }
                Err(_) => tokio::time::sleep(FIRST_RETRY).await,
            }
        }
    }
}

/// Lets what else the thread has to do go first, now and then.
async fn make_way(position: usize) {
    if position % LOOKED_AT_IN_ONE == LOOKED_AT_IN_ONE - 1 {
        tokio::task::yield_now().await;
    }
}
