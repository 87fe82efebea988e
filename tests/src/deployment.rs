//! The platform where it outgrows one machine: the services as processes of their own, several of a kind, on real
//! PostgreSQL, Redis Cluster and Kafka. Every part can be stopped, killed and started again at the same address.

use crate::backends::Backends;
use crate::platform::client;
use crate::program::command;
use crate::service::Service;
use crate::{Platform, eventually};
use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use test_servers::proxy::Fault;

const ADMIN_KEY: &str = "administrator-of-the-deployment";
const NOTICE_SECRET: &str = "k1:a-notice-key-of-more-than-thirty-two-bytes";

/// Two bidders and two of analytics, one campaign-service.
pub struct Deployment {
    pub backends: Backends,
    pub campaigns: Service,
    pub bidders: Vec<Service>,
    pub analytics: Vec<Service>,
    pub platform: Platform,
    folder: TempDir,
}

impl Deployment {
    /// Starts everything at once, prepares the backends by the commands that an operator would use, and waits until
    /// all of it is ready. `None`, said loudly, where a server is not installed.
    pub async fn start() -> Option<Self> {
        Self::on(Backends::start().await?, &[]).await
    }

    /// As [`Deployment::start`]; the services come first, and no backend can be reached until each has said that it is not
    /// ready.
    pub async fn start_before_its_backends() -> Option<Self> {
        let mut backends = Backends::start().await?;
        backends.set_network(Fault::Cut);
        let mut deployment = Self::assembled(backends, &[]);
        let client = deployment.platform.client.clone();
        deployment.services().for_each(Service::start);
        for service in deployment.services() {
            eventually("it is there and not ready", || async {
                (!service.is_ready(&client).await?).then_some(())
            })
            .await;
        }
        deployment.backends.set_network(Fault::None);
        deployment.prepared().await;
        Some(deployment)
    }

    /// As [`Deployment::start`], on a database whose WAL is archived at least every `seconds`.
    pub async fn start_with_archive(seconds: u32) -> Option<Self> {
        Self::on(Backends::start_with_archive(seconds).await?, &[]).await
    }

    /// As [`Deployment::start`]; every request, change and bid is traced, for the collector at `endpoint`.
    pub async fn start_traced(endpoint: &str) -> Option<Self> {
        let traced = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
            ("BID_TRACE_RATIO", "1"),
        ];
        Self::on(Backends::start().await?, &traced).await
    }

    async fn on(backends: Backends, more: &[(&'static str, &str)]) -> Option<Self> {
        let mut deployment = Self::assembled(backends, more);
        // Before anything is prepared: the order is nobody's concern.
        deployment.services().for_each(Service::start);
        deployment.prepared().await;
        Some(deployment)
    }

    fn assembled(backends: Backends, more: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = backends.settings();
        settings.extend([
            ("ENVIRONMENT", "production".to_owned()),
            ("ADMIN_API_KEY", ADMIN_KEY.to_owned()),
            ("NOTICE_SECRET", NOTICE_SECRET.to_owned()),
            ("API_RATE_LIMIT_PER_SECOND", "10000".to_owned()),
            ("SHUTDOWN_DRAIN_SECONDS", "0".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
        ]);
        settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let database = ("DATABASE_URL", backends.database_url());
        let service = |name: &'static str, number: usize| {
            let mut service = Service::new(name, folder.path().join(format!("{name}-{number}")), &settings);
            // A bidder never talks to the database.
            if name != "bidding-service" {
                service.settings.push(database.clone());
            }
            service
        };
        let analytics = vec![service("analytics-service", 0), service("analytics-service", 1)];
        let mut bidders = vec![service("bidding-service", 0), service("bidding-service", 1)];
        let public_url = bidders[0].url();
        for bidder in &mut bidders {
            bidder.settings.push(("PUBLIC_BIDDING_URL", public_url.clone()));
        }
        let mut campaigns = service("campaign-service", 0);
        campaigns.settings.push(("ANALYTICS_URL", analytics[0].url()));
        campaigns.settings.push(("BIDDING_URL", bidders[0].url()));
        let platform = Platform {
            campaigns: campaigns.url(),
            bidding: bidders[0].url(),
            analytics: analytics[0].url(),
            metrics: format!("{}/metrics", bidders[0].metrics_url()),
            key: ADMIN_KEY.to_owned(),
            data_dir: folder.path().to_owned(),
            client: client(),
            processes: Vec::new(),
            _folder: None,
        };
        Self {
            backends,
            campaigns,
            bidders,
            analytics,
            platform,
            folder,
        }
    }

    async fn prepared(&mut self) {
        for command in ["migrate", "topics"] {
            let (done, said) = self.adplatform(&[command]);
            assert!(done, "{command}: {said}");
        }
        self.ready().await;
        self.let_this_machine_bid().await;
    }

    pub fn services(&mut self) -> impl Iterator<Item = &mut Service> {
        std::iter::once(&mut self.campaigns)
            .chain(&mut self.bidders)
            .chain(&mut self.analytics)
    }

    pub fn bidder_urls(&self) -> Vec<String> {
        self.bidders.iter().map(Service::url).collect()
    }

    /// Waits until every service says that it is ready.
    pub async fn ready(&mut self) {
        let waited = self.platform.client.clone();
        for service in self.services() {
            service.ready(&waited).await;
        }
    }

    /// Outside development an exchange must prove that its requests are its own.
    async fn let_this_machine_bid(&self) {
        let exchange = json!({"allowed_networks": ["127.0.0.0/8"]});
        self.platform.patch("/exchanges/default", exchange).await;
        for bidder in self.bidder_urls() {
            eventually("the bidder takes requests of this machine", || async {
                let offer = self.platform.client.post(format!("{bidder}/openrtb2/bid"));
                let answer = offer.body(crate::fixtures::banner_request("first").to_string());
                let status = answer.send().await.ok()?.status();
                matches!(status, StatusCode::OK | StatusCode::NO_CONTENT).then_some(())
            })
            .await;
        }
    }

    /// Runs `adplatform` with the settings of the services; its output.
    pub fn adplatform(&self, arguments: &[&str]) -> (bool, String) {
        let output = command("adplatform")
            .args(arguments)
            .envs(self.campaigns.settings.iter().map(|(name, value)| (name, value)))
            .env("DATA_DIR", self.folder.path().join("tool"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}
