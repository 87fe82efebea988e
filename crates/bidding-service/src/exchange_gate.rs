//! Whether a request may be taken for its exchange's own, and whether it comes too fast.
//!
//! Whoever may post a request receives signed notice URLs. So every proof that an exchange is set to (networks,
//! secret header, secret path) must hold, and outside development one without any is refused.

use crate::metrics::ExchangeMetrics;
use axum::http::{HeaderMap, HeaderName};
use domain::exchange::ExchangeSpec;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use subtle::ConstantTimeEq;

/// What a request shows for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proof<'a> {
    /// The other end of the connection.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) headers: &'a HeaderMap,
    /// The last segment of the URL, if it has one more than needed.
    pub(crate) secret_path: Option<&'a str>,
}

/// One exchange at the door.
#[derive(Debug)]
pub(crate) struct ExchangeGate {
    networks: Vec<Network>,
    has_networks: bool,
    header: Option<(HeaderName, [u8; 32])>,
    path: Option<[u8; 32]>,
    /// Set to a proof that cannot be read: no request can give it.
    is_shut: bool,
    needs_proof: bool,
    pub(crate) limit: Option<Arc<RateLimit>>,
    pub(crate) metrics: ExchangeMetrics,
}

impl ExchangeGate {
    /// `previous` is the gate it replaces: its count of recent requests goes on.
    pub(crate) fn new(
        spec: &ExchangeSpec,
        needs_proof: bool,
        metrics: ExchangeMetrics,
        previous: Option<&Self>,
    ) -> Self {
        let header = spec.secret_header.as_ref().map(|secret| {
            let name = HeaderName::try_from(secret.name.as_str()).ok()?;
            Some((name, digest_of_hex(&secret.sha256)?))
        });
        let path = spec.secret_path_sha256.as_deref().map(digest_of_hex);
        let limit = spec.qps_limit.map(|qps| {
            previous
                .and_then(|gate| gate.limit.clone())
                .filter(|limit| limit.qps == qps)
                .unwrap_or_else(|| Arc::new(RateLimit::new(qps)))
        });
        Self {
            networks: spec
                .allowed_networks
                .iter()
                .filter_map(|text| Network::parse(text))
                .collect(),
            has_networks: !spec.allowed_networks.is_empty(),
            is_shut: header == Some(None) || path == Some(None),
            header: header.flatten(),
            path: path.flatten(),
            needs_proof,
            limit,
            metrics,
        }
    }

    pub(crate) fn admits(&self, proof: Proof<'_>) -> bool {
        let proves_something = self.has_networks || self.header.is_some() || self.path.is_some();
        !self.is_shut
            && (proves_something || !self.needs_proof)
            && self.admits_peer(proof.peer)
            && self.header.as_ref().is_none_or(|(name, digest)| {
                proof
                    .headers
                    .get(name)
                    .is_some_and(|value| is_secret(value.as_bytes(), digest))
            })
            && self.path.as_ref().is_none_or(|digest| {
                proof
                    .secret_path
                    .is_some_and(|segment| is_secret(segment.as_bytes(), digest))
            })
    }

    fn admits_peer(&self, peer: Option<IpAddr>) -> bool {
        !self.has_networks
            || peer.is_some_and(|peer| {
                self.networks
                    .iter()
                    .any(|network| network.contains(peer.to_canonical()))
            })
    }
}

fn is_secret(presented: &[u8], digest: &[u8; 32]) -> bool {
    Sha256::digest(presented).as_slice().ct_eq(digest).into()
}

fn digest_of_hex(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(digest)
}

/// `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = prefix.map_or(Some(bits), |prefix| prefix.trim().parse().ok())?;
        (prefix_bits <= bits).then_some(Self { address, prefix_bits })
    }

    fn contains(self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.prefix_bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.prefix_bits
            }
            _ => false,
        }
    }
}

/// Requests a second, of this process alone, with bursts of up to a tenth of a second's worth.
///
/// The generic cell rate algorithm: one number says when the next request would be due at a steady rate.
#[derive(Debug)]
pub(crate) struct RateLimit {
    qps: i64,
    due_micros: AtomicI64,
}

impl RateLimit {
    const BURST_MICROS: i64 = 100_000;

    fn new(qps: i64) -> Self {
        Self {
            qps,
            due_micros: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn admits(&self, monotonic_ms: i64) -> bool {
        let Some(interval_micros) = 1_000_000_i64.checked_div(self.qps).filter(|_| self.qps > 0) else {
            return false;
        };
        let now_micros = monotonic_ms.saturating_mul(1_000);
        self.due_micros
            .try_update(Ordering::AcqRel, Ordering::Acquire, |due| {
                let due = due.max(now_micros);
                // The first of a burst always passes, however slow the rate.
                (due == now_micros || due - now_micros <= Self::BURST_MICROS - interval_micros)
                    .then(|| due.saturating_add(interval_micros))
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::exchange::SecretHeader;

    fn hex(secret: &str) -> String {
        Sha256::digest(secret.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn gate(spec: ExchangeSpec, needs_proof: bool) -> ExchangeGate {
        let registry = platform::Metrics::new("test").unwrap();
        let metrics = crate::metrics::BiddingMetrics::register(&registry).unwrap();
        ExchangeGate::new(&spec, needs_proof, metrics.bids.of_exchange("x"), None)
    }

    fn admits(gate: &ExchangeGate, peer: &str, headers: &HeaderMap, secret_path: Option<&str>) -> bool {
        gate.admits(Proof {
            peer: Some(peer.parse().unwrap()),
            headers,
            secret_path,
        })
    }

    #[test]
    fn an_exchange_without_any_proof_is_open_in_development_alone() {
        let none = HeaderMap::new();
        assert!(admits(
            &gate(ExchangeSpec::default(), false),
            "192.0.2.1",
            &none,
            None
        ));
        assert!(!admits(
            &gate(ExchangeSpec::default(), true),
            "192.0.2.1",
            &none,
            None
        ));
    }

    #[test]
    fn only_the_allowed_networks_pass() {
        let spec = ExchangeSpec {
            allowed_networks: vec![
                "192.0.2.0/25".into(),
                "2001:db8::/33".into(),
                "203.0.113.7".into(),
            ],
            ..ExchangeSpec::default()
        };
        let gate = gate(spec, true);
        for (peer, expected) in [
            ("192.0.2.127", true),
            ("192.0.2.128", false),
            ("::ffff:192.0.2.1", true),
            ("2001:db8:7fff::1", true),
            ("2001:db8:8000::1", false),
            ("203.0.113.7", true),
            ("203.0.113.8", false),
        ] {
            assert_eq!(admits(&gate, peer, &HeaderMap::new(), None), expected, "{peer}");
        }
    }

    #[test]
    fn a_network_that_cannot_be_read_lets_nobody_in() {
        for text in ["", "192.0.2.0/33", "example.com", "192.0.2.0/-1"] {
            let spec = ExchangeSpec {
                allowed_networks: vec![text.into()],
                ..ExchangeSpec::default()
            };
            assert!(
                !admits(&gate(spec, false), "192.0.2.1", &HeaderMap::new(), None),
                "{text}"
            );
        }
    }

    #[test]
    fn every_proof_that_is_set_must_hold() {
        let spec = ExchangeSpec {
            secret_header: Some(SecretHeader {
                name: "x-token".into(),
                sha256: hex("h"),
            }),
            secret_path_sha256: Some(hex("p")),
            ..ExchangeSpec::default()
        };
        let gate = gate(spec, true);
        let with = |value: &str| {
            HeaderMap::from_iter([(HeaderName::from_static("x-token"), value.parse().unwrap())])
        };
        assert!(admits(&gate, "::1", &with("h"), Some("p")));
        assert!(!admits(&gate, "::1", &with("wrong"), Some("p")));
        assert!(!admits(&gate, "::1", &HeaderMap::new(), Some("p")));
        assert!(!admits(&gate, "::1", &with("h"), Some("wrong")));
        assert!(!admits(&gate, "::1", &with("h"), None));
    }

    #[test]
    fn a_secret_that_cannot_be_read_shuts_the_gate() {
        let spec = ExchangeSpec {
            secret_path_sha256: Some("no hex".into()),
            ..ExchangeSpec::default()
        };
        assert!(!admits(&gate(spec, false), "::1", &HeaderMap::new(), None));
    }

    #[test]
    fn the_limit_holds_over_a_second_and_lets_the_next_one_in() {
        let limit = RateLimit::new(100);
        let admitted = (0..1_000).filter(|ms| limit.admits(*ms)).count();
        assert!((100..=111).contains(&admitted), "{admitted}");
        assert!(limit.admits(2_000));
        assert!(!RateLimit::new(0).admits(0));
        let slow = RateLimit::new(1);
        assert_eq!(
            (slow.admits(0), slow.admits(999), slow.admits(1_000)),
            (true, false, true)
        );
    }
}
