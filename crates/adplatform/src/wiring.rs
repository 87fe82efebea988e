//! Which adapter stands behind each port.

use anyhow::Context;
use backends::{Adapters, Part, open_file};
use platform::config::Backends;
use platform::{Clock, Mistakes, Process, StartError};
use std::path::Path;
use std::sync::Arc;
use storage::{CampaignStore, EventLog, ReportStore, SpendLedger, StorageError};
use storage_kafka::KafkaLog;
use storage_postgres::PostgresStore;

/// What the tools around the services read.
pub(crate) struct Stores {
    pub ledger: Arc<dyn SpendLedger>,
    pub log: Arc<dyn EventLog>,
    pub reports: Arc<dyn ReportStore>,
}

impl From<analytics_service::Ports> for Stores {
    fn from(ports: analytics_service::Ports) -> Self {
        Self {
            ledger: ports.ledger,
            log: ports.events,
            reports: ports.reports,
        }
    }
}

/// The ports of the three services of one process. Embedded ones share one open file.
pub(crate) struct PortsOfAll {
    pub campaigns: campaign_service::Ports,
    pub bidding: bidding_service::Ports,
    pub analytics: analytics_service::Ports,
}

impl PortsOfAll {
    /// Makes the adapters that the settings name and opens the embedded file for the others.
    ///
    /// # Errors
    /// [`Mistakes`] when an adapter refuses its settings; when the file cannot be opened.
    pub(crate) async fn open(
        campaigns: &campaign_service::Config,
        bidding: &bidding_service::Config,
        analytics: &analytics_service::Config,
        process: &Process,
    ) -> anyhow::Result<Self> {
        let backends = &analytics.backends;
        let is_embedded = backends.are_embedded(&analytics_service::Config::NEEDED);
        let file = match is_embedded {
            true => Some(open_file(&backends.embedded_url, &process.clock).await?),
            false => None,
        };
        let share = || file.clone();
        Ok(Self {
            campaigns: told(campaign_service::wiring::ports(campaigns, process, share()).await)?,
            bidding: told(bidding_service::wiring::ports(bidding, process, share()).await)?,
            analytics: told(analytics_service::wiring::ports(analytics, process, share()).await)?,
        })
    }
}

/// The stores of a platform that runs elsewhere, without touching a schema.
///
/// # Errors
/// Those of [`PortsOfAll::open`], and where an embedded file is none: it must not be made by a mistyped path.
pub(crate) async fn existing(backends: &Backends, clock: &Clock) -> anyhow::Result<Stores> {
    let url = &backends.embedded_url;
    let is_embedded = backends.are_embedded(&analytics_service::Config::NEEDED);
    anyhow::ensure!(!is_embedded || exists(url), "there is no store at {url}");
    Ok(told(analytics_service::wiring::open(backends, clock, None).await)?.into())
}

/// What is published and where it was stored.
pub(crate) struct Published {
    pub store: Arc<dyn CampaignStore>,
    pub log: Arc<dyn EventLog>,
}

/// # Errors
/// As [`existing`].
pub(crate) async fn published(backends: &Backends, clock: &Clock) -> anyhow::Result<Published> {
    let url = &backends.embedded_url;
    let adapters = Adapters::of(backends, &[Part::Database, Part::Log])?;
    let (postgres, kafka) = (adapters.database, adapters.log);
    let file = if postgres.is_none() || kafka.is_none() {
        anyhow::ensure!(exists(url), "there is no store at {url}");
        Some(open_file(url, clock).await?)
    } else {
        None
    };
    let embedded = || {
        file.clone()
            .context("the embedded file is open where a backend is absent")
    };
    Ok(Published {
        store: match postgres {
            Some(store) => store,
            None => embedded()?,
        },
        log: match kafka {
            Some(log) => log,
            None => embedded()?,
        },
    })
}

/// Whether the file has been opened before; one in memory never has.
fn exists(database_url: &str) -> bool {
    let path = database_url.strip_prefix("sqlite:").unwrap_or(database_url);
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    Path::new(path).is_file()
}

/// The database whose schema a job brings up to date.
pub(crate) struct Schema {
    postgres: Option<Arc<PostgresStore>>,
    embedded_url: String,
}

impl Schema {
    /// # Errors
    /// [`Mistakes`] when the URL cannot be read.
    pub(crate) fn of(backends: &Backends) -> Result<Self, Mistakes> {
        let adapters = Adapters::of(backends, &[Part::Database])?;
        Ok(Self {
            postgres: adapters.database,
            embedded_url: backends.embedded_url.clone(),
        })
    }

    /// As people know it; without a password.
    pub(crate) fn name(&self) -> &str {
        match self.postgres {
            Some(_) => "the PostgreSQL database",
            None => &self.embedded_url,
        }
    }

    /// Safe to run again, and by several at once; to be repeated while it answers `Unavailable`.
    pub(crate) async fn migrate(&self, clock: &Clock) -> anyhow::Result<Result<(), StorageError>> {
        match &self.postgres {
            Some(store) => Ok(store.migrate().await),
            None => open_file(&self.embedded_url, clock).await.map(|_| Ok(())),
        }
    }
}

/// The topics of a Kafka; `None` where the log is embedded.
///
/// # Errors
/// [`Mistakes`] when its settings are refused.
pub(crate) fn kafka_log(backends: &Backends) -> Result<Option<KafkaTopics>, Mistakes> {
    let adapters = Adapters::of(backends, &[Part::Log])?;
    Ok(adapters.log.map(KafkaTopics))
}

pub(crate) struct KafkaTopics(Arc<KafkaLog>);

impl KafkaTopics {
    /// Makes what is absent and corrects what differs; a line about each topic. Safe to run again.
    pub(crate) async fn create(
        &self,
        replication_factor: u32,
        min_insync: u32,
    ) -> Result<Vec<String>, StorageError> {
        let changes = self.0.create_topics(replication_factor, min_insync).await?;
        Ok(changes.iter().map(ToString::to_string).collect())
    }
}

/// What a service could not start for; mistakes stay mistakes, which have an exit code of their own.
fn told<T>(result: Result<T, StartError>) -> anyhow::Result<T> {
    result.map_err(|error| match error.downcast::<Mistakes>() {
        Ok(mistakes) => anyhow::Error::new(*mistakes),
        Err(error) => anyhow::anyhow!(error),
    })
}
