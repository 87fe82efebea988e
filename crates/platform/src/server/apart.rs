//! Threads of a server's own.

use std::io;
use tokio::runtime::{Builder, Handle, Runtime};

/// After how many turns of tasks a runtime asks for what has come in, so that a request's arrival is known about a
/// millisecond after it; asking takes half a microsecond.
pub(crate) const EVENT_INTERVAL: u32 = 8;

/// A thread that has more than 256 tasks to turn to moves the later half to a queue that all threads share. It turns to the
/// two queues alternately: were one of them preferred, the other's tasks would wait until the first is empty, which under
/// overload takes a second.
const GLOBAL_QUEUE_INTERVAL: u32 = 2;

/// As many as there are cores. What else the process does does not queue behind the requests of such a server: the operating
/// system lets the two take turns, however many requests there are.
#[derive(Debug)]
pub(super) struct Apart(Option<Runtime>);

impl Apart {
    pub(super) fn start(name: &'static str) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name(name)
            .event_interval(EVENT_INTERVAL)
            .global_queue_interval(GLOBAL_QUEUE_INTERVAL)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }

    /// Keeps the threads until the runtime that this is called on ends.
    pub(super) fn keep(self) {
        tokio::spawn(async move {
            let _threads = self;
            std::future::pending::<()>().await;
        });
    }
}

impl Drop for Apart {
    /// Waits for nothing: whoever stops the process has waited for the connections.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
