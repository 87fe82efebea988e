//! Keeps this bidder's leases renewed against the spend ledger (design section 5).
//!
//! Once a second one heartbeat a group of the ledger names every campaign that is busy: it saw opportunities in the last minute, or bids
//! of it can still be won. It asks for what is open and for the bids that pacing allows until the next one. A
//! campaign at rest holds one bid's lease, for minutes, while the budget is plentiful, and is named in few
//! heartbeats; every heartbeat of its group that is answered lets it go on for two seconds. Its account sleeps: of 100,000
//! of them a heartbeat reads and writes the cells, no more (`group`). Groups fail one by one: the cells of one that does
//! not answer run out while the others go on.
//!
//! The cells' rules:
//! - no more is reserved than the ledger has leased, less what was asked to be given back;
//! - a reservation comes back with the first renewal sent T1 or more after it, or sooner by the owner's notice;
//! - no bid is made later than 2 s after the last renewal that was answered was sent, nor beyond the lease's day.
//!
//! So with the ledger away every cell runs out by itself, and a crash strands little for T1 and 3 s.

mod account;
mod day_lease;
#[cfg(test)]
mod delivery_tests;
mod ended_bids;
mod group;
#[cfg(test)]
mod group_tests;
mod heartbeat;
mod open_bids;
mod pacer;
#[cfg(test)]
mod run_tests;
mod sleep;
mod standing;
mod sums;
#[cfg(test)]
mod tests;

use crate::metrics::MoneyMetrics;
use account::Account;
use bidding_engine::{CompiledCampaign, LeaseCell, Now};
use domain::id::{BidId, BidderId, CampaignId};
use ended_bids::EndedBids;
use heartbeat::Heartbeats;
use platform::{Clock, Shutdown};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::SpendLedger;
use storage::spend_ledger::LeaseNow;
use tokio::sync::Notify;
use tokio::time::Instant;

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Campaigns that are new or have changed wait for a heartbeat between two of them, but not for each its own.
const BETWEEN_QUICK_BEATS: Duration = Duration::from_millis(100);
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// No bid is made later than this after the last renewal that was answered had been sent.
const BID_AFTER_RENEWAL_MS: i64 = 2_000;
/// The ledger ends a lease T1 and this after its renewal: one second longer than bids are made on it.
const HOLD_AFTER_NOTICES_MS: i64 = 3_000;
/// How long a resting campaign's lease is taken for.
const REST_MS: i64 = 600_000;

/// Shared by the heartbeat, the follower (which asks for cells) and the notices (which end bids sooner).
#[derive(Debug)]
pub(crate) struct LeaseKeeper {
    ledger: LedgerPort,
    bidder_id: BidderId,
    clock: Clock,
    /// T1: the greatest `win_notice_delay_ms` of the exchanges in use.
    win_notice_delay_ms: Arc<AtomicI64>,
    metrics: MoneyMetrics,
    accounts: Mutex<Accounts>,
    /// New accounts, and those whose sleep somebody ended: the next heartbeat looks at them.
    called: Mutex<Vec<Arc<Held>>>,
    /// Accounts that were awake when their campaign changed: a heartbeat for news looks at them, too.
    changed: Mutex<Vec<Arc<Held>>>,
    /// A campaign is new or has changed: nobody has a lease of it, or too much.
    news: Notify,
    ended: Mutex<EndedBids>,
    /// One heartbeat at a time.
    heartbeats: tokio::sync::Mutex<Heartbeats>,
}

/// In the order of their ids, so that a seed's coins fall the same way each time.
type Accounts = BTreeMap<CampaignId, Arc<Held>>;

struct LedgerPort(Arc<dyn SpendLedger>);

impl std::fmt::Debug for LedgerPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpendLedger")
    }
}

/// One campaign: the bid path has the cell, the keeper both.
#[derive(Debug)]
struct Held {
    /// Where the ledger keeps the campaign: an advertiser's campaigns stay its own.
    group: u32,
    cell: Arc<LeaseCell>,
    account: Mutex<Account>,
}

impl Held {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseKeeper {
    /// `bidder_id` must be new at each start. `seed` makes the coins of a simulation repeat.
    #[must_use]
    pub(crate) fn new(
        ledger: Arc<dyn SpendLedger>,
        bidder_id: BidderId,
        clock: Clock,
        win_notice_delay_ms: Arc<AtomicI64>,
        metrics: MoneyMetrics,
        seed: u64,
    ) -> Self {
        Self {
            ledger: LedgerPort(ledger),
            bidder_id,
            clock,
            win_notice_delay_ms,
            metrics,
            accounts: Mutex::default(),
            called: Mutex::default(),
            changed: Mutex::default(),
            news: Notify::new(),
            ended: Mutex::default(),
            heartbeats: tokio::sync::Mutex::new(Heartbeats::new(seed)),
        }
    }

    #[must_use]
    pub(crate) fn bidder_id(&self) -> &BidderId {
        &self.bidder_id
    }

    /// The cells of all campaigns that now serve, each once, in their order. A campaign that may not bid any more is bound at
    /// once; one that is not among them is drained.
    pub(crate) fn cells_for(&self, campaigns: &[Arc<CompiledCampaign>]) -> Vec<Arc<LeaseCell>> {
        let mut accounts = self.accounts();
        let cells = campaigns
            .iter()
            .map(|campaign| self.cell_for(&mut accounts, campaign))
            .collect();
        // No campaign is there twice: with as many accounts, all of them are serving.
        if campaigns.len() < accounts.len() {
            let ids = campaigns.iter().map(|campaign| &campaign.record().id);
            let serving: HashSet<&CampaignId> = ids.collect();
            for (id, held) in accounts.iter() {
                if !serving.contains(id) {
                    self.touch(held, Account::leave);
                }
            }
        }
        cells
    }

    /// The cell of one campaign that is new or has changed.
    pub(crate) fn serves(&self, campaign: &Arc<CompiledCampaign>) -> Arc<LeaseCell> {
        self.cell_for(&mut self.accounts(), campaign)
    }

    /// The campaign serves no more: it makes no bid from now on, and is drained.
    pub(crate) fn gone(&self, campaign: &CampaignId) {
        if let Some(held) = self.accounts().get(campaign) {
            self.touch(held, Account::leave);
        }
    }

    /// The record of a campaign that is served, or was until its leases are given back.
    pub(crate) fn campaign(&self, id: &CampaignId) -> Option<Arc<CompiledCampaign>> {
        let held = self.accounts().get(id)?.clone();
        let campaign = held.account().campaign.clone();
        Some(campaign)
    }

    /// Does what may change what the account needs. Where it says that it did, the next heartbeat looks at the account.
    fn touch(&self, held: &Arc<Held>, change: impl FnOnce(&mut Account, &LeaseCell) -> bool) -> bool {
        let mut account = held.account();
        let is_changed = change(&mut account, &held.cell);
        if is_changed && account.wake() {
            self.called().push(held.clone());
        }
        is_changed
    }

    fn cell_for(&self, accounts: &mut Accounts, campaign: &Arc<CompiledCampaign>) -> Arc<LeaseCell> {
        let mut is_new = false;
        let record = campaign.record();
        let held = accounts.entry(record.id.clone()).or_insert_with(|| {
            is_new = true;
            self.metrics.counts_in(record.currency);
            let held = Arc::new(Held {
                group: self.ledger.0.group_of(&record.advertiser.id),
                cell: Arc::default(),
                account: Mutex::new(Account::new(campaign.clone())),
            });
            self.called().push(held.clone());
            held
        });
        let is_changed = self.touch(held, |account, cell| account.update(campaign, cell));
        if is_changed {
            self.changed().push(held.clone());
        }
        if is_new || is_changed {
            self.news.notify_one();
        }
        held.cell.clone()
    }

    /// A notice says that one of this bidder's bids has ended: lost, or its price moved to pending, which left its
    /// lease at `lease_now`. Counts once per bid; what is leased is learned each time.
    pub(crate) fn ended(
        &self,
        bid_id: BidId,
        bid_at_ms: i64,
        campaign_id: &CampaignId,
        reserved_nanos: i64,
        lease_now: Option<LeaseNow>,
    ) {
        let kept_ms = self.win_notice_delay_ms() + 2 * HOLD_AFTER_NOTICES_MS;
        let is_first = {
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.is_first(bid_id, self.clock.monotonic_ms(), kept_ms)
        };
        if !is_first && lease_now.is_none() {
            return;
        }
        let held = self.accounts().get(campaign_id).cloned();
        if let Some(held) = held {
            let nanos = if is_first { reserved_nanos } else { 0 };
            self.touch(&held, |account, cell| {
                account.ended(cell, bid_at_ms, nanos, lease_now);
                true
            });
        }
    }

    /// Heartbeats until the server has answered its last request; then gives the leases back.
    pub(crate) async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let stop = shutdown.background();
        let mut pause = Duration::ZERO;
        'beats: loop {
            let began = Instant::now();
            let next = match self.beat().await {
                Ok(()) => {
                    if !pause.is_zero() {
                        tracing::info!("the spend ledger answers again");
                    }
                    pause = Duration::ZERO;
                    // From start to start: bids are made for 2 s after the start of the last one.
                    began + HEARTBEAT
                }
                Err(unanswered) => {
                    if pause.is_zero() {
                        tracing::error!(%unanswered, "leases cannot be renewed, their bids stop until they can");
                    }
                    pause = (pause * 2).clamp(FIRST_RETRY, HEARTBEAT);
                    if unanswered.is_complete() {
                        Instant::now() + pause
                    } else {
                        // The groups that answer set the pace.
                        began + HEARTBEAT
                    }
                }
            };
            // Those that fail are left to the next one, which tells of it.
            let mut is_answered = pause.is_zero();
            loop {
                let is_news = tokio::select! {
                    () = stop.cancelled() => break 'beats,
                    is_news = self.hears_news_before(next) => is_news,
                };
                if !is_news {
                    break;
                }
                is_answered = is_answered && self.quick_beat().await.is_ok();
            }
        }
        self.give_back().await;
    }

    /// Whether a campaign is new or has changed, with time for a heartbeat of its own; what comes together waits for it
    /// together.
    async fn hears_news_before(&self, next: Instant) -> bool {
        let heard = async {
            self.news.notified().await;
            tokio::time::sleep(BETWEEN_QUICK_BEATS).await;
        };
        tokio::time::timeout_at(next, heard).await.is_ok()
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self) -> MutexGuard<'_, Vec<Arc<Held>>> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) -> MutexGuard<'_, Vec<Arc<Held>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the ledger holds a lease beyond its renewal: nothing bid on it can be won later.
    pub(crate) fn hold_ms(&self) -> i64 {
        self.win_notice_delay_ms().saturating_add(HOLD_AFTER_NOTICES_MS)
    }

    fn win_notice_delay_ms(&self) -> i64 {
        self.win_notice_delay_ms.load(Ordering::Relaxed).max(0)
    }

    fn now(&self) -> Now {
        Now {
            unix_ms: self.clock.unix_ms(),
            monotonic_ms: self.clock.monotonic_ms(),
        }
    }
}
