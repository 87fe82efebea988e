//! The settings that every process has.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::config::{Environment, Settings};
use crate::shutdown::ShutdownTiming;
use crate::telemetry::LogSettings;

/// `ENVIRONMENT`, `LOG_LEVEL`, `LOG_FORMAT`, `METRICS_ENABLED`, `HTTP_ADDR`, `METRICS_ADDR`,
/// `SHUTDOWN_DRAIN_SECONDS`, `SHUTDOWN_GRACE_SECONDS`.
#[derive(Clone, Debug)]
pub struct ProcessSettings {
    pub environment: Environment,
    pub log: LogSettings,
    pub metrics_enabled: bool,
    pub http_addr: SocketAddr,
    pub metrics_addr: SocketAddr,
    pub shutdown: ShutdownTiming,
}

impl ProcessSettings {
    /// Reads them; mistakes stay in `settings` until its `finish`.
    ///
    /// Defaults: 0.0.0.0:8080 and 0.0.0.0:9090; 25 s of grace (Kubernetes kills after 30); a drain of 5 s, none in
    /// development.
    pub fn read(settings: &mut Settings) -> Self {
        let environment = settings.environment().clone();
        let drain = if environment.is_development() {
            Duration::ZERO
        } else {
            Duration::from_secs(5)
        };
        let everywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Self {
            environment,
            log: LogSettings::read(settings),
            metrics_enabled: settings.bool("METRICS_ENABLED", true),
            http_addr: settings.socket_addr("HTTP_ADDR", everywhere(8080)),
            metrics_addr: settings.socket_addr("METRICS_ADDR", everywhere(9090)),
            shutdown: ShutdownTiming {
                drain: settings.duration_seconds("SHUTDOWN_DRAIN_SECONDS", drain, 0.0..=300.0),
                grace: settings.duration_seconds(
                    "SHUTDOWN_GRACE_SECONDS",
                    Duration::from_secs(25),
                    0.0..=3600.0,
                ),
            },
        }
    }
}
