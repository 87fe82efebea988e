//! One heartbeat: ask every account what it needs, renew group by group of the ledger, tell every account its answer.

use super::account::Rest;
use super::standing::{Standing, epoch_told};
use super::{FIRST_RETRY, Held, LeaseKeeper, REST_MS};
use bidding_engine::Now;
use futures_util::{StreamExt, stream};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::StorageError;
use storage::spend_ledger::LeaseRequest;

/// New and resting campaigns named in one heartbeat: 100,000 of them must not hold up the busy ones.
const RESTING_IN_ONE: usize = 500;

/// Every group of a ledger in 64 groups: one that is slow to fail must not keep another waiting.
const RENEWED_AT_ONCE: usize = 64;

/// A resting campaign's lease would end by itself only after minutes.
const GIVE_BACK_ATTEMPTS: u32 = 5;

/// Campaigns looked at in one go, some hundreds of microseconds of work: bids wait for the same threads. Each time it gives
/// way, every bid that waits goes first; under load that takes ten milliseconds, and a heartbeat that gave way hundreds of
/// times would end after the leases that it renews.
const LOOKED_AT_IN_ONE: usize = 4_096;

/// Requests of one `renew`, and whose each is.
#[derive(Default)]
struct Batch {
    requests: Vec<LeaseRequest>,
    of: Vec<Arc<Held>>,
}

impl Batch {
    fn push(&mut self, held: &Arc<Held>, request: Option<LeaseRequest>, renewal: i64) {
        if let Some(request) = request {
            self.requests.push(LeaseRequest { renewal, ..request });
            self.of.push(held.clone());
        }
    }
}

/// One group's part of a heartbeat.
struct Round {
    group: u32,
    standing: Standing,
    sent: Now,
    hold_ms: i64,
    all: Vec<Arc<Held>>,
    busy: Batch,
    resting: Batch,
}

/// What became of it.
struct Outcome {
    group: u32,
    standing: Standing,
    leased_nanos: i64,
    pending_nanos: i64,
    failed: Option<StorageError>,
}

/// Groups that did not answer. Their cells run out by themselves, and the next heartbeat asks anew.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {groups} groups of the ledger do not answer: {error}")]
pub(crate) struct Unanswered {
    failed: usize,
    groups: usize,
    /// The first group's.
    #[source]
    error: StorageError,
}

impl Unanswered {
    /// No group answered.
    pub(super) fn is_complete(&self) -> bool {
        self.failed == self.groups
    }
}

/// What goes on from one heartbeat to the next.
#[derive(Debug)]
pub(super) struct Heartbeats {
    pub(super) dice: fastrand::Rng,
    standings: BTreeMap<u32, Standing>,
    /// How many there were: the number of their renewals, so that one that is late changes nothing.
    count: i64,
}

impl Heartbeats {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: fastrand::Rng::with_seed(seed),
            standings: BTreeMap::new(),
            count: 0,
        }
    }
}

impl LeaseKeeper {
    /// Renews what is due, in every group that holds campaigns of this bidder.
    ///
    /// # Errors
    /// When some of the groups do not answer; the others are renewed all the same.
    pub(crate) async fn beat(&self) -> Result<(), Unanswered> {
        let mut heartbeats = self.heartbeats.lock().await;
        let rounds = self.ask_all(&mut heartbeats).await;
        let groups = rounds.len();
        let mut answers = stream::iter(rounds)
            .map(|round| self.renew_group(round))
            .buffer_unordered(RENEWED_AT_ONCE);
        let (mut leased_nanos, mut pending_nanos) = (0_i64, 0_i64);
        let mut failures = Vec::new();
        while let Some(outcome) = answers.next().await {
            heartbeats.standings.insert(outcome.group, outcome.standing);
            leased_nanos = leased_nanos.saturating_add(outcome.leased_nanos);
            pending_nanos = pending_nanos.saturating_add(outcome.pending_nanos);
            failures.extend(outcome.failed);
        }
        self.metrics.lease_balance_nanos.set(leased_nanos);
        self.metrics.pending_nanos.set(pending_nanos);
        self.metrics
            .ledger_refusing
            .set(i64::try_from(failures.len()).unwrap_or(i64::MAX));
        let failed = failures.len();
        match failures.into_iter().next() {
            None => Ok(()),
            Some(error) => Err(Unanswered {
                failed,
                groups,
                error,
            }),
        }
    }

    /// Every account's part, in the order of their ids.
    async fn ask_all(&self, heartbeats: &mut Heartbeats) -> Vec<Round> {
        let all: Vec<Arc<Held>> = self.accounts().values().cloned().collect();
        let sent = self.now();
        let win_notice_delay_ms = self.win_notice_delay_ms();
        heartbeats.count = heartbeats.count.saturating_add(1);
        let mut rounds: BTreeMap<u32, Round> = BTreeMap::new();
        let mut resting = 0;
        for (position, held) in all.into_iter().enumerate() {
            make_way(position).await;
            let round = rounds.entry(held.group).or_insert_with(|| Round {
                group: held.group,
                standing: heartbeats.standings.get(&held.group).copied().unwrap_or_default(),
                sent,
                hold_ms: self.hold_ms(),
                all: Vec::new(),
                busy: Batch::default(),
                resting: Batch::default(),
            });
            let rest = if round.needs_a_grant() {
                Rest::Now
            } else if resting < RESTING_IN_ONE {
                Rest::WhenDue
            } else {
                Rest::Later
            };
            let random = heartbeats.dice.f64();
            let asks = held
                .account()
                .ask(&held.cell, sent, win_notice_delay_ms, rest, random);
            resting += usize::from(asks.rests && asks.today.is_some());
            round.busy.push(&held, asks.yesterday, heartbeats.count);
            let batch = if asks.rests {
                &mut round.resting
            } else {
                &mut round.busy
            };
            batch.push(&held, asks.today, heartbeats.count);
            round.all.push(held);
        }
        rounds.into_values().collect()
    }

    async fn renew_group(&self, round: Round) -> Outcome {
        let Round {
            group,
            mut standing,
            sent,
            hold_ms,
            all,
            busy,
            resting,
        } = round;
        // Sent even when it is empty: that the group answers is what lets its resting campaigns bid on.
        let busy = self.renew(group, busy, hold_ms);
        // At the same time: a group that is slow to answer one is as slow to answer the other.
        let resting = async {
            if resting.requests.is_empty() {
                return Ok(None);
            }
            self.renew(group, resting, hold_ms.saturating_add(REST_MS)).await
        };
        let (busy, resting) = futures_util::join!(busy, resting);
        let told = |of: &Result<Option<i64>, StorageError>| of.as_ref().ok().copied().flatten();
        let epoch = if busy.is_ok() {
            standing.answered(sent, told(&busy).max(told(&resting)))
        } else {
            None
        };
        let (leased_nanos, pending_nanos) = self.settle_round(&all, sent, epoch).await;
        Outcome {
            group,
            standing,
            leased_nanos,
            pending_nanos,
            failed: busy.and(resting).err(),
        }
    }

    /// The greatest epoch that the grants tell.
    async fn renew(&self, group: u32, batch: Batch, hold_ms: i64) -> Result<Option<i64>, StorageError> {
        let outcome = self
            .ledger
            .0
            .renew(group, &self.bidder_id, hold_ms, &batch.requests)
            .await;
        let now = self.now();
        match outcome {
            Ok(grants) => {
                for (held, grant) in batch.of.iter().zip(&grants) {
                    held.account().granted(grant, &held.cell, now);
                }
                Ok(epoch_told(&grants))
            }
            Err(error) => {
                for held in &batch.of {
                    held.account().unanswered(&held.cell);
                }
                Err(error)
            }
        }
    }

    /// Extends the resting whose lease is of the group's present epoch, forgets the drained. Returns what is leased
    /// and what is pending.
    async fn settle_round(&self, all: &[Arc<Held>], sent: Now, epoch: Option<i64>) -> (i64, i64) {
        let (mut leased_nanos, mut pending_nanos) = (0_i64, 0_i64);
        let mut drained = Vec::new();
        for (position, held) in all.iter().enumerate() {
            make_way(position).await;
            let mut account = held.account();
            if let Some(epoch) = epoch {
                account.rest_on(&held.cell, sent, epoch);
            }
            leased_nanos = leased_nanos.saturating_add(account.leased_nanos());
            pending_nanos = pending_nanos.saturating_add(account.pending_nanos());
            if account.is_drained() {
                drained.push(account.campaign_id().clone());
            }
        }
        if !drained.is_empty() {
            self.forget_drained(&drained);
        }
        (leased_nanos, pending_nanos)
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

impl Round {
    /// Nothing named so far tells the group's epoch, and it must be told.
    fn needs_a_grant(&self) -> bool {
        self.standing.needs_a_grant(self.sent)
            && self.busy.requests.is_empty()
            && self.resting.requests.is_empty()
    }
}

/// Lets what else the thread has to do go first, now and then.
async fn make_way(position: usize) {
    if position % LOOKED_AT_IN_ONE == LOOKED_AT_IN_ONE - 1 {
        tokio::task::yield_now().await;
    }
}
