//! The service on a real store: events in at one end, reports out at the other.

mod access;
mod app;
mod delivery;
mod events;
mod folding;
mod reading;
mod reports;
