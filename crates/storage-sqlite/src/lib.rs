//! The embedded adapter of every storage port: one SQLite file, nothing to install.
//!
//! Promises: what was acknowledged is in the file and synced (write-ahead log, `synchronous=FULL`); several
//! processes share one file at once; a full disk, a locked, read-only or missing file is
//! [`storage::StorageError::Unavailable`], and work goes on once the cause is gone.
//!
//! Writes of one process queue to one task that commits what is waiting together (`writer`): a sync to disk
//! costs the same for one operation as for two hundred. Notices and appends share their statements too
//! (`batches`). Reads have connections of their own.
//!
//! Must never: answer a write before its commit; keep anything in memory that another process may change.

mod batches;
mod campaign_list;
mod campaigns;
mod connection;
#[cfg(test)]
mod contract_tests;
mod error;
mod event_log;
#[cfg(test)]
mod fault_tests;
mod idempotency;
mod ledger;
mod readers;
mod reports;
mod reports_query;
mod reports_set_aside;
mod reports_spend;
mod schema;
mod store;
mod users;
mod writer;

pub use store::{OpenError, SqliteStore};
