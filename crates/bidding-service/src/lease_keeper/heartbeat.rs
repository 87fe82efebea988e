//! One heartbeat: ask every account what it needs, renew group by group of the ledger, tell every account its answer.

use super::account::Rest;
use super::group::Group;
use super::standing::epoch_told;
use super::sums::Sums;
use super::{FIRST_RETRY, Held, LeaseKeeper, REST_MS};
use bidding_engine::Now;
use domain::id::CampaignId;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::StorageError;
use storage::spend_ledger::LeaseRequest;

/// New and resting campaigns named in one heartbeat: 100,000 of them must not hold up the busy ones.
const RESTING_IN_ONE: usize = 500;

/// In one for news alone, of which there may be ten between two others.
const RESTING_IN_A_QUICK_ONE: usize = 50;

/// The wall clock moved against the monotonic one by more: days and flights may have begun or ended.
const WALL_JUMP_MS: i64 = 1_000;

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

/// One heartbeat, as each group's part of it is told.
#[derive(Clone, Copy)]
struct Beat {
    /// Of its renewals, so that one that is late changes nothing.
    number: i64,
    sent: Now,
    hold_ms: i64,
    win_notice_delay_ms: i64,
}

/// One group's part of a heartbeat.
struct Round<'a> {
    number: u32,
    group: &'a mut Group,
    busy: Batch,
    resting: Batch,
}

/// Who is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whom {
    Everybody,
    /// Those that are new, have changed or have been called since the last time.
    Called,
}

/// What became of it.
struct Outcome {
    sums: Sums,
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
    pub(super) groups: BTreeMap<u32, Group>,
    /// How many there were.
    count: i64,
    /// The wall clock's time less the monotonic clock's: sleep is counted by the one and days by the other.
    wall_ahead_ms: i64,
}

impl Heartbeats {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: fastrand::Rng::with_seed(seed),
            groups: BTreeMap::new(),
            count: 0,
            wall_ahead_ms: 0,
        }
    }

    /// From which of its accounts on each group's are newly called, or changed.
    fn take_in(&mut self, called: Vec<Arc<Held>>, changed: &[Arc<Held>]) -> BTreeMap<u32, usize> {
        let mut by_group: BTreeMap<u32, Vec<Arc<Held>>> = BTreeMap::new();
        for held in called {
            by_group.entry(held.group).or_default().push(held);
        }
        let mut begins = BTreeMap::new();
        for held in changed {
            let group = self.groups.entry(held.group).or_default();
            let end = begins.entry(held.group).or_insert(group.awake.len());
            group.move_behind(held, end);
        }
        for (number, called) in by_group {
            let group = self.groups.entry(number).or_default();
            begins.entry(number).or_insert(group.awake.len());
            group.take_in(called);
        }
        begins
    }

    fn wake(&mut self, now: Now) {
        let wall_ahead_ms = now.unix_ms.saturating_sub(now.monotonic_ms);
        let jumped_ms = wall_ahead_ms.saturating_sub(self.wall_ahead_ms).saturating_abs();
        self.wall_ahead_ms = wall_ahead_ms;
        let mut room = RESTING_IN_ONE;
        // Each time from another one on: who has the room now comes last next time.
        let first = usize::try_from(self.count)
            .ok()
            .and_then(|count| count.checked_rem(self.groups.len()))
            .unwrap_or(0);
        let (before, after): (Vec<_>, Vec<_>) = self
            .groups
            .values_mut()
            .enumerate()
            .partition(|(position, _)| *position < first);
        for (_, group) in after.into_iter().chain(before) {
            if jumped_ms > WALL_JUMP_MS {
                group.wake_all();
            } else {
                group.wake(now, &mut room);
            }
        }
    }
}

impl LeaseKeeper {
    /// Renews what is due, in every group that holds campaigns of this bidder.
    ///
    /// # Errors
    /// When some of the groups do not answer; the others are renewed all the same.
    pub(crate) async fn beat(&self) -> Result<(), Unanswered> {
        self.beat_for(Whom::Everybody).await
    }

    /// Asks for those alone that are new or have been called, so that they need not wait for the next heartbeat.
    ///
    /// # Errors
    /// When one of their groups does not answer.
    pub(super) async fn quick_beat(&self) -> Result<(), Unanswered> {
        if self.called().is_empty() && self.changed().is_empty() {
            return Ok(());
        }
        self.beat_for(Whom::Called).await
    }

    async fn beat_for(&self, whom: Whom) -> Result<(), Unanswered> {
        let mut heartbeats = self.heartbeats.lock().await;
        heartbeats.count = heartbeats.count.saturating_add(1);
        let beat = Beat {
            number: heartbeats.count,
            sent: self.now(),
            hold_ms: self.hold_ms(),
            win_notice_delay_ms: self.win_notice_delay_ms(),
        };
        let rounds = self.ask_all(&mut heartbeats, beat, whom).await;
        let groups = rounds.len();
        // All at once: a group that is slow to fail must not keep another waiting.
        let mut answers: FuturesUnordered<_> = rounds
            .into_iter()
            .map(|round| self.renew_group(round, beat))
            .collect();
        let mut sums = Sums::default();
        let mut failures = Vec::new();
        while let Some(outcome) = answers.next().await {
            sums = sums.and(outcome.sums);
            failures.extend(outcome.failed);
        }
        if whom == Whom::Everybody {
            self.metrics.lease_balance_nanos.set(sums.leased_nanos);
            self.metrics.pending_nanos.set(sums.pending_nanos);
            self.metrics.planned_nanos.set(sums.planned_nanos);
            self.metrics.planned_spent_nanos.set(sums.spent_nanos);
            self.metrics
                .ledger_refusing
                .set(i64::try_from(failures.len()).unwrap_or(i64::MAX));
        }
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

    /// What every account that is awake needs.
    async fn ask_all<'a>(&self, heartbeats: &'a mut Heartbeats, beat: Beat, whom: Whom) -> Vec<Round<'a>> {
        let called = std::mem::take(&mut *self.called());
        let changed = std::mem::take(&mut *self.changed());
        let begins = heartbeats.take_in(called, &changed);
        let most_resting = match whom {
            Whom::Everybody => {
                heartbeats.wake(beat.sent);
                RESTING_IN_ONE
            }
            Whom::Called => RESTING_IN_A_QUICK_ONE,
        };
        let Heartbeats { dice, groups, .. } = heartbeats;
        let mut rounds = Vec::with_capacity(groups.len());
        let (mut position, mut resting) = (0, 0);
        for (number, group) in groups {
            let first = match (whom, begins.get(number)) {
                (Whom::Everybody, _) => 0,
                (Whom::Called, Some(first)) => *first,
                (Whom::Called, None) => continue,
            };
            let mut round = Round {
                number: *number,
                group,
                busy: Batch::default(),
                resting: Batch::default(),
            };
            let mut next = first;
            while let Some(held) = round.next(next, beat) {
                make_way(position).await;
                let rest = if round.needs_a_grant(beat) {
                    Rest::Now
                } else if resting < most_resting {
                    Rest::WhenDue
                } else {
                    Rest::Later
                };
                resting += usize::from(round.ask(&held, rest, beat, dice.f64()));
                (next, position) = (next + 1, position + 1);
            }
            rounds.push(round);
        }
        rounds
    }

    async fn renew_group(&self, round: Round<'_>, beat: Beat) -> Outcome {
        let Round {
            number,
            group,
            busy,
            resting,
        } = round;
        // Sent even when it is empty: that the group answers is what lets its resting campaigns bid on.
        let busy = self.renew(number, busy, beat.hold_ms);
        // At the same time: a group that is slow to answer one is as slow to answer the other.
        let resting = async {
            if resting.requests.is_empty() {
                return Ok(None);
            }
            self.renew(number, resting, beat.hold_ms.saturating_add(REST_MS))
                .await
        };
        let (busy, resting) = futures_util::join!(busy, resting);
        let told = |of: &Result<Option<i64>, StorageError>| of.as_ref().ok().copied().flatten();
        let epoch = if busy.is_ok() {
            group
                .standing
                .answered(beat.sent, told(&busy).max(told(&resting)))
        } else {
            None
        };
        let sums = self.settle_round(group, beat.sent, epoch).await;
        Outcome {
            sums,
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

    /// Extends the resting whose lease is of the group's present epoch, forgets the drained, lets sleep who can.
    async fn settle_round(&self, group: &mut Group, sent: Now, epoch: Option<i64>) -> Sums {
        if let Some(epoch) = epoch {
            group.rest_on(sent, epoch);
        }
        let mut sums = group.sums();
        let (mut position, mut next) = (0, 0);
        while let Some(held) = group.awake.get(next).cloned() {
            make_way(position).await;
            position += 1;
            let mut account = held.account();
            if let Some(epoch) = epoch {
                account.rest_on(&held.cell, sent, epoch);
            }
            sums = sums.and(account.sums(sent));
            let is_drained = account.is_drained();
            let id = is_drained.then(|| account.campaign_id().clone());
            drop(account);
            if id.is_some_and(|id| self.is_forgotten(&id)) {
                group.awake.swap_remove(next);
                continue;
            }
            let sleep = held.account().sleep(&held.cell, sent);
            if let Some(sleep) = sleep {
                group.awake.swap_remove(next);
                group.puts_to_sleep(held, sleep);
            } else {
                next += 1;
            }
        }
        sums
    }

    /// A drained account is forgotten, unless the follower still serves its campaign, paused: its cell is in the snapshot.
    fn is_forgotten(&self, drained: &CampaignId) -> bool {
        let mut accounts = self.accounts();
        // Its own handle is the last: no snapshot has the cell, and under this lock none can take it.
        let is_last = accounts
            .get(drained)
            .is_some_and(|held| Arc::strong_count(&held.cell) == 1);
        is_last && accounts.remove(drained).is_some()
    }

    /// The last heartbeat: no bid will be made any more; what no open bid needs goes back.
    pub(super) async fn give_back(&self) {
        let all: Vec<Arc<Held>> = self.accounts().values().cloned().collect();
        for held in &all {
            self.touch(held, |account, cell| {
                account.stop(cell);
                true
            });
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

impl Round<'_> {
    /// Nothing named so far tells the group's epoch, and it must be told.
    fn needs_a_grant(&self, beat: Beat) -> bool {
        self.group.standing.needs_a_grant(beat.sent)
            && self.busy.requests.is_empty()
            && self.resting.requests.is_empty()
    }

    /// Of those who are awake the `position`th; in need of one who sleeps.
    fn next(&mut self, position: usize, beat: Beat) -> Option<Arc<Held>> {
        match self.group.awake.get(position) {
            Some(held) => Some(held.clone()),
            None if self.needs_a_grant(beat) => self.group.wake_witness(),
            None => None,
        }
    }

    /// Asks an account what it needs. Returns whether it is named as one that rests.
    fn ask(&mut self, held: &Arc<Held>, rest: Rest, beat: Beat, random: f64) -> bool {
        let asks = held
            .account()
            .ask(&held.cell, beat.sent, beat.win_notice_delay_ms, rest, random);
        let is_named = asks.rests && asks.today.is_some();
        self.busy.push(held, asks.yesterday, beat.number);
        let batch = if asks.rests {
            &mut self.resting
        } else {
            &mut self.busy
        };
        batch.push(held, asks.today, beat.number);
        is_named
    }
}

/// Lets what else the thread has to do go first, now and then.
async fn make_way(position: usize) {
    if position % LOOKED_AT_IN_ONE == LOOKED_AT_IN_ONE - 1 {
        tokio::task::yield_now().await;
    }
}
