//! The engine through its public API: requests as bytes in, decisions and reasons out.

mod auction;
mod campaigns;
mod creatives;
mod law;
mod privacy;
mod requests;
mod world;
