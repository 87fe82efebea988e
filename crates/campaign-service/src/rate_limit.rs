//! A token bucket for each key.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use platform::Clock;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Seconds of the rate that a bucket holds.
const BURST_SECONDS: i64 = 2;
/// Beyond this many, buckets that are full again are forgotten: they say nothing.
const MANY_BUCKETS: usize = 10_000;
/// Tokens are counted in thousandths, so that a token a second is one of them a millisecond.
const TOKEN: i64 = 1_000;

pub(crate) struct RateLimiter {
    per_second: i64,
    clock: Clock,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    level: i64,
    at_ms: i64,
}

/// One request's standing with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) is_admitted: bool,
    remaining: i64,
    /// Whole seconds, rounded up: until the bucket is full; when refused, until the next token.
    pub(crate) reset_seconds: i64,
    burst: i64,
}

impl RateLimiter {
    pub(crate) fn new(per_second: u32, clock: Clock) -> Self {
        Self {
            per_second: i64::from(per_second.max(1)),
            clock,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token from the bucket of `key`.
    pub(crate) fn take(&self, key: &str) -> Standing {
        let now_ms = self.clock.monotonic_ms();
        let full = self.per_second * BURST_SECONDS * TOKEN;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MANY_BUCKETS && !buckets.contains_key(key) {
            buckets.retain(|_, bucket| self.level(*bucket, now_ms, full) < full);
        }
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket {
            level: full,
            at_ms: now_ms,
        });
        let level = self.level(*bucket, now_ms, full);
        let is_admitted = level >= TOKEN;
        let level = if is_admitted { level - TOKEN } else { level };
        *bucket = Bucket { level, at_ms: now_ms };
        let missing = if is_admitted { full - level } else { TOKEN - level };
        Standing {
            is_admitted,
            remaining: level / TOKEN,
            reset_seconds: ceil_div(missing, self.per_second * TOKEN),
            burst: full / TOKEN,
        }
    }

    fn level(&self, bucket: Bucket, now_ms: i64, full: i64) -> i64 {
        let gained = now_ms
            .saturating_sub(bucket.at_ms)
            .max(0)
            .saturating_mul(self.per_second);
        bucket.level.saturating_add(gained).min(full)
    }
}

impl Standing {
    /// The fields of draft-ietf-httpapi-ratelimit-headers-10.
    pub(crate) fn describe(self, headers: &mut HeaderMap) {
        let policy = format!("\"key\";q={};w={BURST_SECONDS}", self.burst);
        let standing = format!("\"key\";r={};t={}", self.remaining, self.reset_seconds);
        for (name, text) in [(RATELIMIT_POLICY, policy), (RATELIMIT, standing)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }
}

fn ceil_div(amount: i64, by: i64) -> i64 {
    amount / by + i64::from(amount % by != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_two_seconds_and_refills_at_the_rate() {
        let clock = Clock::manual(0);
        let limiter = RateLimiter::new(10, clock.clone());
        let admitted = (0..25).filter(|_| limiter.take("a").is_admitted).count();
        assert_eq!(admitted, 20);
        assert_eq!(limiter.take("a").reset_seconds, 1);
        clock.advance(100);
        assert!(limiter.take("a").is_admitted);
        assert!(!limiter.take("a").is_admitted);
    }

    #[test]
    fn one_key_does_not_use_up_anothers() {
        let limiter = RateLimiter::new(1, Clock::manual(0));
        while limiter.take("greedy").is_admitted {}
        assert!(limiter.take("modest").is_admitted);
    }
}
