//! Sealed tokens: what a notice or an event URL carries.
