//! `REDIS_*`.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use super::is_address;
use crate::config::{SettingHelp, Settings};

pub(super) const HOST: &str = "REDIS_HOST";
const PORT: &str = "REDIS_PORT";
const URL: &str = "REDIS_URL";
const CLUSTER: &str = "REDIS_CLUSTER";
const USERNAME: &str = "REDIS_USERNAME";
const PASSWORD: &str = "REDIS_PASSWORD";
const CA_FILE: &str = "REDIS_CA_FILE";
const USERS_URL: &str = "REDIS_USERS_URL";
const USERS_CLUSTER: &str = "REDIS_USERS_CLUSTER";

const EXPECTED_URL: &str = "expected redis://host:port, or rediss:// for TLS, several with commas";

pub(super) const HELP: &[SettingHelp] = &[
    (
        HOST,
        "host of Redis (in development: none, an embedded file instead)",
    ),
    (PORT, "its port (6379)"),
    (
        URL,
        "redis:// or, for TLS, rediss://, several nodes with commas; wins over host and port",
    ),
    (CLUSTER, "whether it is a Cluster (where several nodes are named)"),
    (USERNAME, "where a URL names none"),
    (PASSWORD, "where a URL names none"),
    (
        CA_FILE,
        "certificates (PEM) of who vouches for the servers; a REDIS_HOST then speaks TLS",
    ),
    (
        USERS_URL,
        "user states on a Redis of their own, credentials in the URL (where the ledger is)",
    ),
    (
        USERS_CLUSTER,
        "whether that one is a Cluster (where several nodes are named)",
    ),
];

/// One Redis: a single node, or a Cluster of which some nodes are named.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// Each `host:port`, or a URL, which may hold a password.
    pub nodes: Vec<String>,
    pub cluster: bool,
    /// Where a URL names none.
    pub username: Option<String>,
    pub password: Option<String>,
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("nodes", &self.nodes.len())
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

pub(super) fn is_named(settings: &mut Settings) -> bool {
    settings.optional_secret(URL).is_some() || settings.optional(HOST).is_some()
}

impl RedisSettings {
    /// The name of the backend in logs and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.cluster { "redis cluster" } else { "redis" }
    }

    pub(super) fn read(settings: &mut Settings) -> Option<Self> {
        let ca_file = settings.optional(CA_FILE).map(PathBuf::from);
        let nodes = match nodes(settings, URL, ca_file.is_some()) {
            Some(nodes) => nodes,
            None => vec![host_and_port(settings)?],
        };
        let password = settings.optional_secret(PASSWORD);
        let username = settings.optional(USERNAME);
        if username.is_some() && password.is_none() {
            settings.missing(PASSWORD, "REDIS_USERNAME has none");
        }
        Some(Self {
            cluster: cluster(settings, CLUSTER, &nodes),
            nodes,
            username,
            password: password.map(|password| password.expose().to_owned()),
            ca_file,
        })
    }

    /// `None`: user states are where the ledger is.
    pub(super) fn read_for_users(settings: &mut Settings) -> Option<Self> {
        let ca_file = settings.optional(CA_FILE).map(PathBuf::from);
        let Some(nodes) = nodes(settings, USERS_URL, ca_file.is_some()) else {
            refuse_without(settings, USERS_CLUSTER, USERS_URL);
            return None;
        };
        Some(Self {
            cluster: cluster(settings, USERS_CLUSTER, &nodes),
            nodes,
            username: None,
            password: None,
            ca_file,
        })
    }
}

/// From `REDIS_HOST` and `REDIS_PORT`. What belongs to a Redis and finds none is a mistake.
fn host_and_port(settings: &mut Settings) -> Option<String> {
    let Some(host) = settings.optional(HOST) else {
        for name in [PORT, CLUSTER, USERNAME, PASSWORD] {
            refuse_without(settings, name, "REDIS_HOST or REDIS_URL");
        }
        if settings.optional_secret(USERS_URL).is_none() {
            refuse_without(settings, CA_FILE, "REDIS_HOST or REDIS_URL");
        }
        return None;
    };
    let port = port(settings);
    if host.parse::<Ipv6Addr>().is_ok() {
        return Some(format!("[{host}]:{port}"));
    }
    if host.contains(':') || !is_address(&host) {
        // As a secret: some write a URL here.
        settings.missing(
            HOST,
            "expected a host's name; URLs and several nodes belong to REDIS_URL",
        );
    }
    Some(format!("{host}:{port}"))
}

fn port(settings: &mut Settings) -> u16 {
    if settings.optional(PORT).is_some_and(|port| port.contains("://")) {
        let expected =
            "expected 1 to 65535; Kubernetes sets it for a Service named redis (enableServiceLinks: false)";
        let found = settings.string(PORT, "");
        settings.mistake(PORT, found, expected);
        return 6379;
    }
    settings.parse_within(PORT, 6379, 1..=u16::MAX)
}

/// The nodes of a list of URLs; those without a scheme take scheme and credentials of the first.
fn nodes(settings: &mut Settings, name: &str, has_ca_file: bool) -> Option<Vec<String>> {
    let urls = settings.optional_secret(name)?;
    let mut beginning = String::new();
    let mut nodes = Vec::new();
    for part in urls.expose().split(',').map(str::trim) {
        let url = if part.contains("://") {
            part.to_owned()
        } else {
            format!("{beginning}{part}")
        };
        let Some((scheme, credentials, address)) = taken_apart(&url) else {
            settings.mistake(name, "", EXPECTED_URL);
            continue;
        };
        if !is_address(address) {
            settings.mistake(name, "", EXPECTED_URL);
        }
        if has_ca_file && scheme == "redis" {
            settings.mistake(name, "", "REDIS_CA_FILE is about TLS: expected rediss://");
        }
        if beginning.is_empty() {
            beginning = format!("{scheme}://{credentials}");
        }
        nodes.push(url);
    }
    Some(nodes)
}

/// Scheme, credentials with their `@`, and `host:port`.
fn taken_apart(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "redis" | "rediss"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let (credentials, address) = match authority.rfind('@') {
        Some(at) => authority.split_at(at + 1),
        None => ("", authority),
    };
    Some((scheme, credentials, address))
}

fn cluster(settings: &mut Settings, name: &str, nodes: &[String]) -> bool {
    let is_cluster = settings.bool(name, nodes.len() > 1);
    if !is_cluster && nodes.len() > 1 {
        settings.mistake(name, "false", "several nodes are named: only a Cluster has them");
    }
    is_cluster
}

fn refuse_without(settings: &mut Settings, name: &str, wanted: &str) {
    if settings.optional(name).is_some() {
        settings.missing(name, format_args!("means nothing without {wanted}"));
    }
}
