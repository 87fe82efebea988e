//! Tests across crates and processes: journeys, faults, architecture rules. Everything is under `tests/`.
