//! OpenRTB 2.3 to 2.6: bytes to borrowed structs and back; nothing else.
//!
//! [`read_request`] reads a bid request in one pass over its bytes. Texts are slices of the body, the
//! rest lies in the caller's arena, so that a bidder which resets one arena per request allocates
//! nothing on the heap. [`write_response`] appends a bid response to a buffer.
//!
//! What it promises:
//! - No input makes it panic, recurse without bound, or take more than linear time (n log n in the
//!   number of imps).
//! - What is refused is listed at [`Malformed`]. All else is tolerated: unknown fields, objects and
//!   values; numbers sent as strings and the reverse; a lone value where an array belongs; `null` for
//!   absent; of a repeated key the last. An optional field of the wrong type is absent.
//! - Fields that 2.5 keeps in `ext` and 2.6 has first class are read from both, first class winning.
//! - Prices go from decimal text to integer micros and back without a float in between.
//!
//! What it must never do: know our own types, decide anything about a bid, hold state, read a clock,
//! log, or decompress (the transport's business).

pub mod codes;
mod decimal;
mod json;
mod malformed;
pub mod native;
pub mod request;
pub mod response;

pub use malformed::Malformed;
pub use request::{BidRequest, read_request};
pub use response::{BidResponse, read_response, write_response};

/// How many objects and arrays may lie inside each other. The deepest that OpenRTB itself goes is
/// about ten; `ext` may add some.
pub const DEPTH_LIMIT: u32 = 64;
