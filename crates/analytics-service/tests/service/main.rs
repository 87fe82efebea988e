//! The service on a real store: events in at one end, reports out at the other.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted may fail it")]

mod access;
mod app;
mod checkpoints;
mod delivery;
mod events;
mod faulty_store;
mod folding;
mod reading;
mod refused;
mod reports;
mod shared_log;
mod sharing;
