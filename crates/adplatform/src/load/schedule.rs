//! When requests are due: at a constant rate, whatever the server does.

use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A request that is due: its number and the moment it should leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub number: u64,
    pub at: Instant,
}

/// Sends each [`Due`] when its time has come, until `duration` is over or nobody listens.
///
/// A thread of its own, since an async timer's grain is a millisecond. It never waits for the receivers: a
/// backlog is what an open loop is about.
pub(crate) fn start(rate_per_second: f64, duration: Duration) -> mpsc::UnboundedReceiver<Due> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let begin = Instant::now();
        let total = (rate_per_second * duration.as_secs_f64()).round() as u64;
        for number in 0..total {
            let at = begin + Duration::from_secs_f64(number as f64 / rate_per_second);
            let now = Instant::now();
            if at > now {
                thread::sleep(at - now);
            }
            if sender.send(Due { number, at }).is_err() {
                return;
            }
        }
    });
    receiver
}
