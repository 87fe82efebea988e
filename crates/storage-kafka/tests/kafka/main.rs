//! The adapter on a real broker. Without Java and Maven the tests say that they were skipped; with
//! `REQUIRE_SERVICES=1` they fail.

#![expect(clippy::unwrap_used, reason = "test code, its helper functions included")]

mod broker;
mod contract;
mod members;
mod outage;
mod refused;
mod security;
mod topics;
