//! Makes groups of the spend ledger good again from the topics (design section 5).
//!
//! A ledger whose node was restarted or promoted may lack what was acknowledged last, or everything. It then refuses
//! until every lease of before is over, and hands the group to one bidder. That bidder appends what the ledger still has
//! of verdicts to topic `spend`, reads the topics up to their ends of then, and gives the ledger the facts in their order:
//! checkpoints, verdicts, wins. Nothing new comes into these groups meanwhile, since the ledger settles nothing in them.
//!
//! Promises: a group is called rebuilt only after every fact was taken in; applying facts again changes nothing, so
//! that whatever fails is begun anew. Must never: guess. A bad record is counted and told, and holds up nothing.

mod books;
mod checkpoints;
mod facts;
mod records;
mod skipped;
#[cfg(test)]
mod tests;

use crate::lease_keeper::LeaseKeeper;
use crate::metrics::MoneyMetrics;
use crate::settlement::Settlement;
use crate::token::{LONGEST_BILLING_WINDOW_MS, LONGEST_LIFE_MS};
use books::Books;
use checkpoints::Checkpoints;
use domain::event::{BidEvent, SpendEvent};
use domain::id::AdvertiserId;
use platform::{Clock, Shutdown};
use records::Records;
use skipped::Skipped;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use storage::event_log::Topic;
use storage::spend_ledger::Rebuild;
use storage::{EventLog, SpendLedger, StorageError};

const POLL: Duration = Duration::from_secs(1);
/// Clocks of those who append differ by less; so does a checkpoint from the moment of its offsets.
const CLOCK_MARGIN_MS: i64 = 10 * 60 * 1_000;
/// Instants so near each other are looked for once: reading a little more than is needed changes nothing.
const SHARED_LOOK_MS: i64 = 10_000;

/// The task that looks for groups to rebuild, one a bidder.
pub(crate) struct Rebuilder {
    pub(crate) ledger: Arc<dyn SpendLedger>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) settlement: Arc<Settlement>,
    pub(crate) keeper: Arc<LeaseKeeper>,
    pub(crate) clock: Clock,
    pub(crate) metrics: MoneyMetrics,
}

/// The first offset of each partition that a group's facts come from.
type Starts = BTreeMap<u32, Vec<i64>>;

impl Rebuilder {
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let stop = shutdown.background();
        let mut is_failing = false;
        loop {
            // Cut off in the middle the claim lapses, and another bidder begins anew.
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.rebuild_what_is_due() => outcome,
            };
            match &outcome {
                Err(error) if !is_failing => {
                    tracing::warn!(%error, "the spend ledger cannot be rebuilt where it has to be, trying on");
                }
                Ok(_) if is_failing => tracing::info!("the spend ledger says again what has to be rebuilt"),
                _ => {}
            }
            is_failing = outcome.is_err();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// How many groups have been rebuilt.
    ///
    /// # Errors
    /// Ledger or log unavailable; what was begun is begun anew.
    pub(crate) async fn rebuild_what_is_due(&self) -> Result<usize, StorageError> {
        let bidder_id = self.keeper.bidder_id();
        let due = self.ledger.rebuilds(bidder_id, self.keeper.hold_ms()).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let groups: Vec<u32> = due.iter().map(|rebuild| rebuild.group).collect();
        tracing::warn!(?groups, "rebuilding groups of the spend ledger from the topics");
        let mut books = Books::new(self.ledger.clone(), bidder_id.clone(), &due, self.skipped());
        self.settlement.drain_outbox(i64::MAX).await?;
        books.keep_claims().await;
        self.restore_all(&due, &mut books).await?;
        let rebuilt = books.finish().await;
        self.metrics
            .ledger_rebuilds
            .inc_by(u64::try_from(rebuilt).unwrap_or(0));
        Ok(rebuilt)
    }

    async fn restore_all(&self, due: &[Rebuild], books: &mut Books) -> Result<(), StorageError> {
        let now_ms = self.clock.unix_ms();
        // Before anything is read: what is appended later is of no group that is being rebuilt.
        let spend = Records::until_now(&self.log, Topic::Spend).await?;
        let wins = Records::until_now(&self.log, Topic::Wins).await?;
        let mut checkpoints = Checkpoints::default();
        if due.iter().any(|rebuild| rebuild.complete_until_ms.is_none()) {
            checkpoints = self.read_checkpoints(due, books).await?;
        }
        let starts = self
            .spend_starts(&spend, due, &checkpoints, books, now_ms)
            .await?;
        self.restore_spend(spend, &starts, &checkpoints, books, now_ms)
            .await?;
        let starts = self.win_starts(&wins, due, books, now_ms).await?;
        self.restore_wins(wins, &starts, books, now_ms).await
    }

    async fn read_checkpoints(
        &self,
        due: &[Rebuild],
        books: &mut Books,
    ) -> Result<Checkpoints, StorageError> {
        let skipped = self.skipped();
        let mut read = Checkpoints::default();
        let mut records = Records::until_now(&self.log, Topic::LedgerCheckpoints).await?;
        let from = records.kept_since(i64::MIN).await?;
        records.start(&from);
        let begins_anew = |advertiser_id: &AdvertiserId| {
            let group = self.ledger.group_of(advertiser_id);
            due.iter()
                .any(|rebuild| rebuild.group == group && rebuild.complete_until_ms.is_none())
        };
        while let Some((partition, batch)) = records.next().await? {
            for record in batch {
                let at = records.place(partition, &record);
                skipped.unless_bad(at, read.take(record, at, begins_anew));
            }
            books.keep_claims().await;
        }
        for (advertiser_id, fact, at) in read.facts() {
            books.add(self.ledger.group_of(&advertiser_id), fact, at).await;
        }
        Ok(read)
    }

    /// Where the books are complete up to an instant: from there. Where they begin anew: from the oldest checkpoint's
    /// offsets (everything where there is none), and as far back as a settled bid could be billed once more.
    async fn spend_starts(
        &self,
        spend: &Records,
        due: &[Rebuild],
        checkpoints: &Checkpoints,
        books: &mut Books,
        now_ms: i64,
    ) -> Result<Starts, StorageError> {
        let billable_ms = now_ms.saturating_sub(LONGEST_LIFE_MS + CLOCK_MARGIN_MS);
        let told_ms = checkpoints
            .oldest_at_ms()
            .map_or(i64::MIN, |at_ms| at_ms.saturating_sub(CLOCK_MARGIN_MS));
        let anew_ms = billable_ms.min(told_ms);
        let since_ms = |rebuild: &Rebuild| rebuild.complete_until_ms.unwrap_or(anew_ms);
        let mut starts = starts_since(spend, due, since_ms, books).await?;
        for rebuild in due.iter().filter(|rebuild| rebuild.complete_until_ms.is_none()) {
            let is_of_group =
                |advertiser_id: &AdvertiserId| self.ledger.group_of(advertiser_id) == rebuild.group;
            if let Some(from) = starts.get_mut(&rebuild.group) {
                checkpoints.lower(from, is_of_group);
            }
        }
        Ok(starts)
    }

    async fn win_starts(
        &self,
        wins: &Records,
        due: &[Rebuild],
        books: &mut Books,
        now_ms: i64,
    ) -> Result<Starts, StorageError> {
        let billable_ms = now_ms.saturating_sub(LONGEST_BILLING_WINDOW_MS + CLOCK_MARGIN_MS);
        let since_ms = |rebuild: &Rebuild| rebuild.complete_until_ms.unwrap_or(billable_ms).max(billable_ms);
        starts_since(wins, due, since_ms, books).await
    }

    async fn restore_spend(
        &self,
        mut spend: Records,
        starts: &Starts,
        checkpoints: &Checkpoints,
        books: &mut Books,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let skipped = self.skipped();
        spend.start(&earliest(starts));
        while let Some((partition, batch)) = spend.next().await? {
            for record in batch {
                let at = spend.place(partition, &record);
                let read = SpendEvent::read(record.value.as_deref());
                let Some(event) = skipped.unless_bad(at, read) else {
                    continue;
                };
                let group = self
                    .ledger
                    .group_of(&AdvertiserId(event.dimensions.advertiser.clone()));
                if !is_of(starts, group, partition, record.offset) {
                    continue;
                }
                let counted = checkpoints.holds(&event.campaign_id, partition, record.offset);
                if counted && event.bid_at_ms < now_ms.saturating_sub(LONGEST_LIFE_MS + CLOCK_MARGIN_MS) {
                    continue;
                }
                books.add(group, facts::settled(event, counted), at).await;
            }
            books.keep_claims().await;
            if books.is_given_up() {
                break;
            }
        }
        Ok(())
    }

    async fn restore_wins(
        &self,
        mut wins: Records,
        starts: &Starts,
        books: &mut Books,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let skipped = self.skipped();
        wins.start(&earliest(starts));
        let refuses_since_ms = now_ms.saturating_sub(self.keeper.hold_ms());
        // A repeat of the notice does not know how the first one fared.
        let mut unbacked = HashSet::new();
        while let Some((partition, batch)) = wins.next().await? {
            for record in batch {
                let at = wins.place(partition, &record);
                let read = BidEvent::read(record.value.as_deref());
                let Some(event) = skipped.unless_bad(at, read) else {
                    continue;
                };
                let group = self
                    .ledger
                    .group_of(&AdvertiserId(event.dimensions.advertiser.clone()));
                if !is_of(starts, group, partition, record.offset) {
                    continue;
                }
                let bid_id = event.bid_id;
                if event.reservation.is_none() {
                    unbacked.insert(bid_id);
                } else if !unbacked.contains(&bid_id)
                    && let Some(fact) = facts::won(event, refuses_since_ms)
                {
                    books.add(group, fact, at).await;
                }
            }
            books.keep_claims().await;
            if books.is_given_up() {
                break;
            }
        }
        Ok(())
    }

    fn skipped(&self) -> Skipped {
        Skipped(self.metrics.ledger_rebuild_skipped.clone())
    }
}

/// Where each group's instant is in the topic, or a little before it: groups whose instants are near share one look, or
/// those of a whole ledger would take longer than its claims live.
async fn starts_since(
    records: &Records,
    due: &[Rebuild],
    since_ms: impl Fn(&Rebuild) -> i64,
    books: &mut Books,
) -> Result<Starts, StorageError> {
    let mut known: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut starts = Starts::new();
    for rebuild in due {
        let at_ms = since_ms(rebuild).max(0) / SHARED_LOOK_MS * SHARED_LOOK_MS;
        let from = match known.entry(at_ms) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let from = records.kept_since(at_ms).await?;
                books.keep_claims().await;
                new.insert(from).clone()
            }
        };
        starts.insert(rebuild.group, from);
    }
    Ok(starts)
}

/// By partition: where the first of the groups begins.
fn earliest(starts: &Starts) -> Vec<i64> {
    let mut earliest: Vec<i64> = Vec::new();
    for from in starts.values() {
        earliest.resize(earliest.len().max(from.len()), i64::MAX);
        for (least, start) in earliest.iter_mut().zip(from) {
            *least = (*least).min(*start);
        }
    }
    earliest
}

/// Whether the group's facts come from this record. An older one may be of a bid that its books have forgotten, which
/// would count twice.
fn is_of(starts: &Starts, group: u32, partition: u32, offset: i64) -> bool {
    let from = starts
        .get(&group)
        .and_then(|from| from.get(usize::try_from(partition).ok()?));
    from.is_some_and(|from| offset >= *from)
}
