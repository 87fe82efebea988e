//! Which adapter stands behind each port.

use crate::config::Config;
use crate::{Ports, SERVICE};
use backends::{Adapters, Embedded, Part, redis_kind};
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
    let adapters = Adapters::of(settings, &[Part::Ledger, Part::Users, Part::Log])?;
    adapters.watch(process, SERVICE);
    process.tell_backends(
        SERVICE,
        &[
            ("spend ledger", redis_kind(settings.redis.as_ref())),
            ("user states", redis_kind(settings.users_redis.as_ref())),
            ("event log", adapters.log_kind()),
        ],
    );
    let embedded = Embedded::new(settings, &process.clock, shared);
    Ok(Ports {
        event_log: match adapters.log {
            Some(log) => log,
            None => embedded.store().await?,
        },
        spend_ledger: match adapters.ledger {
            Some(ledger) => ledger,
            None => embedded.store().await?,
        },
        user_states: match adapters.users {
            Some(users) => users,
            None => embedded.store().await?,
        },
    })
}

/// One embedded store behind every port.
#[must_use]
pub fn embedded(store: Arc<SqliteStore>) -> Ports {
    Ports {
        event_log: store.clone(),
        spend_ledger: store.clone(),
        user_states: store,
    }
}
