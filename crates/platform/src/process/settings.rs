//! The settings that every process has.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::config::{Environment, SettingHelp, Settings};
use crate::shutdown::ShutdownTiming;
use crate::telemetry::LogSettings;
use crate::traces::TraceSettings;

/// `ENVIRONMENT`, `LOG_LEVEL`, `LOG_FORMAT`, `METRICS_ENABLED`, `HTTP_ADDR`, `METRICS_ADDR`,
/// `SHUTDOWN_DRAIN_SECONDS`, `SHUTDOWN_GRACE_SECONDS`, and those of [`TraceSettings`].
#[derive(Clone, Debug)]
pub struct ProcessSettings {
    pub environment: Environment,
    pub log: LogSettings,
    pub traces: TraceSettings,
    pub metrics_enabled: bool,
    pub http_addr: SocketAddr,
    pub metrics_addr: SocketAddr,
    pub shutdown: ShutdownTiming,
}

impl ProcessSettings {
    /// The settings that [`ProcessSettings::read`] asks for, as `--help` tells them.
    pub const HELP: &'static [SettingHelp] = &[
        (
            "ENVIRONMENT",
            "development (default) or any other name; others forgive nothing",
        ),
        ("HTTP_ADDR", "where it serves (0.0.0.0:8080)"),
        (
            "METRICS_ADDR",
            "where it serves metrics and probes (0.0.0.0:9090)",
        ),
        (
            "METRICS_ENABLED",
            "whether it serves metrics, and counts and times requests (true)",
        ),
        ("LOG_LEVEL", "info, or directives such as info,sqlx=warn (info)"),
        ("LOG_FORMAT", "pretty or json (pretty on a terminal)"),
        (
            "SHUTDOWN_DRAIN_SECONDS",
            "from not ready to no more requests (5; in development 0)",
        ),
        ("SHUTDOWN_GRACE_SECONDS", "for what is in progress (25)"),
    ];

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
            traces: TraceSettings::read(settings),
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
