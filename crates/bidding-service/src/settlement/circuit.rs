//! A store that is away costs a notice little time: calls are bounded, and after one that was slow to fail the next
//! ones fail at once, but for one a second that looks whether the store is back.

use platform::Clock;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::StorageError;

/// Longer than the slowest call of a store that works.
const PATIENCE: Duration = Duration::from_secs(2);
/// What fails sooner costs nothing to ask again.
const SLOW_MS: i64 = 250;
const PROBE_EVERY_MS: i64 = 1_000;

/// One store whose parts fail one by one (groups of the ledger).
#[derive(Debug)]
pub(super) struct Circuit {
    store: &'static str,
    /// Parts whose last call failed; the instant of the next probe, monotonic, where calls are cut off.
    failing: Mutex<HashMap<u32, Option<i64>>>,
}

impl Circuit {
    pub(super) fn new(store: &'static str) -> Self {
        Self {
            store,
            failing: Mutex::default(),
        }
    }

    /// # Errors
    /// The call's own, or `Unavailable`: it took too long, or was not tried.
    pub(super) async fn call<T>(
        &self,
        part: u32,
        clock: &Clock,
        work: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let began_ms = clock.monotonic_ms();
        if !self.may_try(part, began_ms) {
            return Err(self.away("was away a moment ago"));
        }
        let (answer, is_slow) = match tokio::time::timeout(PATIENCE, work).await {
            Ok(answer) => {
                let is_slow = clock.monotonic_ms().saturating_sub(began_ms) >= SLOW_MS;
                (answer, is_slow)
            }
            Err(_) => (Err(self.away("does not answer")), true),
        };
        match &answer {
            Err(error @ StorageError::Unavailable(_)) => {
                self.failed(part, is_slow.then(|| clock.monotonic_ms()), error);
            }
            _ => self.succeeded(part),
        }
        answer
    }

    fn may_try(&self, part: u32, now_ms: i64) -> bool {
        match self.failing().get_mut(&part) {
            Some(Some(next_probe_ms)) if now_ms < *next_probe_ms => false,
            Some(Some(next_probe_ms)) => {
                *next_probe_ms = now_ms.saturating_add(PROBE_EVERY_MS);
                true
            }
            _ => true,
        }
    }

    fn failed(&self, part: u32, slow_at_ms: Option<i64>, error: &StorageError) {
        let mut failing = self.failing();
        if failing.is_empty() {
            tracing::warn!(store = self.store, part, %error, "a store is away, notices are kept elsewhere");
        }
        let next_probe_ms = failing.entry(part).or_default();
        if let Some(now_ms) = slow_at_ms {
            *next_probe_ms = Some(now_ms.saturating_add(PROBE_EVERY_MS));
        }
    }

    fn succeeded(&self, part: u32) {
        let mut failing = self.failing();
        if failing.remove(&part).is_some() && failing.is_empty() {
            tracing::info!(store = self.store, "a store is back");
        }
    }

    fn away(&self, what: &str) -> StorageError {
        StorageError::Unavailable(format!("the {} {what}", self.store))
    }

    fn failing(&self) -> MutexGuard<'_, HashMap<u32, Option<i64>>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    fn away() -> Result<(), StorageError> {
        Err(StorageError::Unavailable("test".to_owned()))
    }

    async fn is_tried(circuit: &Circuit, part: u32, clock: &Clock) -> bool {
        let mut tried = false;
        let call = async {
            tried = true;
            away()
        };
        let _ = circuit.call(part, clock, call).await;
        tried
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_is_waited_for_once_and_then_probed() {
        let (circuit, clock) = (Circuit::new("test"), Clock::manual(0));
        let hung = circuit
            .call(0, &clock, pending::<Result<(), StorageError>>())
            .await;
        assert!(matches!(hung, Err(StorageError::Unavailable(_))));
        assert!(!is_tried(&circuit, 0, &clock).await);
        assert!(is_tried(&circuit, 1, &clock).await, "the other parts work");
        clock.advance(PROBE_EVERY_MS);
        assert!(is_tried(&circuit, 0, &clock).await);
        assert!(!is_tried(&circuit, 0, &clock).await, "one probe a second");
        clock.advance(PROBE_EVERY_MS);
        circuit.call(0, &clock, ready(Ok(()))).await.unwrap();
        assert!(is_tried(&circuit, 0, &clock).await);
    }

    #[tokio::test]
    async fn what_fails_at_once_is_asked_each_time() {
        let (circuit, clock) = (Circuit::new("test"), Clock::manual(0));
        for _ in 0..3 {
            assert!(is_tried(&circuit, 0, &clock).await);
        }
    }

    #[tokio::test]
    async fn a_conflict_is_an_answer() {
        let (circuit, clock) = (Circuit::new("test"), Clock::manual(0));
        let conflict = ready(Err::<(), _>(StorageError::Conflict("test".to_owned())));
        assert!(circuit.call(0, &clock, conflict).await.is_err());
        assert!(circuit.failing().is_empty());
    }
}
