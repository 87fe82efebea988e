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

/// Held by each test: a machine carries one such platform at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
