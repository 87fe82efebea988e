//! The whole platform in this one process: three services, each on a port of its own, over the backends that the
//! settings name or one embedded file.

use crate::wiring::{PortsOfAll, Stores};
use anyhow::Context;
use axum::Router;
use platform::shutdown::Ended;
use platform::{Backends, Mistakes, Process, ProcessSettings, Server, ServerOptions, Settings, health};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the services may take until all are ready.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Where each part listens, and what differs from the environment's settings.
#[derive(Clone, Debug)]
pub(crate) struct HouseOptions {
    pub campaign_addr: SocketAddr,
    pub bidding_addr: SocketAddr,
    pub analytics_addr: SocketAddr,
    pub metrics_addr: SocketAddr,
    /// Settings that win over the environment's.
    pub overrides: Vec<(&'static str, String)>,
}

impl HouseOptions {
    /// For a platform that nobody has to find: free ports of this machine, a store in `data_dir` whatever the environment says.
    pub(crate) fn on_free_ports(data_dir: PathBuf) -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // An empty setting counts as absent; the first ones are every backend that the environment may name.
        let mut overrides: Vec<(&'static str, String)> = [
            Backends::DATABASE_HELP,
            Backends::REDIS_HELP,
            Backends::KAFKA_HELP,
        ]
        .into_iter()
        .flatten()
        .map(|(name, _)| (*name, String::new()))
        .collect();
        overrides.extend([
            ("CONFIG_FILE", String::new()),
            ("SPOOL_DIR", String::new()),
            ("ENVIRONMENT", "development".to_owned()),
            ("DATA_DIR", data_dir.display().to_string()),
            // It asks for as much as the demo's table shows.
            ("API_RATE_LIMIT_PER_SECOND", "10000".to_owned()),
        ]);
        Self {
            campaign_addr: free,
            bidding_addr: free,
            analytics_addr: free,
            metrics_addr: free,
            overrides,
        }
    }
}

/// A running platform.
pub(crate) struct House {
    process: Process,
    addrs: Addrs,
    pub admin_key: String,
    pub stores: Stores,
}

#[derive(Clone, Copy)]
struct Addrs {
    campaign: SocketAddr,
    bidding: SocketAddr,
    analytics: SocketAddr,
    metrics: SocketAddr,
}

impl Addrs {
    /// Port 0 is still 0 in them.
    fn asked_for(options: &HouseOptions) -> Self {
        Self {
            campaign: options.campaign_addr,
            bidding: options.bidding_addr,
            analytics: options.analytics_addr,
            metrics: options.metrics_addr,
        }
    }
}

/// The settings of every part.
struct Configs {
    process: ProcessSettings,
    campaign: campaign_service::Config,
    bidding: bidding_service::Config,
    analytics: analytics_service::Config,
    admin_key: String,
}

fn read(settings: &mut Settings) -> Result<Configs, Mistakes> {
    let configs = Configs {
        process: ProcessSettings::read(settings),
        campaign: campaign_service::Config::read(settings),
        bidding: bidding_service::Config::read(settings),
        analytics: analytics_service::Config::read(settings),
        admin_key: settings.string("ADMIN_API_KEY", ""),
    };
    settings.finish()?;
    Ok(configs)
}

impl House {
    /// Reads the settings, binds the ports, makes the adapters and starts the services.
    ///
    /// # Errors
    /// A port that is taken; settings that are wrong ([`platform::Mistakes`], for exit 64); a store that cannot be opened.
    pub(crate) async fn start(options: HouseOptions) -> anyhow::Result<Self> {
        // What is wrong with the settings is told before anything has begun.
        read(&mut settings(&options, Addrs::asked_for(&options))?)?;
        // Then the ports, and the settings again: the services tell each other's addresses to the world.
        let campaign = bind("campaign-service", options.campaign_addr).await?;
        let bidding =
            Server::bind_apart("bidding-service", options.bidding_addr, ServerOptions::default()).await;
        let bidding = bidding.with_context(|| choose_another("bidding-service"))?;
        let analytics = bind("analytics-service", options.analytics_addr).await?;
        let metrics = bind("metrics", options.metrics_addr).await?;
        let addrs = Addrs {
            campaign: campaign.local_addr(),
            bidding: bidding.local_addr(),
            analytics: analytics.local_addr(),
            metrics: metrics.local_addr(),
        };
        let mut settings = settings(&options, addrs)?;
        let configs = read(&mut settings)?;
        for name in settings.unknown_in_file() {
            tracing::warn!(name, "setting in the file is not known here");
        }

        let process = match Process::new("adplatform", configs.process) {
            Ok(process) => process,
            Err(error) => anyhow::bail!(error),
        };
        process.export_traces();
        let ports =
            PortsOfAll::open(&configs.campaign, &configs.bidding, &configs.analytics, &process).await?;
        let stores = Stores::from(ports.analytics.clone());
        let campaigns = campaign_service::build(&configs.campaign, ports.campaigns, &process)?;
        let bids = bidding_service::build(&configs.bidding, ports.bidding, &process)?;
        let reports = analytics_service::build(&configs.analytics, ports.analytics, &process)?;

        let probes = || health::router(process.readiness.clone());
        campaign.serve(probes().merge(campaigns.router), &process.shutdown);
        bidding.serve(probes().merge(bids.router), &process.shutdown);
        analytics.serve(probes().merge(reports.router), &process.shutdown);
        let scrape = match process.settings.metrics_enabled {
            true => platform::metrics::router(process.metrics.clone()),
            false => Router::new(),
        };
        metrics.serve(probes().merge(scrape), &process.shutdown);
        Ok(Self {
            process,
            addrs,
            admin_key: configs.admin_key,
            stores,
        })
    }

    /// Waits until every latch is on.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        let give_up = Instant::now() + START_PATIENCE;
        while !self.process.readiness.is_ready() {
            anyhow::ensure!(
                Instant::now() < give_up && !self.process.shutdown.requested().is_cancelled(),
                "the platform did not get ready; waiting for {}",
                self.process.readiness.waiting_for().join(", ")
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    pub(crate) fn listen_for_signals(&self) -> std::io::Result<()> {
        self.process.shutdown.listen_for_signals()
    }

    pub(crate) fn stop(&self, why: &str) {
        self.process.shutdown.request(why);
    }

    /// Waits for the end that a signal or [`House::stop`] asks for.
    pub(crate) async fn finished(&self) -> Ended {
        self.process.shutdown.finished().await
    }

    pub(crate) fn api_url(&self) -> String {
        format!("http://{}", self.addrs.campaign)
    }

    pub(crate) fn bidding_url(&self) -> String {
        format!("http://{}", self.addrs.bidding)
    }

    pub(crate) fn bid_url(&self) -> String {
        format!("{}/openrtb2/bid", self.bidding_url())
    }

    pub(crate) fn analytics_url(&self) -> String {
        format!("http://{}", self.addrs.analytics)
    }

    pub(crate) fn metrics_url(&self) -> String {
        format!("http://{}/metrics", self.addrs.metrics)
    }
}

async fn bind(name: &'static str, addr: SocketAddr) -> anyhow::Result<Server> {
    let bound = Server::bind(name, addr, ServerOptions::default()).await;
    bound.with_context(|| choose_another(name))
}

fn choose_another(name: &str) -> String {
    let flag = name.split('-').next().unwrap_or(name);
    format!("choose another address with --{flag}-addr")
}

/// The environment's settings. In development what is missing is made up: addresses, and a key for this run.
fn settings(options: &HouseOptions, addrs: Addrs) -> anyhow::Result<Settings> {
    let owned = |(name, value): (&'static str, String)| (name.to_owned(), value);
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    // Later pairs win.
    let given: Vec<(String, String)> = environment
        .chain(options.overrides.iter().cloned().map(owned))
        .collect();
    let mut settings = Settings::from_env_and_file(given.iter().cloned());
    if !settings.environment().is_development() {
        return Ok(settings);
    }
    let made_up = [
        ("PUBLIC_BIDDING_URL", format!("http://{}", addrs.bidding)),
        ("ANALYTICS_URL", format!("http://{}", addrs.analytics)),
        ("BIDDING_URL", format!("http://{}", addrs.bidding)),
        ("ADMIN_API_KEY", admin_key()?),
    ];
    let missing: Vec<_> = made_up
        .into_iter()
        .filter(|(name, _)| settings.optional(name).is_none())
        .collect();
    Ok(Settings::from_env_and_file(
        given.into_iter().chain(missing.into_iter().map(owned)),
    ))
}

/// A key that nobody can guess.
fn admin_key() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("adm_{:032x}", u128::from_le_bytes(bytes)))
}
