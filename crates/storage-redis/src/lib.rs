//! The spend ledger and user states on Redis: a single node or a Cluster.
//!
//! Promises: every operation is one Lua script on one node, so that it happens whole or not at all; every call has
//! its own deadline; whatever a server does (fails over, restarts, fills up), the answer is a verdict that stands or
//! [`storage::StorageError::Unavailable`].
//!
//! Must never: decide anything about money outside a script; keep a connection across a server's restart; need a
//! command newer than Redis 6.2.

mod connection;
mod error;
mod ledger;
mod router;
mod settings;
mod topology;
mod users;

pub use ledger::RedisLedger;
pub use settings::{Settings, SettingsError};
pub use users::RedisUsers;
