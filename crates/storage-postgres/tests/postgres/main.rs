//! The adapter on a real server, which each test starts for itself and stops at its end. Without PostgreSQL's server
//! programs the tests say that they were skipped; with `REQUIRE_SERVICES=1` they fail.

#![expect(clippy::unwrap_used, reason = "test code, its helper functions included")]

mod at_once;
mod contract;
mod failover;
mod limits;
mod outage;
mod pooler;
mod replica;
mod rollups;
mod schema;
mod server;
mod tls;
