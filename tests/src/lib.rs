//! Tests across crates and processes: journeys, faults, architecture rules. They are under `tests/`; here is the
//! vocabulary they are written in, around the real `adplatform` program.
//!
//! Everything asserts: a failure here is a failed test.

#![expect(clippy::unwrap_used, reason = "test vocabulary: a failure is a failed test")]

pub mod backends;
pub mod collector;
pub mod deployment;
pub mod fixtures;
pub mod markup;
pub mod platform;
pub mod program;
pub mod service;
pub mod services;
pub mod trader;
pub mod waiting;

pub use platform::Platform;
pub use waiting::eventually;
