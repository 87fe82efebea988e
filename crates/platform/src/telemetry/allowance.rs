//! How often one place in the code may write a line: a fault that comes with every request must not fill a disk.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tracing::callsite::Identifier;

/// So many lines of one place in one window: enough to see what repeats, too few to be a flood.
const LINES: u32 = 20;
const WINDOW_MS: i64 = 10_000;

/// What every place has written lately. Places are those of the code, so their number is bounded.
#[derive(Default)]
pub(super) struct Allowance(Mutex<HashMap<Identifier, Window>>);

#[derive(Default)]
struct Window {
    since_ms: i64,
    written: u32,
    left_out: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// With how many were left out since the last line that was written.
    Write {
        left_out: u64,
    },
    LeaveOut,
}

impl Allowance {
    /// Counts one line of `place` at `now_ms` of a clock that never goes back.
    pub(super) fn ask(&self, place: Identifier, now_ms: i64) -> Verdict {
        // A panic between lock and unlock leaves nothing half done.
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = places.entry(place).or_default();
        if now_ms.saturating_sub(window.since_ms) >= WINDOW_MS {
            window.since_ms = now_ms;
            window.written = 0;
        }
        if window.written == LINES {
            window.left_out = window.left_out.saturating_add(1);
            return Verdict::LeaveOut;
        }
        window.written += 1;
        Verdict::Write {
            left_out: std::mem::take(&mut window.left_out),
        }
    }
}
