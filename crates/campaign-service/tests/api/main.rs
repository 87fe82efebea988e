//! The campaign API over the embedded store, request by request.
#![expect(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect ends"
)]

mod app;
mod audiences;
mod batch;
mod concurrency;
mod creatives;
mod deals;
mod faults;
mod forwarding;
mod idempotency;
mod keys;
mod lists;
mod mistakes;
mod publishing;
mod serving;
mod tenancy;
