//! One thing wrong with what a person sent, and where.

use serde::Serialize;

/// A mistake in a JSON body. Validation reports all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// RFC 6901 JSON pointer to the offending value: `/bid/max_cpm_micros`.
    pub pointer: String,
    /// Stable, for programs: `required`, `too_small`, `unknown_value`, …
    pub code: &'static str,
    /// For people: lower case, without a full stop, says what would be right.
    pub message: String,
}

/// Collects mistakes while a body is walked.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.0.push(Mistake {
            pointer: pointer.into(),
            code,
            message: message.into(),
        });
    }

    /// Adds the mistake unless `holds`.
    pub fn require(&mut self, holds: bool, pointer: &str, code: &'static str, message: &str) {
        if !holds {
            self.add(pointer, code, message);
        }
    }

    /// `Ok` when there was none.
    pub fn finish(self) -> Result<(), Vec<Mistake>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}
