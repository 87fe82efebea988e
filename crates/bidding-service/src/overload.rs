//! Which requests are refused because there are too many.
//!
//! They queue in the sockets, and how long one has waited there says how long the queue is. A queue that empties now and
//! then is a burst, which is worked off: whoever is still in time is answered. One that never empties is an overload:
//! then whoever has waited longer than a little is refused before anything else is done for him, so that the queue
//! stays short and all others are answered in time. So no limit has to be set, and none is too high or too low for
//! what a decision takes today (K. Nichols, V. Jacobson: Controlling Queue Delay, 2012).

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;

/// Over which a queue must have emptied once. Longer than a pause of the machine, shorter than a second of exchange time.
const WINDOW_MS: i64 = 100;

/// Threads share it. They race only for what comes out right within a window.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Beyond it a request is refused while the queue stands.
    target_nanos: i64,
    /// A wait that is no longer than this is none: far enough below the target for refusals not to reach it.
    empty_nanos: i64,
    window_began_ms: AtomicI64,
    /// Of the window.
    shortest_wait_nanos: AtomicI64,
    /// It did not empty in the window before.
    is_standing: AtomicBool,
}

impl Queue {
    /// `target`: the longest that a queue may stand.
    pub(crate) fn new(target: Duration) -> Self {
        Self {
            target_nanos: nanos(target),
            empty_nanos: nanos(target / 5),
            window_began_ms: AtomicI64::new(i64::MIN),
            shortest_wait_nanos: AtomicI64::new(i64::MAX),
            is_standing: AtomicBool::new(false),
        }
    }

    /// Whether a request that has waited so long is worked on. Each is asked about once, in the order in which they are
    /// read.
    pub(crate) fn admits(&self, waited: Duration, monotonic_ms: i64) -> bool {
        let waited_nanos = nanos(waited);
        if waited_nanos < self.shortest_wait_nanos.load(Relaxed) {
            self.shortest_wait_nanos.fetch_min(waited_nanos, Relaxed);
        }
        let began_ms = self.window_began_ms.load(Relaxed);
        if monotonic_ms.saturating_sub(began_ms) >= WINDOW_MS {
            let is_mine = self
                .window_began_ms
                .compare_exchange(began_ms, monotonic_ms, Relaxed, Relaxed);
            if is_mine.is_ok() {
                let shortest_nanos = self.shortest_wait_nanos.swap(i64::MAX, Relaxed);
                self.is_standing.store(shortest_nanos > self.empty_nanos, Relaxed);
            }
        }
        waited_nanos <= self.target_nanos || !self.is_standing.load(Relaxed)
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(5);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_is_worked_off() {
        let queue = Queue::new(TARGET);
        let admitted = (0..1_000).filter(|now| queue.admits(ms(if now % 50 == 0 { 1 } else { 40 }), *now));
        assert_eq!(admitted.count(), 1_000);
    }

    #[test]
    fn of_a_queue_that_stands_those_are_refused_who_have_waited_long() {
        let queue = Queue::new(TARGET);
        (0..200).for_each(|now| {
            queue.admits(ms(40), now);
        });
        assert!(!queue.admits(ms(6), 200) && queue.admits(ms(5), 200));
    }

    #[test]
    fn a_queue_that_has_emptied_refuses_nobody_any_more() {
        let queue = Queue::new(TARGET);
        (0..200).for_each(|now| {
            queue.admits(ms(40), now);
        });
        (200..400).for_each(|now| {
            queue.admits(ms(1), now);
        });
        assert!(queue.admits(ms(40), 400));
    }

    /// A server of one thread that takes a millisecond for a bid and a tenth of it for a refusal, asked for twice as
    /// many bids as it can make.
    #[test]
    fn twice_what_can_be_done_leaves_most_of_the_time_to_bids_in_time() {
        const BID_US: i64 = 1_000;
        const REFUSAL_US: i64 = 100;
        let queue = Queue::new(TARGET);
        let (mut now_us, mut bids, mut late) = (0, 0, 0);
        for number in 0..40_000 {
            let came_us = number * BID_US / 2;
            now_us = now_us.max(came_us);
            let waited_us = now_us - came_us;
            let is_admitted = queue.admits(Duration::from_micros(waited_us.unsigned_abs()), now_us / 1_000);
            now_us += if is_admitted { BID_US } else { REFUSAL_US };
            let is_settled = now_us > 1_000_000;
            bids += i64::from(is_admitted && is_settled);
            late += i64::from(is_admitted && is_settled && waited_us > 10_000);
        }
        let possible = (now_us - 1_000_000) / BID_US;
        // Of two requests one is refused, at a tenth of a bid's time.
        assert!(bids * 10 > possible * 8, "{bids} bids of {possible}");
        assert_eq!(late, 0);
    }
}
