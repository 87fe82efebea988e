//! Which requests are refused because there are too many.
//!
//! They queue in the sockets, and how many have something to read and wait for their turn says how long the queue is. A
//! queue that empties now and then is a burst, which is worked off: whoever is still in time is answered. One that never
//! empties is an overload: then whoever has waited longer than a little is refused before anything else is done for him, so
//! that the queue stays short and all others are answered in time. So no limit has to be set, and none is too high or too
//! low for what a decision takes today (K. Nichols, V. Jacobson: Controlling Queue Delay, 2012). That the queue has emptied
//! is seen by its length and not by a wait of nothing: turns come in no fixed order, and one of many may have its at once.
//!
//! A burst can be longer than there is time for. So nobody is worked on unless all who wait behind could still be refused
//! in time.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Over which a queue must have emptied once. Longer than a pause of the machine, shorter than a second of exchange time.
const WINDOW_MS: i64 = 100;
/// Of the longest wait, how long a queue may stand.
const STANDING_SHARE: u32 = 8;

/// What a refusal takes of a thread, on a slow machine.
const REFUSAL_NANOS: i64 = 30_000;

/// Threads share it. They race only for what comes out right within a window.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Beyond it a request is refused while the queue stands.
    target_nanos: i64,
    /// By then everybody is to have an answer, whatever it is.
    longest_nanos: i64,
    window_began_ms: AtomicI64,
    /// Of the window.
    shortest: AtomicUsize,
    /// It did not empty in the window before.
    is_standing: AtomicBool,
}

impl Queue {
    /// `longest`: that anybody may wait; an eighth of it is the longest that a queue may stand.
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            target_nanos: nanos(longest / STANDING_SHARE),
            longest_nanos: nanos(longest),
            window_began_ms: AtomicI64::new(i64::MIN),
            shortest: AtomicUsize::new(usize::MAX),
            is_standing: AtomicBool::new(false),
        }
    }

    /// Whether a request that has waited so long, while `others` still wait for the same thread, is worked on. Each is asked
    /// about once.
    pub(crate) fn admits(&self, waited: Duration, others: usize, monotonic_ms: i64) -> bool {
        if others < self.shortest.load(Relaxed) {
            self.shortest.fetch_min(others, Relaxed);
        }
        let began_ms = self.window_began_ms.load(Relaxed);
        if monotonic_ms.saturating_sub(began_ms) >= WINDOW_MS {
            let is_mine = self
                .window_began_ms
                .compare_exchange(began_ms, monotonic_ms, Relaxed, Relaxed);
            if is_mine.is_ok() {
                let shortest = self.shortest.swap(usize::MAX, Relaxed);
                // The first request of all ends no window.
                self.is_standing
                    .store(shortest > 0 && began_ms != i64::MIN, Relaxed);
            }
        }
        let waited_nanos = nanos(waited);
        let behind_nanos = i64::try_from(others)
            .unwrap_or(i64::MAX)
            .saturating_mul(REFUSAL_NANOS);
        if waited_nanos.saturating_add(behind_nanos) > self.longest_nanos {
            return false;
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
    use std::collections::VecDeque;

    const LONGEST: Duration = Duration::from_millis(40);

    fn queue() -> Queue {
        Queue::new(LONGEST)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_is_worked_off() {
        let queue = queue();
        let admitted = (0..1_000).filter(|now| queue.admits(ms(38), 49 - (*now as usize) % 50, *now));
        assert_eq!(admitted.count(), 1_000);
    }

    #[test]
    fn of_a_burst_that_is_too_long_as_many_are_answered_as_leave_time_to_refuse_the_others() {
        const BID_US: u64 = 100;
        let queue = queue();
        let (mut waited_us, mut bids) = (0, 0);
        for others in (0..1_000).rev() {
            let is_admitted = queue.admits(Duration::from_micros(waited_us), others, 0);
            waited_us += if is_admitted { BID_US } else { 30 };
            bids += u64::from(is_admitted);
        }
        assert!(waited_us <= 40_000 + BID_US, "the last waited {waited_us} us");
        // 1,000 refusals take 30 ms, and each bid takes 70 us more.
        assert!((130..=145).contains(&bids), "{bids}");
    }

    #[test]
    fn of_a_queue_that_stands_those_are_refused_who_have_waited_long() {
        let queue = queue();
        (0..200).for_each(|now| {
            queue.admits(ms(if now % 7 == 0 { 0 } else { 40 }), 20, now);
        });
        assert!(!queue.admits(ms(6), 20, 200) && queue.admits(ms(5), 20, 200));
    }

    #[test]
    fn a_queue_that_has_emptied_refuses_nobody_any_more() {
        let queue = queue();
        (0..200).for_each(|now| {
            queue.admits(ms(40), 20, now);
        });
        assert!(!queue.admits(ms(30), 20, 200));
        (200..400).for_each(|now| {
            queue.admits(ms(1), usize::from(now % 100 != 50), now);
        });
        assert!(queue.admits(ms(30), 20, 400));
    }

    /// A server of one thread that takes a millisecond for a bid and a tenth of it for a refusal, asked for twice as
    /// many bids as it can make. Now and then it takes the last that came before the others.
    #[test]
    fn twice_what_can_be_done_leaves_most_of_the_time_to_bids_in_time() {
        const BID_US: i64 = 1_000;
        const REFUSAL_US: i64 = 100;
        const REQUESTS: i64 = 40_000;
        let queue = queue();
        let mut waiting = VecDeque::new();
        let (mut now_us, mut came, mut turns, mut bids, mut late) = (0, 0, 0, 0, 0);
        while came < REQUESTS || !waiting.is_empty() {
            while came < REQUESTS && came * BID_US / 2 <= now_us {
                waiting.push_back(came * BID_US / 2);
                came += 1;
            }
            turns += 1;
            let next = if turns % 61 == 0 {
                waiting.pop_back()
            } else {
                waiting.pop_front()
            };
            let Some(came_us) = next else {
                now_us += BID_US / 2;
                continue;
            };
            let waited_us = now_us - came_us;
            let waited = Duration::from_micros(waited_us.unsigned_abs());
            let is_admitted = queue.admits(waited, waiting.len(), now_us / 1_000);
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
