//! What tests lean on: real servers, on free ports and in temporary folders, which end with the test process; a proxy for bad
//! networks; what was logged.

pub mod certificates;
pub mod postgres;

mod journal;
pub mod kafka;
mod ports;
pub mod proxy;
pub mod redis;

pub use journal::Journal;
