//! Which adapter serves which port. The only file that names one.

use crate::{Config, Ports};
use anyhow::Context;
use platform::Clock;
use std::sync::Arc;
use storage_sqlite::SqliteStore;

/// Opens the backends that the settings name.
///
/// # Errors
/// When the database cannot be opened.
pub async fn ports(config: &Config, clock: &Clock) -> anyhow::Result<Ports> {
    let ledger_clock = clock.clone();
    let store = SqliteStore::open(&config.database_url, Arc::new(move || ledger_clock.unix_ms()))
        .await
        .with_context(|| format!("cannot open {}", config.database_url))?;
    Ok(embedded(Arc::new(store)))
}

/// One embedded store behind every port.
#[must_use]
pub fn embedded(store: Arc<SqliteStore>) -> Ports {
    Ports {
        campaigns: store.clone(),
        ledger: store.clone(),
        log: store,
    }
}
