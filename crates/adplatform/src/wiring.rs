//! Which adapter stands behind each port: the only file that names one.

use anyhow::Context;
use platform::Clock;
use std::path::Path;
use std::sync::Arc;
use storage::{EventLog, ReportStore, SpendLedger};
use storage_sqlite::SqliteStore;

/// Every store of a platform: one embedded file.
pub(crate) struct Stores {
    pub ledger: Arc<dyn SpendLedger>,
    pub log: Arc<dyn EventLog>,
    pub reports: Arc<dyn ReportStore>,
    embedded: Arc<SqliteStore>,
}

/// Opens the store, bringing its schema up to date.
pub(crate) async fn open(database_url: &str, clock: &Clock) -> anyhow::Result<Stores> {
    let ledger_clock = clock.clone();
    let store = SqliteStore::open(database_url, Arc::new(move || ledger_clock.unix_ms()))
        .await
        .with_context(|| format!("cannot open {database_url}"))?;
    let store = Arc::new(store);
    Ok(Stores {
        ledger: store.clone(),
        log: store.clone(),
        reports: store.clone(),
        embedded: store,
    })
}

/// Whether the store has been opened before; one in memory never has.
pub(crate) fn exists(database_url: &str) -> bool {
    let path = database_url.strip_prefix("sqlite:").unwrap_or(database_url);
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    Path::new(path).is_file()
}

impl Stores {
    pub(crate) fn for_campaigns(&self) -> campaign_service::Ports {
        campaign_service::wiring::embedded(self.embedded.clone())
    }

    pub(crate) fn for_bidding(&self) -> bidding_service::Ports {
        bidding_service::wiring::embedded(self.embedded.clone())
    }

    pub(crate) fn for_analytics(&self) -> analytics_service::Ports {
        analytics_service::wiring::embedded(self.embedded.clone())
    }
}
