//! Which adapter serves which port.

use crate::config::Config;
use crate::{Ports, SERVICE};
use backends::{Adapters, Embedded, Part};
use platform::{Process, StartError};
use std::sync::Arc;
use storage_sqlite::SqliteStore;

/// Makes an adapter for each backend that the settings name, and opens the embedded file for the others, unless it
/// is `shared` with other services of this process. Waits for no server: readiness does.
///
/// # Errors
/// [`platform::Mistakes`] when an adapter refuses its settings; when the embedded file cannot be opened.
pub async fn ports(
    config: &Config,
    process: &Process,
    shared: Option<Arc<SqliteStore>>,
) -> Result<Ports, StartError> {
    let settings = &config.backends;
    let parts = [Part::Database, Part::Ledger, Part::Log, Part::Users];
    let adapters = Adapters::of(settings, &parts)?;
    adapters.watch(process, SERVICE);
    process.tell_backends(
        SERVICE,
        &[
            ("campaign store", adapters.database_kind()),
            ("spend ledger", backends::redis_kind(settings.redis.as_ref())),
            ("event log", adapters.log_kind()),
            ("user states", backends::redis_kind(settings.users_redis.as_ref())),
        ],
    );
    if let Some(store) = &adapters.database {
        backends::wait_for_schema(store.clone(), process);
    }
    if let Some(log) = &adapters.log
        && process.settings.environment.is_development()
    {
        backends::make_topics(log.clone(), process);
    }
    let embedded = Embedded::new(settings, &process.clock, shared);
    Ok(Ports {
        campaigns: match adapters.database {
            Some(store) => store,
            None => embedded.store().await?,
        },
        ledger: match adapters.ledger {
            Some(ledger) => ledger,
            None => embedded.store().await?,
        },
        log: match adapters.log {
            Some(log) => log,
            None => embedded.store().await?,
        },
        users: match adapters.users {
            Some(users) => users,
            None => embedded.store().await?,
        },
    })
}

/// One embedded store behind every port.
#[must_use]
pub fn embedded(store: Arc<SqliteStore>) -> Ports {
    Ports {
        campaigns: store.clone(),
        ledger: store.clone(),
        log: store.clone(),
        users: store,
    }
}
