//! Which adapter stands behind each port: the only file that names one.

use crate::config::Config;
use crate::ports::Ports;
use anyhow::Context;
use platform::Clock;
use std::sync::Arc;
use storage_sqlite::SqliteStore;

/// Opens what the settings name.
///
/// # Errors
/// When the store cannot be opened.
pub async fn ports(config: &Config, clock: &Clock) -> anyhow::Result<Ports> {
    let ledger_clock = clock.clone();
    let store = SqliteStore::open(&config.database_url, Arc::new(move || ledger_clock.unix_ms()))
        .await
        .with_context(|| format!("cannot open {}", config.database_url))?;
    Ok(embedded(Arc::new(store)))
}

/// Every port in one open store, such as the one that the services of one process share.
pub fn embedded(store: Arc<SqliteStore>) -> Ports {
    Ports {
        campaigns: store.clone(),
        events: store.clone(),
        ledger: store.clone(),
        reports: store,
    }
}
