//! Follows topics `exchanges` and `campaigns` from their beginning and keeps [`Live`] current.
//!
//! One reader a partition reads and folds records, on the threads for blocking work: on all cores while the topics are
//! replayed and nobody is served, later one at a time. One builder makes a new snapshot whenever something changed, off
//! the bid path and never twice at once, so that a burst of changes costs few builds. The service is ready when
//! the snapshot holds everything that was in the topics at the start.

mod builder;
mod fold;

use crate::lease_keeper::LeaseKeeper;
use crate::lists::Lists;
use crate::live::Live;
use crate::metrics::{BidMetrics, IndexMetrics};
use arc_swap::ArcSwap;
use bidding_engine::LearnedPrices;
use builder::Builder;
use domain::serving::ServingExchange;
use fold::{Fold, PreparedCampaign, ReadRecord};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use platform::traces::{Span, SpanKind, TraceContext};
use platform::{Clock, Latch, Shutdown, Traces};
use std::num::NonZero;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use storage::StorageError;
use storage::event_log::{EventLog, Record, Topic};
use tokio::sync::{Barrier, Mutex as TaskMutex, Notify, Semaphore, watch};

/// Few enough that a batch is folded while the processor has it at hand.
const BATCH_RECORDS: u32 = 250;
/// Batches of one partition that are read before those ahead of them are folded.
const AHEAD: usize = 3;
/// How long a read waits for news; also how often the index is known to be current.
const WAIT: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A log that can be reached again is noticed within this; asking is cheap.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Between builds at least three times as long as the last one took, so that steady changes leave the bids three
/// quarters of a core; but a change is never kept waiting longer than this.
const LONGEST_REST: Duration = Duration::from_millis(400);

/// What the follower needs.
pub(crate) struct Follower {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) keeper: Arc<LeaseKeeper>,
    /// T1, kept at the longest of any exchange in use.
    pub(crate) win_notice_delay_ms: Arc<AtomicI64>,
    /// Of first-price bids.
    pub(crate) prices: LearnedPrices,
    /// Outside development every exchange must be able to prove its requests.
    pub(crate) needs_proof: bool,
    pub(crate) caught_up: Latch,
    pub(crate) clock: Clock,
    pub(crate) index_metrics: IndexMetrics,
    pub(crate) traces: Traces,
    pub(crate) bid_metrics: BidMetrics,
    pub(crate) lists: watch::Receiver<Lists>,
}

struct Following {
    log: Arc<dyn EventLog>,
    live: Arc<ArcSwap<Live>>,
    caught_up: Latch,
    clock: Clock,
    index_metrics: IndexMetrics,
    builder: Builder,
    fold: Mutex<Fold>,
    traces: Traces,
    /// Of changes that are folded and wait for the next build.
    traced: Mutex<Vec<Span>>,
    /// What was live before.
    retired: Mutex<Arc<Live>>,
    changed: Notify,
    /// While the topics are replayed: as many batches as there are cores.
    preparing: Arc<Semaphore>,
    /// A fetch that waits for news may hold up one for records that are there: nobody follows before all have replayed.
    all_replayed: Barrier,
    /// Held while records are read once bids are served.
    reading: TaskMutex<()>,
    /// Partitions that have not yet reached the end they had at the start.
    behind: AtomicUsize,
    /// When each partition was last read to its end, by the monotonic clock.
    read_at_ms: Vec<AtomicI64>,
}

impl Follower {
    /// Starts the tasks. Fails only while the log cannot say how many partitions it has, and then tries again
    /// by itself: the service starts without its store and turns ready when it comes.
    pub(crate) fn start(self, shutdown: &Shutdown) {
        let spawner = shutdown.clone();
        shutdown.spawn("follower", async move {
            let mut outage = Outage::new("partitions");
            let partitions = tokio::select! {
                () = spawner.background().cancelled() => return,
                partitions = outage.until_ok(|| partitions(&*self.log)) => partitions,
            };
            self.follow(&partitions, &spawner);
        });
    }

    fn follow(self, partitions: &[(Topic, u32)], shutdown: &Shutdown) {
        let following = Arc::new(self.following(partitions.len()));
        for (slot, (topic, partition)) in partitions.iter().copied().enumerate() {
            let stop = shutdown.background().clone();
            let following = following.clone();
            shutdown.spawn("topic reader", async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = following.read(slot, topic, partition) => {}
                }
            });
        }
        let stop = shutdown.background().clone();
        shutdown.spawn("index builder", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = following.keep_built() => {}
            }
        });
    }

    fn following(self, partitions: usize) -> Following {
        let now_ms = self.clock.monotonic_ms();
        Following {
            log: self.log,
            live: self.live,
            caught_up: self.caught_up,
            clock: self.clock,
            index_metrics: self.index_metrics,
            builder: Builder {
                keeper: self.keeper,
                win_notice_delay_ms: self.win_notice_delay_ms,
                prices: self.prices,
                needs_proof: self.needs_proof,
                bid_metrics: self.bid_metrics,
                lists: self.lists,
                catalog: Mutex::default(),
            },
            fold: Mutex::default(),
            traces: self.traces,
            traced: Mutex::default(),
            retired: Mutex::default(),
            changed: Notify::new(),
            preparing: Arc::new(Semaphore::new(cores())),
            all_replayed: Barrier::new(partitions),
            reading: TaskMutex::default(),
            behind: AtomicUsize::new(partitions),
            read_at_ms: (0..partitions).map(|_| AtomicI64::new(now_ms)).collect(),
        }
    }
}

async fn partitions(log: &dyn EventLog) -> Result<Vec<(Topic, u32)>, StorageError> {
    let mut all = Vec::new();
    for topic in [Topic::Exchanges, Topic::Campaigns] {
        all.extend((0..log.partitions(topic).await?).map(|partition| (topic, partition)));
    }
    Ok(all)
}

impl Following {
    async fn read(self: Arc<Self>, slot: usize, topic: Topic, partition: u32) {
        let mut outage = Outage::new(topic.name());
        let mut next_offset = self.catch_up(topic, partition, &mut outage).await;
        self.has_read_to_end(slot);
        self.behind.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_one();
        loop {
            let batch = outage
                .until_ok(|| self.log.read(topic, partition, next_offset, BATCH_RECORDS, WAIT))
                .await;
            if batch.records.is_empty() {
                self.has_read_to_end(slot);
            } else if self.apply(topic, batch.records).await {
                self.changed.notify_one();
            }
            next_offset = batch.next_offset;
        }
    }

    /// Replays together with the readers of all other partitions; then what has come meanwhile.
    async fn catch_up(&self, topic: Topic, partition: u32, outage: &mut Outage) -> i64 {
        let replayed = self.replay(topic, partition, 0, outage).await;
        self.all_replayed.wait().await;
        self.replay(topic, partition, replayed, outage).await
    }

    /// Reads from an offset to the end that the partition has now. While some records are made ready on other threads, the
    /// next are read; they are folded in their order. Returns the offset to go on from.
    async fn replay(&self, topic: Topic, partition: u32, from_offset: i64, outage: &mut Outage) -> i64 {
        let end = outage.until_ok(|| self.log.end_offset(topic, partition)).await;
        let mut under_way = FuturesOrdered::new();
        let mut next_offset = from_offset;
        while next_offset < end {
            let read = || {
                self.log
                    .read(topic, partition, next_offset, BATCH_RECORDS, Duration::ZERO)
            };
            let batch = outage.until_ok(read).await;
            // After compaction the last offsets may be gone: where nothing comes and nothing moves is the end as well.
            if batch.records.is_empty() && batch.next_offset <= next_offset {
                break;
            }
            next_offset = batch.next_offset;
            let turn = self.preparing.clone().acquire_owned().await;
            under_way.push_back(on_other_thread(move || {
                let _turn = turn;
                Understood::of(topic, batch.records)
            }));
            if under_way.len() > AHEAD
                && let Some(Some(understood)) = under_way.next().await
            {
                self.take_in(understood);
            }
        }
        while let Some(understood) = under_way.next().await {
            if let Some(understood) = understood {
                self.take_in(understood);
            }
        }
        next_offset
    }

    fn has_read_to_end(&self, slot: usize) {
        self.read_at_ms[slot].store(self.clock.monotonic_ms(), Ordering::Relaxed);
    }

    /// Says whether anything changed.
    async fn apply(self: &Arc<Self>, topic: Topic, records: Vec<Record>) -> bool {
        let _turn = self.reading.lock().await;
        let this = self.clone();
        let applied = on_other_thread(move || {
            let understood = Understood::of(topic, records);
            // What was replayed at the start was long ago: only later changes are traced.
            let spans = this.spans(&understood);
            let changed = this.take_in(understood);
            if !spans.is_empty() {
                this.traced().extend(spans);
            }
            changed
        });
        applied.await.unwrap_or(false)
    }

    /// Says whether anything changed.
    fn take_in(&self, understood: Understood) -> bool {
        let metrics = &self.index_metrics;
        let mut fold = self.fold();
        match understood {
            Understood::Exchanges(read) => read
                .into_iter()
                .fold(false, |changed, record| fold.exchange(record, metrics) | changed),
            Understood::Campaigns(read) => read
                .into_iter()
                .fold(false, |changed, record| fold.campaign(record, metrics) | changed),
        }
    }

    /// Of changes that are traced: from here until they are live.
    fn spans(&self, understood: &Understood) -> Vec<Span> {
        let Understood::Campaigns(read) = understood else {
            return Vec::new();
        };
        let traced = read.iter().filter_map(|record| {
            let relay = TraceContext::parse(record.traceparent()?)?;
            let mut span = self
                .traces
                .child(relay, SpanKind::Consumer, "take into the index")?;
            span.set("messaging.destination.name", Topic::Campaigns.name());
            span.set("messaging.kafka.message.key", record.key().to_owned());
            Some(span)
        });
        traced.collect()
    }

    async fn keep_built(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        let mut exchanges_known = None;
        let mut lists = self.builder.lists.clone();
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                Ok(()) = lists.changed() => {}
                _ = ticks.tick() => {
                    self.tell_age();
                    continue;
                }
            }
            let was_behind = self.behind.load(Ordering::Acquire) > 0;
            // While the topics are replayed nobody is served: one build at their end is enough.
            if was_behind {
                continue;
            }
            let this = self.clone();
            let began = Instant::now();
            match tokio::task::spawn_blocking(move || this.build()).await {
                Ok(()) => {
                    self.tell_of_exchanges(&mut exchanges_known);
                    // Until then every answer is a 404, which exchanges count as an error.
                    if exchanges_known == Some(true) {
                        self.caught_up.set();
                    }
                }
                Err(error) => tracing::error!(%error, "the index could not be built, the last one serves on"),
            }
            tokio::time::sleep((began.elapsed() * 3).min(LONGEST_REST)).await;
        }
    }

    fn build(&self) {
        let began = Instant::now();
        let traced = std::mem::take(&mut *self.traced());
        let live = self.builder.build(&self.fold, &self.live.load());
        let metrics = &self.index_metrics;
        metrics
            .campaigns
            .set(i64::try_from(live.snapshot.len()).unwrap_or(i64::MAX));
        // The one before lives on until the next, so that no bid has to take a whole snapshot down.
        *self.retired.lock().unwrap_or_else(PoisonError::into_inner) = self.live.swap(Arc::new(live));
        drop(traced);
        metrics.build_seconds.observe(began.elapsed().as_secs_f64());
    }

    /// Without exchanges every bid request is a 404, which nobody would look for here. `known` is what was told
    /// last.
    fn tell_of_exchanges(&self, known: &mut Option<bool>) {
        let are_known = !self.live.load().gates.is_empty();
        match (known.replace(are_known), are_known) {
            (None | Some(true), false) => tracing::warn!(
                topic = Topic::Exchanges.name(),
                "no exchange is known, so every bid request is answered 404: campaign-service publishes them, \
                 start it on the same store"
            ),
            (Some(false), true) => tracing::info!("exchanges are known now"),
            (None | Some(true), true) | (Some(false), false) => {}
        }
    }

    fn tell_age(&self) {
        let oldest_ms = self.read_at_ms.iter().map(|at| at.load(Ordering::Relaxed)).min();
        let age_ms = oldest_ms.map_or(0, |oldest| self.clock.monotonic_ms() - oldest);
        self.index_metrics.age_seconds.set(age_ms as f64 / 1_000.0);
    }

    fn traced(&self) -> MutexGuard<'_, Vec<Span>> {
        self.traced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fold(&self) -> MutexGuard<'_, Fold> {
        self.fold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records of one topic, read and made ready: the work, of which folding them is little.
enum Understood {
    Exchanges(Vec<ReadRecord<ServingExchange>>),
    Campaigns(Vec<ReadRecord<PreparedCampaign>>),
}

impl Understood {
    fn of(topic: Topic, records: Vec<Record>) -> Self {
        let records = records.into_iter();
        match topic {
            Topic::Exchanges => Self::Exchanges(records.map(ReadRecord::exchange).collect()),
            _ => Self::Campaigns(records.map(ReadRecord::campaign).collect()),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Begins at once. `None`: the process is ending.
fn on_other_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<T>> {
    let handle = tokio::task::spawn_blocking(work);
    async {
        match handle.await {
            Ok(done) => Some(done),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => None,
            },
        }
    }
}

/// Repeats a call until it works; says so once when it begins to fail and once when it is over.
struct Outage {
    what: &'static str,
}

impl Outage {
    fn new(what: &'static str) -> Self {
        Self { what }
    }

    async fn until_ok<T, F>(&mut self, mut call: impl FnMut() -> F) -> T
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        let mut pause = Duration::ZERO;
        loop {
            match call().await {
                Ok(answer) => {
                    if !pause.is_zero() {
                        tracing::info!(what = self.what, "can be read again");
                    }
                    return answer;
                }
                Err(error) => {
                    if pause.is_zero() {
                        tracing::warn!(what = self.what, %error, "cannot be read, trying on");
                    }
                    pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
