//! The ports: what the platform asks of its stores, and the one contract suite that every adapter must pass.
//!
//! Every method is one atomic, idempotent operation; no transaction object crosses a port. Ids and time
//! come from the caller; the end of a lease alone follows the ledger's own clock ([`LedgerClock`]).
//! Absence is `Ok(None)`. A call that failed with [`StorageError::Unavailable`] may have taken effect:
//! the caller repeats it.
//!
//! Must never: name a database.

pub mod campaign_store;
pub mod contract;
pub mod error;
pub mod event_log;
pub mod report_store;
pub mod spend_ledger;
pub mod user_states;

pub use campaign_store::CampaignStore;
pub use error::StorageError;
pub use event_log::EventLog;
pub use report_store::ReportStore;
pub use spend_ledger::{LedgerClock, SpendLedger};
pub use user_states::UserStates;
