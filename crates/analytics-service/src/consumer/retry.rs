//! Patience with a store that is away: any length of time, one log line when it goes and one when it comes back.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The process is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// Retries of one kind of call. Pauses double up to 5 s, each cut by up to a half at random, so that
/// many readers do not come back in one wave.
pub(super) struct Retry {
    what: &'static str,
    stop: CancellationToken,
    pause: Option<Duration>,
}

impl Retry {
    pub(super) fn new(what: &'static str, stop: CancellationToken) -> Self {
        Self {
            what,
            stop,
            pause: None,
        }
    }

    /// Calls until it succeeds.
    pub(super) async fn until_done<T, E, F>(&mut self, mut call: impl FnMut() -> F) -> Result<T, Stopped>
    where
        F: Future<Output = Result<T, E>>,
        E: Display,
    {
        loop {
            match call().await {
                Ok(value) => {
                    self.succeeded();
                    return Ok(value);
                }
                Err(error) => self.failed(&error).await?,
            }
        }
    }

    pub(super) fn succeeded(&mut self) {
        if self.pause.take().is_some() {
            tracing::info!(what = self.what, "works again");
        }
    }

    /// Waits a little longer than the last time.
    pub(super) async fn failed(&mut self, error: &impl Display) -> Result<(), Stopped> {
        if self.pause.is_none() {
            tracing::error!(what = self.what, %error, "fails, will be tried until it works");
        }
        let pause = self
            .pause
            .map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.pause = Some(pause);
        self.sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await
    }

    /// Sleeps, unless the process stops first.
    pub(super) async fn sleep(&self, time: Duration) -> Result<(), Stopped> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Stopped),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_tried_until_it_works_with_bounded_pauses() {
        let mut retry = Retry::new("store", CancellationToken::new());
        let began = Instant::now();
        let mut calls = 0;
        let done = retry.until_done(|| {
            calls += 1;
            std::future::ready(if calls <= 20 { Err("away") } else { Ok(calls) })
        });
        assert_eq!(done.await, Ok(21));
        assert!(began.elapsed() <= 20 * LONGEST_PAUSE && began.elapsed() >= 10 * FIRST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_pause_at_once() {
        let stop = CancellationToken::new();
        let mut retry = Retry::new("store", stop.clone());
        stop.cancel();
        let began = Instant::now();
        let stopped = retry
            .until_done(|| std::future::ready(Err::<(), _>("away")))
            .await;
        assert_eq!((stopped, began.elapsed()), (Err(Stopped), Duration::ZERO));
    }
}
