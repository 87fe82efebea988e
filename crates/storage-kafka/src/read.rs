//! Reading: one consumer fetches ahead for all partitions, each into a queue of its own.
//!
//! A reader that goes on where it stood takes what was fetched already. Two readers of one partition at different
//! places get consumers of their own, up to [`LANES`] of them.
//!
//! While Kafka is away nothing is fetched, and a partition is fetched from again only once it has a leader. librdkafka
//! 2.12 reads an answer in which some partitions have a new leader and others none yet, as a broker gives it that has just
//! started, into memory that it has not set (`rd_kafka_handle_Fetch_metadata_update` counts the latter and skips them), and
//! the process dies of it.

mod cursor;
mod lane;

use crate::link::Link;
use crate::queries::{Queries, number};
use cursor::Cursor;
use lane::Lane;
use rdkafka::ClientConfig;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use storage::StorageError;
use storage::event_log::{Batch, Topic};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::Instant;

/// Consumers of one process.
const LANES: usize = 4;
/// A place in a partition that nobody read from for as long as this may be taken by another reader.
const RESTING: Duration = Duration::from_secs(2);
/// And after this what was fetched ahead for it is given up.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// How often librdkafka's errors are taken.
const UPKEEP: Duration = Duration::from_millis(100);
/// How long records that are known to be there may take to come.
const PATIENCE: Duration = Duration::from_secs(6);
/// At the end of what was fetched, though there should be more: after this it is looked at anew.
const GRACE: Duration = Duration::from_millis(150);
/// A reader looks this often at its queue even when nothing woke it.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) type Place = (Topic, u32);

pub(crate) struct Readers {
    config: ClientConfig,
    prefix: String,
    link: Arc<Link>,
    queries: Arc<Queries>,
    partitions: Mutex<HashMap<Place, Arc<Partition>>>,
    lanes: Mutex<[Weak<Lane>; LANES]>,
    is_kept_up: AtomicBool,
}

struct Partition {
    topic: String,
    number: i32,
    /// The end as it was last heard.
    end: AtomicI64,
    /// The place in the list is the lane.
    slots: Mutex<Vec<Arc<Slot>>>,
}

struct Slot {
    cursor: Arc<AsyncMutex<Option<Cursor>>>,
    /// Where the cursor stands.
    position: AtomicI64,
    last_read: Mutex<Instant>,
}

/// A slot that one read has for itself.
struct Held {
    lane: usize,
    slot: Arc<Slot>,
    cursor: OwnedMutexGuard<Option<Cursor>>,
}

impl Readers {
    pub(crate) fn new(base: &ClientConfig, prefix: &str, link: Arc<Link>, queries: Arc<Queries>) -> Self {
        Self {
            config: lane::config(base, prefix),
            prefix: prefix.to_owned(),
            link,
            queries,
            partitions: Mutex::new(HashMap::new()),
            lanes: Mutex::new([const { Weak::new() }; LANES]),
            is_kept_up: AtomicBool::new(false),
        }
    }

    pub(crate) async fn end(&self, place: Place) -> Result<i64, StorageError> {
        let partition = self.partition(place)?;
        let end = self.queries.end(&partition.topic, place.1).await?;
        partition.end.store(end, Relaxed);
        Ok(end)
    }

    pub(crate) async fn read(
        self: &Arc<Self>,
        place: Place,
        from_offset: i64,
        limit: u32,
        wait: Duration,
    ) -> Result<Batch, StorageError> {
        let until = Instant::now() + wait;
        let partition = self.partition(place)?;
        let mut held = partition.hold(from_offset).await;
        let read = self
            .read_held(place, &partition, &mut held, from_offset, limit, until)
            .await;
        *lock(&held.slot.last_read) = Instant::now();
        if let (Err(_), Some(cursor)) = (&read, held.cursor.as_mut()) {
            // Whatever state it is in: the next read places it anew.
            cursor.position = -1;
        }
        let position = held.cursor.as_ref().map_or(-1, |cursor| cursor.position);
        held.slot.position.store(position, Relaxed);
        read
    }

    async fn read_held(
        self: &Arc<Self>,
        place: Place,
        partition: &Partition,
        held: &mut Held,
        from_offset: i64,
        limit: u32,
        until: Instant,
    ) -> Result<Batch, StorageError> {
        // A cancelled read leaves the cursor where its queue stands, and no position but that is trusted.
        if held
            .cursor
            .as_ref()
            .is_none_or(|cursor| cursor.position != from_offset)
        {
            self.place_at(place, partition, held, from_offset).await?;
        }
        let began = Instant::now();
        let mut placed = began;
        loop {
            let Some(cursor) = held.cursor.as_mut() else {
                return Err(StorageError::Unavailable("kafka: the reader is gone".to_owned()));
            };
            let records = cursor.take(limit)?;
            if !records.is_empty() || cursor.position > from_offset || limit == 0 {
                if !records.is_empty() {
                    self.link.found();
                }
                return Ok(Batch {
                    records,
                    next_offset: cursor.position,
                });
            }
            let now = Instant::now();
            let is_behind = from_offset < partition.end.load(Relaxed);
            if self.link.is_away() {
                held.let_go().await;
                if is_behind {
                    return Err(StorageError::Unavailable("kafka is away".to_owned()));
                }
                return self.nothing_new(place, from_offset).await;
            }
            if !is_behind && now >= until {
                return self.nothing_new(place, from_offset).await;
            }
            if is_behind && now >= until.max(began + PATIENCE) {
                let what = format!("kafka: records of {}/{} do not come", partition.topic, place.1);
                return Err(StorageError::Unavailable(what));
            }
            if is_behind && cursor.is_at_end && now >= placed + GRACE {
                self.place_at(place, partition, held, from_offset).await?;
                placed = Instant::now();
                continue;
            }
            let look_again = if is_behind { GRACE } else { LOOK };
            let at = if is_behind {
                now + look_again
            } else {
                until.min(now + look_again)
            };
            cursor.wait_until(at).await;
        }
    }

    /// Nothing came: because there is nothing, or because Kafka is away?
    async fn nothing_new(&self, place: Place, from_offset: i64) -> Result<Batch, StorageError> {
        if self.link.is_away() {
            self.end(place).await?;
        }
        Ok(Batch {
            records: Vec::new(),
            next_offset: from_offset,
        })
    }

    /// The end is asked for first: an end of the partition that the queue tells of later is at or after it.
    async fn place_at(
        self: &Arc<Self>,
        place: Place,
        partition: &Partition,
        held: &mut Held,
        from_offset: i64,
    ) -> Result<(), StorageError> {
        let end = self.end(place).await?;
        if from_offset > end {
            return Err(StorageError::Unavailable(format!(
                "kafka: {}/{} ends at {end}, before {from_offset} up to where it was read: acknowledged records are lost",
                partition.topic, place.1
            )));
        }
        let cursor = match held.cursor.take() {
            Some(cursor) => cursor,
            None => Cursor::new(self.lane(held.lane)?, &partition.topic, partition.number)?,
        };
        // Short, but it waits for a thread of librdkafka.
        let placed = tokio::task::spawn_blocking(move || cursor.placed_at(from_offset, end)).await;
        let placed = placed.map_err(|error| StorageError::Unavailable(format!("kafka: {error}")))?;
        *held.cursor = Some(placed?);
        Ok(())
    }

    fn partition(&self, place: Place) -> Result<Arc<Partition>, StorageError> {
        let mut partitions = lock(&self.partitions);
        if let Some(partition) = partitions.get(&place) {
            return Ok(partition.clone());
        }
        let topic = format!("{}{}", self.prefix, place.0.name());
        let partition = Arc::new(Partition {
            number: number(&topic, place.1)?,
            topic,
            end: AtomicI64::new(0),
            slots: Mutex::new(Vec::new()),
        });
        partitions.insert(place, partition.clone());
        Ok(partition)
    }

    fn lane(self: &Arc<Self>, number: usize) -> Result<Arc<Lane>, StorageError> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes[number].upgrade() {
            return Ok(lane);
        }
        let lane = Arc::new(Lane::new(&self.config, self.link.clone())?);
        lanes[number] = Arc::downgrade(&lane);
        drop(lanes);
        self.keep_up()?;
        Ok(lane)
    }

    /// Starts the thread that serves the consumers, unless it runs.
    fn keep_up(self: &Arc<Self>) -> Result<(), StorageError> {
        if self.is_kept_up.swap(true, Relaxed) {
            return Ok(());
        }
        let readers = Arc::downgrade(self);
        let started = std::thread::Builder::new()
            .name("kafka-readers".to_owned())
            .spawn(move || {
                while let Some(readers) = readers.upgrade() {
                    readers.serve();
                    drop(readers);
                    std::thread::sleep(UPKEEP);
                }
            });
        started.map(drop).map_err(|error| {
            self.is_kept_up.store(false, Relaxed);
            StorageError::Unavailable(format!("kafka: no thread: {error}"))
        })
    }

    fn serve(&self) {
        let lanes: Vec<Arc<Lane>> = lock(&self.lanes).iter().filter_map(Weak::upgrade).collect();
        for lane in lanes {
            lane.serve();
        }
        let kept = if self.link.is_away() {
            Duration::ZERO
        } else {
            FORGOTTEN
        };
        let partitions: Vec<Arc<Partition>> = lock(&self.partitions).values().cloned().collect();
        for partition in partitions {
            partition.forget(kept);
        }
    }
}

impl Partition {
    /// The slot that stands there; else one that rests; else a new one; else any.
    async fn hold(&self, from_offset: i64) -> Held {
        let (lane, slot) = loop {
            let mut slots = lock(&self.slots);
            let stands_there = |slot: &Slot| slot.position.load(Relaxed) == from_offset;
            if let Some(held) = try_hold(&slots, stands_there).or_else(|| try_hold(&slots, Slot::rests)) {
                return held;
            }
            if slots.len() < LANES {
                slots.push(Arc::new(Slot::new()));
                continue;
            }
            if let Some(held) = try_hold(&slots, |_| true) {
                return held;
            }
            break (0, slots[0].clone());
        };
        let cursor = slot.cursor.clone().lock_owned().await;
        Held { lane, slot, cursor }
    }

    /// Gives up what nobody has read from for longer than `kept`, and does not just now.
    fn forget(&self, kept: Duration) {
        let slots: Vec<Arc<Slot>> = lock(&self.slots).clone();
        for slot in slots {
            if lock(&slot.last_read).elapsed() > kept
                && let Ok(mut cursor) = slot.cursor.try_lock()
            {
                *cursor = None;
                slot.position.store(-1, Relaxed);
            }
        }
    }
}

impl Held {
    /// Nothing is fetched for this place any more.
    async fn let_go(&mut self) {
        if let Some(cursor) = self.cursor.take() {
            // Short, but it waits for a thread of librdkafka. Only the process's end cancels it.
            let _ = tokio::task::spawn_blocking(move || drop(cursor)).await;
        }
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            cursor: Arc::new(AsyncMutex::new(None)),
            position: AtomicI64::new(-1),
            last_read: Mutex::new(Instant::now()),
        }
    }

    fn rests(&self) -> bool {
        self.position.load(Relaxed) < 0 || lock(&self.last_read).elapsed() > RESTING
    }
}

fn try_hold(slots: &[Arc<Slot>], fits: impl Fn(&Slot) -> bool) -> Option<Held> {
    slots
        .iter()
        .enumerate()
        .filter(|(_, slot)| fits(slot))
        .find_map(|(lane, slot)| {
            let cursor = slot.cursor.clone().try_lock_owned().ok()?;
            Some(Held {
                lane,
                slot: slot.clone(),
                cursor,
            })
        })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
