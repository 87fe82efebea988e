//! Where the servers are. `sqlx` knows one host a URL; a list of them, as libpq writes it, is taken apart here.

use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;

#[derive(Clone)]
pub struct Settings {
    /// `postgres://user:password@host1:5432,host2:5432/database?sslmode=verify-full`: whichever host is the primary.
    pub database_url: String,
    /// Standbys that answer report queries; without it the primary does.
    pub replica_url: Option<String>,
    /// Connections to the primary, and as many to a replica.
    pub pool_size: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("not a PostgreSQL URL: {0}")]
pub struct UrlError(String);

/// One set of options for each host of the URL, in its order.
pub(crate) fn hosts(url: &str) -> Result<Vec<PgConnectOptions>, UrlError> {
    let (scheme, rest) = url
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "postgres" | "postgresql"))
        .ok_or_else(|| UrlError("it must begin with postgres://".to_owned()))?;
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let (credentials, hosts) = match authority.rfind('@') {
        Some(at) => authority.split_at(at + 1),
        None => ("", authority),
    };
    hosts
        .split(',')
        .map(|host| options(&format!("{scheme}://{credentials}{host}{path}")))
        .collect()
}

fn options(url: &str) -> Result<PgConnectOptions, UrlError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| UrlError(error.to_string()))?;
    // A parameter of the start-up message that poolers refuse, and that integers do not need.
    Ok(options.extra_float_digits(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(url: &str) -> Vec<(String, u16)> {
        let hosts = hosts(url).unwrap();
        hosts
            .iter()
            .map(|one| (one.get_host().to_owned(), one.get_port()))
            .collect()
    }

    #[test]
    fn a_list_of_hosts_shares_the_rest_of_the_url() {
        let url = "postgres://me:p%40ss@a:5433,b:5434/ads?application_name=x";
        assert_eq!(addresses(url), [("a".to_owned(), 5433), ("b".to_owned(), 5434)]);
        for host in hosts(url).unwrap() {
            assert_eq!(host.get_username(), "me");
            assert_eq!(host.get_database(), Some("ads"));
            assert_eq!(host.get_application_name(), Some("x"));
        }
    }

    #[test]
    fn one_host_and_a_socket_are_lists_of_one() {
        assert_eq!(addresses("postgresql://a:1/ads"), [("a".to_owned(), 1)]);
        let socket = hosts("postgres://me@localhost/ads?host=/run/x").unwrap();
        assert_eq!(socket.len(), 1);
        assert_eq!(socket[0].get_socket().unwrap().to_str(), Some("/run/x"));
    }

    #[test]
    fn other_urls_are_refused_without_their_password() {
        for url in ["sqlite:x", "mysql://me:secret@a/b", "postgres://me:secret@a:x/b"] {
            let refused = hosts(url).unwrap_err().to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
