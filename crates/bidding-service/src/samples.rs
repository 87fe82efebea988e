//! A sample of the bid requests of the last hour, with what was known of their users: what forecasts are made of.
//!
//! The bid path counts each request and at times sends one, which then stands for all that came since the one before: an
//! atomic addition and a comparison, now and then a place in a bounded queue. The task behind the queue reads the user's
//! state and keeps what came, bounded in number, bytes and age (`ring`). Nothing of it leaves the process.

mod ring;

pub(crate) use ring::Sample;

use crate::known_user::KnownUser;
use crate::live::Live;
use crate::user_key::user_key;
use arc_swap::ArcSwap;
use bumpalo::Bump;
use bytes::Bytes;
use platform::{Clock, Shutdown};
use ring::{EVERY, Ring};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use storage::UserStates;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Samples whose user is not read yet. While it is full none is taken, and the next one stands for more.
const QUEUE: usize = 16;

/// Takes samples. On the bid path: it waits for nothing, and asks no clock.
#[derive(Debug)]
pub(crate) struct Sampler {
    began: Instant,
    /// Since the last sample.
    seen: AtomicU64,
    /// Since `began`: when the next sample is wanted.
    due_ms: AtomicU64,
    every_ms: Arc<AtomicU64>,
    queue: mpsc::Sender<Taken>,
}

/// A request as the bid path sends it.
#[derive(Debug)]
struct Taken {
    exchange: Box<str>,
    body: Bytes,
    weight: u64,
    at: Instant,
}

impl Sampler {
    fn new(began: Instant) -> (Self, mpsc::Receiver<Taken>) {
        let (queue, taken) = mpsc::channel(QUEUE);
        let sampler = Self {
            began,
            seen: AtomicU64::new(0),
            due_ms: AtomicU64::new(0),
            every_ms: Arc::new(AtomicU64::new(millis(EVERY))),
            queue,
        };
        (sampler, taken)
    }

    /// Starts the task that keeps the samples.
    pub(crate) fn start(
        live: Arc<ArcSwap<Live>>,
        user_states: Arc<dyn UserStates>,
        clock: Clock,
        shutdown: &Shutdown,
    ) -> (Self, Samples) {
        let began = Instant::now();
        let (sampler, taken) = Self::new(began);
        let samples = Samples::default();
        let keeper = Keeper {
            live,
            user_states,
            clock,
            samples: samples.clone(),
            every_ms: sampler.every_ms.clone(),
            last_at: began,
        };
        let stop = shutdown.background().clone();
        shutdown.spawn("request samples", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = keeper.run(taken) => {}
            }
        });
        (sampler, samples)
    }

    /// A request that can be read came `at` this instant.
    pub(crate) fn seen(&self, exchange: &str, body: &Bytes, at: Instant) {
        self.seen.fetch_add(1, Ordering::Relaxed);
        let now_ms = millis(at.saturating_duration_since(self.began));
        let due_ms = self.due_ms.load(Ordering::Relaxed);
        if now_ms < due_ms {
            return;
        }
        let next_ms = now_ms + self.every_ms.load(Ordering::Relaxed);
        let is_first = self
            .due_ms
            .compare_exchange(due_ms, next_ms, Ordering::Relaxed, Ordering::Relaxed);
        if is_first.is_err() {
            return;
        }
        // Without a place what was seen counts for the next one.
        let Ok(place) = self.queue.try_reserve() else {
            return;
        };
        let weight = self.seen.swap(0, Ordering::Relaxed);
        if weight > 0 {
            place.send(Taken {
                exchange: exchange.into(),
                body: body.clone(),
                weight,
                at,
            });
        }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What is kept. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Arc<Mutex<Ring>>);

impl Samples {
    /// Of the last hour, oldest first; they share their memory with what is kept.
    pub(crate) fn all(&self, now: Instant) -> Vec<Sample> {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.forget(now);
        ring.iter().cloned().collect()
    }
}

/// Makes samples of what the bid path sends.
struct Keeper {
    live: Arc<ArcSwap<Live>>,
    user_states: Arc<dyn UserStates>,
    clock: Clock,
    samples: Samples,
    every_ms: Arc<AtomicU64>,
    /// Of the request before.
    last_at: Instant,
}

impl Keeper {
    async fn run(mut self, mut taken: mpsc::Receiver<Taken>) {
        while let Some(taken) = taken.recv().await {
            let since = std::mem::replace(&mut self.last_at, taken.at);
            let Some(sample) = self.sample(taken, since).await else {
                continue;
            };
            let mut ring = self.samples.0.lock().unwrap_or_else(PoisonError::into_inner);
            let every = ring.add(sample);
            self.every_ms.store(millis(every), Ordering::Relaxed);
        }
    }

    /// `None`: a test, or of an exchange that is gone. What it stood for goes with it, as it does for others of its kind.
    async fn sample(&self, taken: Taken, since: Instant) -> Option<Sample> {
        let unix_ms = self.clock.unix_ms();
        let user_key = {
            let live = self.live.load();
            let exchange = live.snapshot.exchange(&taken.exchange)?;
            let arena = Bump::new();
            let request = openrtb::read_request(&taken.body, &arena).ok()?;
            if request.test {
                return None;
            }
            user_key(&request, &exchange.serving().exchange)
        };
        let user = KnownUser::read(&*self.user_states, user_key.as_deref(), unix_ms).await;
        Some(Sample {
            exchange: taken.exchange.into(),
            // The body came as a piece of its connection's buffer, which may be many times as long.
            body: Bytes::copy_from_slice(&taken.body),
            user: Arc::new(user),
            weight: taken.weight,
            since,
            at: taken.at,
            unix_ms,
        })
    }
}

#[cfg(test)]
mod tests;
