//! The samples that are kept: bounded in number, bytes and age, and evenly spread over the time they stand for.

use crate::known_user::KnownUser;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A forecast looks at all of them at each of its prices.
pub(super) const MOST: usize = 4_600;
pub(super) const MOST_BYTES: usize = 32 << 20;
pub(super) const OLDEST: Duration = Duration::from_secs(3_600);
/// Between two samples at first. Whenever there are too many it doubles: to 0.8 s, with which [`MOST`] last an hour, and
/// further where their bytes are too many.
pub(super) const EVERY: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(60);

/// One request that stands for `weight` requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) exchange: Arc<str>,
    /// As the exchange sent it, decompressed.
    pub(crate) body: Bytes,
    pub(crate) user: Arc<KnownUser>,
    pub(crate) weight: u64,
    /// It stands for the requests since then, ...
    pub(crate) since: Instant,
    /// ... when it came itself.
    pub(crate) at: Instant,
    /// The same by the wall clock.
    pub(crate) unix_ms: i64,
}

impl Sample {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.exchange.len() + self.body.len() + self.user.bytes()
    }

    /// One of two neighbours in the place of both, so chosen that on average neither counts for more than it did.
    fn or(self, newer: Self, rng: &mut fastrand::Rng) -> Self {
        let weight = self.weight.saturating_add(newer.weight);
        let since = self.since;
        let stays = if rng.u64(..weight.max(1)) < self.weight {
            self
        } else {
            newer
        };
        Self {
            weight,
            since,
            ..stays
        }
    }
}

/// Oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    samples: VecDeque<Sample>,
    bytes: usize,
    every: Duration,
    rng: fastrand::Rng,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            samples: VecDeque::new(),
            bytes: 0,
            every: EVERY,
            rng: fastrand::Rng::new(),
        }
    }
}

impl Ring {
    /// The answer: how long from now on between two samples.
    pub(super) fn add(&mut self, sample: Sample) -> Duration {
        self.forget(sample.at);
        self.bytes += sample.bytes();
        self.samples.push_back(sample);
        while self.samples.len() > MOST || (self.bytes > MOST_BYTES && self.samples.len() > 1) {
            self.thin();
        }
        self.every
    }

    /// Drops what is too old.
    pub(super) fn forget(&mut self, now: Instant) {
        let is_old = |sample: &mut Sample| now.saturating_duration_since(sample.at) > OLDEST;
        while let Some(old) = self.samples.pop_front_if(is_old) {
            self.bytes -= old.bytes();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter()
    }

    /// Half of them, each for two.
    fn thin(&mut self) {
        let mut thinned = VecDeque::with_capacity(self.samples.len().div_ceil(2));
        while let Some(older) = self.samples.pop_front() {
            thinned.push_back(match self.samples.pop_front() {
                Some(newer) => older.or(newer, &mut self.rng),
                None => older,
            });
        }
        self.samples = thinned;
        self.bytes = self.samples.iter().map(Sample::bytes).sum();
        self.every = (self.every * 2).min(SELDOM);
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
