//! Applies a verified notice to the ledger and the event log.
