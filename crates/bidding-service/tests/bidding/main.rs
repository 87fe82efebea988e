//! The service over HTTP, on an embedded store in memory.

mod answers;
mod changes;
mod deadlines;
mod gate;
mod others_requests;
mod stage;
mod transport;
