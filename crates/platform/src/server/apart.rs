//! Threads of a server's own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use super::turn::Waiting;

/// After how many turns of tasks a runtime asks for what has come in, so that a request's arrival is known about a
/// millisecond after it; asking takes half a microsecond.
pub(crate) const EVENT_INTERVAL: u32 = 8;

/// As many as there are cores, each with a runtime and connections of its own. What else the process does does not queue
/// behind requests: the operating system lets the two take turns, however many requests there are. And on one thread the
/// turns go in the order of arrival: threads that share their tasks turn to some of them last, which under overload
/// takes a second.
#[derive(Debug)]
pub(super) struct Apart {
    threads: Vec<Thread>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    /// Its queue.
    waiting: Arc<Waiting>,
    connections: Arc<AtomicUsize>,
}

/// The thread that a connection is on.
pub(super) struct Place {
    pub(super) runtime: Handle,
    pub(super) waiting: Arc<Waiting>,
    pub(super) seat: Seat,
}

/// Given back when it is dropped.
pub(super) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Apart {
    pub(super) fn start(name: &'static str) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let stop = CancellationToken::new();
        let threads = (0..cores).map(|_| Thread::start(name, stop.clone()));
        Ok(Self {
            threads: threads.collect::<io::Result<_>>()?,
            stop,
        })
    }

    /// Keeps the threads until the runtime that this is called on ends: what connections have begun may outlast them.
    pub(super) fn keep(self) {
        tokio::spawn(async move {
            let _threads = self;
            std::future::pending::<()>().await;
        });
    }

    /// Where the fewest connections are.
    pub(super) fn place(&self) -> Option<Place> {
        let threads = self.threads.iter();
        let thread = threads.min_by_key(|thread| thread.connections.load(Relaxed))?;
        thread.connections.fetch_add(1, Relaxed);
        Some(Place {
            runtime: thread.runtime.clone(),
            waiting: thread.waiting.clone(),
            seat: Seat(thread.connections.clone()),
        })
    }
}

impl Drop for Apart {
    /// Waits for nothing: whoever stops the process has waited for the connections.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Thread {
    fn start(name: &'static str, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .event_interval(EVENT_INTERVAL)
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(stop.cancelled());
            runtime.shutdown_background();
        })?;
        Ok(Self {
            runtime: handle,
            waiting: Arc::default(),
            connections: Arc::default(),
        })
    }
}
