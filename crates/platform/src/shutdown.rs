//! Soft and hard shutdown (after matrix-authentication-service's lifecycle).
//!
//! Soft: readiness off, wait for the endpoints to notice, stop accepting, finish what is in flight, stop the
//! background tasks, run the hooks. Hard: a second signal, or the end of the grace, ends it at once.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::health::Readiness;

/// How long a shutdown may take.
#[derive(Clone, Copy, Debug)]
pub struct ShutdownTiming {
    /// From readiness going off to the listener closing: load balancers need this long to notice.
    pub drain: Duration,
    /// From the first signal to the hard end.
    pub grace: Duration,
}

impl Default for ShutdownTiming {
    /// A laptop's: no drain, 25 s of grace.
    fn default() -> Self {
        Self {
            drain: Duration::ZERO,
            grace: Duration::from_secs(25),
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was finished and every hook has run.
    Clean,
    /// A background task had panicked; the rest was finished.
    Failed,
    /// Cut short by a second request or the grace's end.
    Forced,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Clean => ExitCode::SUCCESS,
            Ended::Failed | Ended::Forced => ExitCode::FAILURE,
        }
    }
}

/// The life of a process, shared by its servers and background tasks. Clones are the same shutdown.
#[derive(Clone)]
pub struct Shutdown(Arc<State>);

struct State {
    timing: ShutdownTiming,
    readiness: Readiness,
    soft: CancellationToken,
    closing: CancellationToken,
    background: CancellationToken,
    hard: CancellationToken,
    connections: TaskTracker,
    tasks: TaskTracker,
    hooks: Mutex<Vec<(String, BoxFuture<'static, ()>)>>,
    failed: AtomicBool,
}

impl Shutdown {
    pub fn new(timing: ShutdownTiming, readiness: Readiness) -> Self {
        Self(Arc::new(State {
            timing,
            readiness,
            soft: CancellationToken::new(),
            closing: CancellationToken::new(),
            background: CancellationToken::new(),
            hard: CancellationToken::new(),
            connections: TaskTracker::new(),
            tasks: TaskTracker::new(),
            hooks: Mutex::default(),
            failed: AtomicBool::new(false),
        }))
    }

    /// Asks for the end, as a signal does: the first time softly, the second time at once.
    pub fn request(&self, why: &str) {
        if self.0.soft.is_cancelled() {
            tracing::warn!(why, "stopping at once");
            self.0.hard.cancel();
        } else {
            tracing::info!(why, "stopping");
            self.0.readiness.drain();
            self.0.soft.cancel();
        }
    }

    /// Turns SIGTERM and SIGINT into [`Shutdown::request`]s.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn listen_for_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            loop {
                let why = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                shutdown.request(why);
            }
        });
        Ok(())
    }

    /// Cancelled when the end has been asked for; long-lived responses (server-sent events) should end then.
    pub fn requested(&self) -> &CancellationToken {
        &self.0.soft
    }

    /// Whether the end has been asked for; one atomic load, for hot paths.
    pub fn is_requested(&self) -> bool {
        self.0.readiness.is_draining()
    }

    /// Cancelled when the drain is over and listeners close.
    pub fn closing(&self) -> &CancellationToken {
        &self.0.closing
    }

    /// Cancelled when every request has been answered: background tasks finish their work and return.
    pub fn background(&self) -> &CancellationToken {
        &self.0.background
    }

    /// Cancelled when whatever still runs must end at once.
    pub fn hard(&self) -> &CancellationToken {
        &self.0.hard
    }

    pub(crate) fn connections(&self) -> &TaskTracker {
        &self.0.connections
    }

    /// Runs a background task, which should return soon after [`Shutdown::background`] is cancelled and is awaited
    /// then. A panic in it ends the process softly, with a failure: a process with a dead part helps nobody.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.clone();
        let task = AssertUnwindSafe(task).catch_unwind();
        let watched = async move {
            if task.await.is_err() {
                shutdown.0.failed.store(true, Ordering::Release);
                if !shutdown.0.soft.is_cancelled() {
                    shutdown.request("a background task panicked");
                }
            }
        };
        self.0
            .tasks
            .spawn(watched.instrument(tracing::info_span!("task", task = name)));
    }

    /// Adds work to be done last, when all tasks have ended: flush events, give leases back. Hooks run one after
    /// another in the order in which they were added.
    pub fn on_stop(&self, name: &str, hook: impl Future<Output = ()> + Send + 'static) {
        self.hooks().push((name.to_owned(), hook.boxed()));
    }

    /// Waits for a request to end, then for the end.
    pub async fn finished(&self) -> Ended {
        self.0.soft.cancelled().await;
        let ended = tokio::select! {
            biased;
            () = self.0.hard.cancelled() => Ended::Forced,
            () = self.wind_down() => self.verdict(),
            () = tokio::time::sleep(self.0.timing.grace) => {
                tracing::error!(grace_seconds = self.0.timing.grace.as_secs(), "grace is over, stopping at once");
                Ended::Forced
            }
        };
        // Whatever is still alive ends now, in the same order of tokens as in a soft end.
        for token in [&self.0.closing, &self.0.background, &self.0.hard] {
            token.cancel();
        }
        ended
    }

    async fn wind_down(&self) {
        tokio::time::sleep(self.0.timing.drain).await;
        self.0.closing.cancel();
        self.0.connections.close();
        self.0.connections.wait().await;
        self.0.background.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        let hooks = std::mem::take(&mut *self.hooks());
        for (name, hook) in hooks {
            tracing::debug!(name, "running stop hook");
            if AssertUnwindSafe(hook).catch_unwind().await.is_err() {
                self.0.failed.store(true, Ordering::Release);
            }
        }
    }

    fn verdict(&self) -> Ended {
        if self.0.failed.load(Ordering::Acquire) {
            Ended::Failed
        } else {
            Ended::Clean
        }
    }

    fn hooks(&self) -> std::sync::MutexGuard<'_, Vec<(String, BoxFuture<'static, ()>)>> {
        self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
