//! The ledger on real servers, which each test starts for itself. Without Redis' programs the tests say that they were
//! skipped; with `REQUIRE_SERVICES=1` they fail.

#![expect(clippy::unwrap_used, reason = "test code, its helper functions included")]

mod contract;
mod eviction;
mod faults;
mod harness;
mod moves;
mod network;
mod stale;
mod trade;
