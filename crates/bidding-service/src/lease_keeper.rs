//! Keeps the local leases renewed against the spend ledger.
