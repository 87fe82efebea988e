//! PostgreSQL (15 and later) as the store of campaigns and reports.
//!
//! Promises: what was acknowledged was committed; a server that is away, starting, full, read-only or being replaced is
//! [`storage::StorageError::Unavailable`], within seconds, and work goes on by itself once a primary is back. Every
//! method is one transaction with limits of its own, so the adapter works beside a transaction pooler (PgBouncer from
//! 1.21 with `max_prepared_statements`, or `statement-cache-capacity=0` in the URL).
//!
//! What it takes for granted: the server keeps what it acknowledged (`synchronous_commit` on, and a synchronous standby
//! where one is promoted). A promoted standby that lost commits would hand out revisions twice: raise
//! `store.generation` then, so that readers take the store for a new one.
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
mod report_sites;
mod reports;
mod reports_query;
mod rollup_days;
mod rollups;
mod schema;
mod settings;
mod store;
mod transaction;

pub use settings::{Settings, UrlError};
pub use store::PostgresStore;
