//! OpenRTB 2.x bytes to borrowed structs and back; nothing else.

pub mod codes;
mod malformed;
pub mod native;
pub mod request;
pub mod response;

pub use malformed::Malformed;
pub use request::BidRequest;

/// How many objects and arrays may lie inside each other.
pub const DEPTH_LIMIT: u32 = 64;
