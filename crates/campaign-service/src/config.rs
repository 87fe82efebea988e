//! The service's settings.

use axum::http::Uri;
use platform::{Backend, Backends, Secret, SettingHelp, Settings};

const SHORTEST_ADMIN_KEY: usize = 16;

#[derive(Clone, Debug)]
pub struct Config {
    /// The administrator's key.
    pub admin_api_key: Secret,
    admin_key_is_invented: bool,
    /// Requests a second and key.
    pub rate_limit_per_second: u32,
    /// Base of the analytics service, `http` only.
    pub analytics_url: Uri,
    /// Base of the bidding service, `http` only.
    pub bidding_url: Uri,
    pub backends: Backends,
}

impl Config {
    /// What this service keeps its state in.
    pub const NEEDED: [Backend; 3] = [Backend::Database, Backend::Redis, Backend::Kafka];

    /// The settings that [`Config::read`] asks for, as `--help` tells them.
    pub const HELP: &'static [&'static [SettingHelp]] = &[
        Backends::DATABASE_HELP,
        Backends::REDIS_HELP,
        Backends::KAFKA_HELP,
        &[
            (
                "ADMIN_API_KEY",
                "the first administrator's key, at least 16 characters; in development one is made up",
            ),
            (
                "API_RATE_LIMIT_PER_SECOND",
                "requests a second and key (100), twice that at once",
            ),
            (
                "ANALYTICS_URL",
                "where /analytics/* is forwarded (http://127.0.0.1:8082)",
            ),
            (
                "BIDDING_URL",
                "where POST /explain and /forecast are forwarded, with ADMIN_API_KEY (http://127.0.0.1:8081)",
            ),
        ],
    ];

    /// Reads the settings; mistakes stay in `settings` until its `finish`.
    pub fn read(settings: &mut Settings) -> Self {
        let (admin_api_key, admin_key_is_invented) = admin_key(settings);
        Self {
            admin_api_key,
            admin_key_is_invented,
            rate_limit_per_second: settings.parse_within("API_RATE_LIMIT_PER_SECOND", 100, 1..=1_000_000),
            analytics_url: base_url(
                settings,
                "ANALYTICS_URL",
                Uri::from_static("http://127.0.0.1:8082"),
                "http://analytics-service:8080",
            ),
            bidding_url: base_url(
                settings,
                "BIDDING_URL",
                Uri::from_static("http://127.0.0.1:8081"),
                "http://bidding-service:8080",
            ),
            backends: Backends::read(settings, &Self::NEEDED),
        }
    }

    /// The key made up for this run because development had none.
    #[must_use]
    pub fn invented_admin_key(&self) -> Option<&str> {
        self.admin_key_is_invented.then(|| self.admin_api_key.expose())
    }
}

fn admin_key(settings: &mut Settings) -> (Secret, bool) {
    match settings.secret("ADMIN_API_KEY") {
        Some(key) => {
            let is_short = key.expose().len() < SHORTEST_ADMIN_KEY;
            if is_short && !settings.environment().is_development() {
                settings.mistake(
                    "ADMIN_API_KEY",
                    "",
                    "must have at least 16 characters outside development",
                );
            }
            if !key.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                settings.mistake(
                    "ADMIN_API_KEY",
                    "",
                    "must be visible ASCII, since it travels in a header",
                );
            }
            (key, false)
        }
        // Outside development `secret` has noted the mistake, and the made-up key is never used.
        None => match crate::entropy::bits() {
            Ok(bits) => (Secret::new(format!("adm_{bits:032x}")), true),
            Err(_) => {
                settings.mistake(
                    "ADMIN_API_KEY",
                    "",
                    "is needed: this machine gives no random numbers",
                );
                (Secret::new(""), false)
            }
        },
    }
}

/// Of another service, without a path.
fn base_url(settings: &mut Settings, name: &'static str, default: Uri, such_as: &str) -> Uri {
    let url = settings.parse(name, default.clone());
    let is_base = matches!(url.path(), "" | "/") && url.query().is_none();
    if url.scheme_str() == Some("http") && url.authority().is_some() && is_base {
        return url;
    }
    settings.mistake(name, &url, format_args!("expected a base URL such as {such_as}"));
    default
}
