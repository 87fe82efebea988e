//! The engine through its public API: requests as bytes in, decisions and reasons out.

#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

mod auction;
mod campaigns;
mod creatives;
mod drawn;
mod law;
mod pods;
mod privacy;
mod requests;
mod shading;
mod shared_data;
mod supply;
mod world;
