//! The bidding service: answers OpenRTB bid requests inside their deadline.

mod lease_keeper;
mod notices;
mod settlement;
mod token;
