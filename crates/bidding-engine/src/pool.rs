//! What many campaigns have in common, kept once.

use crate::hash::HashedBy;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

/// Sweeping so few is not worth the while.
const FIRST_SWEPT_AT: usize = 1_024;

/// Equal values, shared for as long as anybody has one. What nobody has any more is forgotten at the latest when twice as
/// many have come as were left the last time.
pub(crate) struct Pool<T: ?Sized>(LazyLock<Mutex<Known<T>>>);

struct Known<T: ?Sized> {
    /// One for each hash.
    values: HashMap<u64, Weak<T>, HashedBy>,
    /// With so many those that nobody has any more are taken out.
    swept_at: usize,
}

impl<T: ?Sized> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self(LazyLock::new(|| {
            Mutex::new(Known {
                values: HashMap::default(),
                swept_at: FIRST_SWEPT_AT,
            })
        }))
    }

    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    pub(crate) fn share(&self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let hash = hasher.finish();
        // Compared without the lock.
        let shared = self.known().values.get(&hash).and_then(Weak::upgrade);
        if let Some(shared) = shared.filter(|shared| *shared == value) {
            return shared;
        }
        let mut known = self.known();
        known.values.insert(hash, Arc::downgrade(&value));
        if known.values.len() >= known.swept_at {
            known.values.retain(|_, value| value.strong_count() > 0);
            let swept_at = (known.values.len() * 2).max(FIRST_SWEPT_AT);
            known.values.shrink_to(swept_at);
            known.swept_at = swept_at;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_those_that_nobody_has_are_forgotten() {
        static POOL: Pool<[u64]> = Pool::new();
        let first = POOL.share(vec![1, 2]);
        assert!(Arc::ptr_eq(&first, &POOL.share(vec![1, 2])));
        assert_eq!(*POOL.share(vec![3]), [3]);
        (0..3 * FIRST_SWEPT_AT as u64).for_each(|value| drop(POOL.share(vec![value])));
        assert!(POOL.known().values.len() < FIRST_SWEPT_AT);
        assert!(Arc::ptr_eq(&first, &POOL.share(vec![1, 2])));
    }
}
