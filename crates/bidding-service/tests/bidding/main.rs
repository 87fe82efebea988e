//! The service over HTTP, on an embedded store in memory.
#![expect(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect ends"
)]

mod answers;
mod audiences;
mod changes;
mod deadlines;
mod explanation;
mod fields;
mod forecast;
mod gate;
mod lists;
#[path = "../../src/testing/mmdb.rs"]
#[expect(
    dead_code,
    reason = "it is shared with the unit tests; these need a corner of it"
)]
mod mmdb;
mod others_requests;
mod overload;
mod shading;
mod stage;
mod stalled_log;
mod transport;
mod users;
