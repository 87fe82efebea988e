//! The contract suite: the laws of each port as plain functions that assert.
//!
//! Every adapter's tests call `all` of each port with a way to make a fresh, empty store. A law that fails
//! panics; its name is the last one printed.

pub mod campaign_store;
mod dice;
pub mod event_log;
mod ledger_model;
pub mod ledger_walk;
pub mod report_store;
pub mod spend_ledger;
pub mod user_states;

/// Runs each law on a store of its own, after printing its name.
macro_rules! run_laws {
    ($fresh:expr; $($law:ident),+ $(,)?) => {$(
        println!("law: {}", stringify!($law));
        $law($fresh().await).await;
    )+};
}
pub(crate) use run_laws;
