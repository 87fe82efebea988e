//! PostgreSQL (15 and later) as the store of campaigns and reports.
//!
//! Promises: what was acknowledged was committed; a server that is away, starting, full, read-only or being replaced is
//! [`storage::StorageError::Unavailable`], within seconds, and work goes on by itself once a primary is back. Every
//! method is one transaction with limits of its own, or one statement that reads. Beside a transaction pooler
//! `statement-cache-capacity=0` in the URL says so: each method is a transaction then, its limits are its own and not the
//! session's, and no statement is taken for prepared.
//!
//! What it takes for granted: the server keeps what it acknowledged (`synchronous_commit` on, and a synchronous standby
//! where one is promoted). A promoted standby that lost commits would hand out revisions twice, as would
//! a database restored to an earlier instant: `begin_generation` then, so that readers take the store for a new one.
//!
//! Migrations expand, and contract a release later: what is new comes with a default, so that the program of the release
//! before works on beside it; what is no longer used is dropped only by the release after. A program on a schema before
//! its own starts, and says so by [`PostgresStore::is_migrated`]; one on a later schema works. `tests/postgres/schema.rs`
//! holds migrations to it.
//!
//! Reports come from `Settings::replica_url` where it is set, as old as the replica is behind; from the primary while
//! the replica is away or more than a minute behind.
//!
//! Writes of one process that come at the same time share a transaction and a revision (`writes`).
//!
//! Must never: answer a write before its commit; repeat a transaction whose commit may have happened; keep anything in
//! memory that another process may change.

mod campaign_list;
mod campaigns;
mod database;
mod documents;
mod error;
mod idempotency;
mod outbox;
mod replica;
mod report_sites;
mod reports;
mod reports_query;
mod reports_set_aside;
mod reports_spend;
mod rollup_days;
mod rollups;
mod schema;
mod schema_wait;
mod settings;
mod store;
mod transaction;
mod writes;

pub use settings::{Settings, UrlError};
pub use store::PostgresStore;
