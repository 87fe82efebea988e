//! The campaign API over the embedded store, request by request.

mod app;
mod batch;
mod concurrency;
mod creatives;
mod faults;
mod forwarding;
mod idempotency;
mod keys;
mod lists;
mod mistakes;
mod publishing;
mod serving;
mod tenancy;
