//! The platform on real PostgreSQL, Redis Cluster and Kafka: its journey, and every part of it lost under load; services
//! beside others of their kind and on schemas of other releases.

#![expect(clippy::unwrap_used, reason = "test helpers: a failure is a failed test")]

mod editor;
mod events;
mod faults;
mod journey;
mod members;
mod replica;
mod schema;
mod weather;

/// Storms measure how long bids take: nothing else runs then. The others do not mind each other.
static ALONE: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());
