//! Time as a value: handed to whoever needs it, so that tests move it by hand.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of wall and monotonic time. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    unix_ms: AtomicI64,
    monotonic_ms: AtomicI64,
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        process_start();
        Self(Source::System)
    }

    /// A clock that stands still at `start_unix_ms` until [`Clock::advance`] moves it. Its monotonic side starts
    /// at zero.
    pub fn manual(start_unix_ms: i64) -> Self {
        Self(Source::Manual(Arc::new(Manual {
            unix_ms: AtomicI64::new(start_unix_ms),
            monotonic_ms: AtomicI64::new(0),
        })))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z. May jump in either direction.
    pub fn unix_ms(&self) -> i64 {
        match &self.0 {
            Source::System => signed_millis(SystemTime::now()),
            Source::Manual(manual) => manual.unix_ms.load(Ordering::SeqCst),
        }
    }

    /// Milliseconds since the process started; never goes back.
    pub fn monotonic_ms(&self) -> i64 {
        match &self.0 {
            Source::System => i64::try_from(process_start().elapsed().as_millis()).unwrap_or(i64::MAX),
            Source::Manual(manual) => manual.monotonic_ms.load(Ordering::SeqCst),
        }
    }

    /// Moves both sides of a manual clock forward by `ms` (negative counts as zero). A system clock is not moved
    /// by anyone: there it does nothing.
    pub fn advance(&self, ms: i64) {
        if let Source::Manual(manual) = &self.0 {
            manual.unix_ms.fetch_add(ms.max(0), Ordering::SeqCst);
            manual.monotonic_ms.fetch_add(ms.max(0), Ordering::SeqCst);
        }
    }

    /// Sets the wall side of a manual clock, backwards too, as a wrong NTP server would; the monotonic side stays.
    pub fn set_unix_ms(&self, unix_ms: i64) {
        if let Source::Manual(manual) = &self.0 {
            manual.unix_ms.store(unix_ms, Ordering::SeqCst);
        }
    }
}

fn process_start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// A machine whose clock stands before 1970 gets negative milliseconds, not a panic.
fn signed_millis(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(1_000);
        let twin = clock.clone();
        clock.advance(250);
        assert_eq!((twin.unix_ms(), twin.monotonic_ms()), (1_250, 250));
    }

    #[test]
    fn a_wrong_wall_clock_leaves_monotonic_time_alone() {
        let clock = Clock::manual(10_000);
        clock.advance(5);
        clock.set_unix_ms(1);
        assert_eq!((clock.unix_ms(), clock.monotonic_ms()), (1, 5));
    }

    #[test]
    fn the_system_clock_agrees_with_the_machine_and_never_goes_back() {
        let clock = Clock::system();
        let first = clock.monotonic_ms();
        assert!((signed_millis(SystemTime::now()) - clock.unix_ms()).abs() < 5_000);
        clock.advance(1_000_000);
        assert!((first..first + 500_000).contains(&clock.monotonic_ms()));
    }
}
