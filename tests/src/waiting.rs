//! Waiting for something to become true, with an end.

use std::future::Future;
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; a test that needs it all has failed anyway.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is `Some`; panics with `what` after the patience is over.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < give_up, "after {PATIENCE:?} still not: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
