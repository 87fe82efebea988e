//! The words of the platform as types: advertisers, campaigns, creatives, exchanges, money, budget
//! periods, events; their validation; the pacing arithmetic.
//!
//! Promises: no I/O, no clock (time is a parameter), no panic on any input, no float holding money.
//! Must never: know a database, a wire protocol, or another crate of this workspace.

pub mod advertiser;
pub mod api_key;
pub mod audience;
pub mod campaign;
pub mod creative;
pub mod currency;
pub mod deal;
pub mod event;
pub mod exchange;
mod flat;
pub mod id;
pub mod mistake;
pub mod money;
pub mod pacing;
pub mod period;
pub mod serving;
pub mod targeting;
pub mod user_key;
pub mod validation;
