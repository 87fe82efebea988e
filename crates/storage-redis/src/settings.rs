//! Where Redis is, and how to be let in.

use crate::topology::Address;
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use std::path::PathBuf;
use std::time::Duration;

const DEFAULT_PORT: u16 = 6379;
/// What was sent and is not even received: the machine is gone, or the way to it.
const UNRECEIVED_WITHIN: Duration = Duration::from_secs(2);

/// Of one Redis: a single node, or a Cluster of which some nodes are named.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Each `host:port`, or a URL that begins with `redis://` or, for TLS, `rediss://`.
    pub nodes: Vec<String>,
    pub cluster: bool,
    /// Where a URL names none.
    pub username: Option<String>,
    pub password: Option<String>,
    /// Certificates (PEM) of who may vouch for the servers, instead of the machine's own. With it a bare `host:port`
    /// means TLS.
    pub ca_file: Option<PathBuf>,
}

/// Found before anything is connected to.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("no address of redis is given")]
    NoNode,
    #[error("several addresses of redis are given, but no cluster is")]
    NoCluster,
    /// Says which by its number, since a URL may hold a password.
    #[error("address {number} of redis cannot be read: {reason}")]
    Address { number: usize, reason: String },
    #[error("the certificates in {path} cannot be read: {reason}")]
    Certificates { path: PathBuf, reason: String },
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("nodes", &self.nodes.len())
            .field("cluster", &self.cluster)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// How to reach each node, credentials and certificates included. Never empty.
    pub(crate) fn connection_infos(&self) -> Result<Vec<ConnectionInfo>, SettingsError> {
        if self.nodes.is_empty() {
            return Err(SettingsError::NoNode);
        }
        if self.nodes.len() > 1 && !self.cluster {
            return Err(SettingsError::NoCluster);
        }
        let certificates = self.certificates()?;
        let infos = self.nodes.iter().enumerate().map(|(index, node)| {
            self.connection_info(node, certificates.as_ref())
                .map_err(|reason| SettingsError::Address {
                    number: index + 1,
                    reason,
                })
        });
        infos.collect()
    }

    /// `None`: the machine's own certificates hold.
    pub(crate) fn certificates(&self) -> Result<Option<TlsCertificates>, SettingsError> {
        let Some(path) = &self.ca_file else {
            return Ok(None);
        };
        let root_cert = std::fs::read(path).map_err(|error| SettingsError::Certificates {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        Ok(Some(TlsCertificates {
            client_tls: None,
            root_cert: Some(root_cert),
        }))
    }

    fn connection_info(
        &self,
        node: &str,
        certificates: Option<&TlsCertificates>,
    ) -> Result<ConnectionInfo, String> {
        let info = if node.contains("://") {
            node.into_connection_info().map_err(|error| error.to_string())?
        } else {
            let (host, port) = host_and_port(node).ok_or("neither host:port nor a URL")?;
            let addr = if self.ca_file.is_some() {
                tls_address(host, port)
            } else {
                ConnectionAddr::Tcp(host, port)
            };
            addr.into_connection_info().map_err(|error| error.to_string())?
        };
        let mut redis = info.redis_settings().clone();
        if let (None, Some(password)) = (redis.password(), &self.password) {
            redis = redis.set_password(password);
            if let Some(username) = &self.username {
                redis = redis.set_username(username);
            }
        }
        let info = info.set_redis_settings(redis);
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Ok(info);
        }
        choose_cryptography();
        let Some(certificates) = certificates else {
            return Ok(info);
        };
        let client = Client::build_with_tls(info, certificates.clone()).map_err(|error| error.to_string())?;
        Ok(client.get_connection_info().clone())
    }
}

/// Of every connection: small commands go out at once, and a way that swallows them is found out.
pub(crate) fn tcp() -> TcpSettings {
    TcpSettings::default()
        .set_nodelay(true)
        .set_user_timeout(UNRECEIVED_WITHIN)
}

pub(crate) fn address(info: &ConnectionInfo) -> Option<Address> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some(Address {
            host: host.clone(),
            port: *port,
        }),
        _ => None,
    }
}

/// Another server of the same Redis, reached as `info` is.
pub(crate) fn at(info: &ConnectionInfo, address: &Address) -> ConnectionInfo {
    let (host, port) = (address.host.clone(), address.port);
    let addr = match info.addr() {
        ConnectionAddr::TcpTls {
            insecure, tls_params, ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(addr)
}

/// Another part of the process may have chosen before: then that one holds.
fn choose_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn tls_address(host: String, port: u16) -> ConnectionAddr {
    ConnectionAddr::TcpTls {
        host,
        port,
        insecure: false,
        tls_params: None,
    }
}

/// `[::1]:6379`, `host:6379`, `host`.
fn host_and_port(node: &str) -> Option<(String, u16)> {
    let (host, port) = match node.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (node, DEFAULT_PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(nodes: &[&str]) -> Settings {
        Settings {
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            cluster: nodes.len() > 1,
            username: None,
            password: Some("secret".to_owned()),
            ca_file: None,
        }
    }

    #[test]
    fn addresses_are_read_in_every_form() {
        let infos = settings(&["redis-0", "[::1]:7000", "redis://me:mine@a:1", "rediss://b"])
            .connection_infos()
            .unwrap();
        let found: Vec<String> = infos.iter().map(|info| info.addr().to_string()).collect();
        assert_eq!(found, ["redis-0:6379", "::1:7000", "a:1", "b:6379"]);
        let passwords: Vec<_> = infos
            .iter()
            .map(|info| info.redis_settings().password())
            .collect();
        let (given, own) = (Some("secret"), Some("mine"));
        assert_eq!(passwords, [given, given, own, given]);
        assert!(matches!(infos[3].addr(), ConnectionAddr::TcpTls { .. }));
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_its_password() {
        for nodes in [
            &[][..],
            &["redis://me:secret@a:port"],
            &["a:port"],
            &[":1"],
            &["http://me:secret@a"],
        ] {
            let refused = settings(nodes).connection_infos().unwrap_err().to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
        let several = Settings {
            cluster: false,
            ..settings(&["a", "b"])
        };
        assert!(matches!(
            several.connection_infos(),
            Err(SettingsError::NoCluster)
        ));
        assert!(!format!("{several:?}").contains("secret"));
    }
}
