//! Real servers for tests, on free ports and in temporary folders: they end with the test process.

pub mod certificates;
pub mod postgres;

pub mod kafka;
mod ports;
pub mod proxy;
pub mod redis;
