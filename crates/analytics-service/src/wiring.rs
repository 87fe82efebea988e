//! Which adapter stands behind each port.

use crate::SERVICE;
use crate::config::Config;
use crate::ports::Ports;
use backends::{Adapters, Embedded, Part};
use platform::config::Backends;
use platform::{Clock, Process, StartError};
use std::sync::Arc;
use storage_sqlite::SqliteStore;

const PARTS: [Part; 3] = [Part::Database, Part::Ledger, Part::Log];

/// Opens what the settings name ([`open`]), tells it, and keeps the process from being ready before the database has
/// our schema.
///
/// # Errors
/// Those of [`open`].
pub async fn ports(
    config: &Config,
    process: &Process,
    shared: Option<Arc<SqliteStore>>,
) -> Result<Ports, StartError> {
    let settings = &config.backends;
    let adapters = Adapters::of(settings, &PARTS)?;
    process.tell_backends(
        SERVICE,
        &[
            ("report store", adapters.database_kind()),
            ("campaign store", adapters.database_kind()),
            ("spend ledger", backends::redis_kind(settings.redis.as_ref())),
            ("event log", adapters.log_kind()),
        ],
    );
    adapters.watch(process, SERVICE);
    if let Some(store) = &adapters.database {
        backends::wait_for_schema(store.clone(), process);
    }
    beside(adapters, &Embedded::new(settings, &process.clock, shared)).await
}

/// Makes an adapter for each backend that the settings name, and opens the embedded file for the others, unless it
/// is `shared` with other services of this process. Waits for no server.
///
/// # Errors
/// [`platform::Mistakes`] when an adapter refuses its settings; when the embedded file cannot be opened.
pub async fn open(
    settings: &Backends,
    clock: &Clock,
    shared: Option<Arc<SqliteStore>>,
) -> Result<Ports, StartError> {
    let adapters = Adapters::of(settings, &PARTS)?;
    beside(adapters, &Embedded::new(settings, clock, shared)).await
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

async fn beside(adapters: Adapters, embedded: &Embedded<'_>) -> Result<Ports, StartError> {
    let Adapters {
        database,
        ledger,
        log,
        users: _,
    } = adapters;
    Ok(Ports {
        campaigns: match database.clone() {
            Some(store) => store,
            None => embedded.store().await?,
        },
        events: match log {
            Some(log) => log,
            None => embedded.store().await?,
        },
        ledger: match ledger {
            Some(ledger) => ledger,
            None => embedded.store().await?,
        },
        reports: match database {
            Some(store) => store,
            None => embedded.store().await?,
        },
    })
}
