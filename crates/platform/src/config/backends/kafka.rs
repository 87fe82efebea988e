//! `KAFKA_*`.

use std::fmt;
use std::path::PathBuf;

use super::is_address;
use crate::config::{SettingHelp, Settings};

pub(super) const BROKERS: &str = "KAFKA_BROKERS";
const SECURITY_PROTOCOL: &str = "KAFKA_SECURITY_PROTOCOL";
const SASL_MECHANISM: &str = "KAFKA_SASL_MECHANISM";
const SASL_USERNAME: &str = "KAFKA_SASL_USERNAME";
const SASL_PASSWORD: &str = "KAFKA_SASL_PASSWORD";
const CA_FILE: &str = "KAFKA_CA_FILE";

const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

pub(super) const HELP: &[SettingHelp] = &[
    (
        BROKERS,
        "host:port of Kafka, several with commas (in development: none, an embedded file instead)",
    ),
    (
        SECURITY_PROTOCOL,
        "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL (PLAINTEXT)",
    ),
    (
        SASL_MECHANISM,
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (with SASL: PLAIN)",
    ),
    (SASL_USERNAME, "with SASL"),
    (SASL_PASSWORD, "with SASL"),
    (CA_FILE, "certificates (PEM) of who vouches for the brokers"),
];

#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port`, several with commas.
    pub brokers: String,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security_protocol: String,
    pub sasl_mechanism: Option<String>,
    pub sasl_username: Option<String>,
    pub sasl_password: Option<String>,
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("security_protocol", &self.security_protocol)
            .finish_non_exhaustive()
    }
}

pub(super) fn is_named(settings: &mut Settings) -> bool {
    settings.optional(BROKERS).is_some()
}

impl KafkaSettings {
    pub(super) fn read(settings: &mut Settings) -> Option<Self> {
        let Some(brokers) = brokers(settings) else {
            for name in [
                SECURITY_PROTOCOL,
                SASL_MECHANISM,
                SASL_USERNAME,
                SASL_PASSWORD,
                CA_FILE,
            ] {
                if settings.optional(name).is_some() {
                    settings.missing(name, "means nothing without KAFKA_BROKERS");
                }
            }
            return None;
        };
        let security_protocol = one_of(settings, SECURITY_PROTOCOL, &PROTOCOLS).unwrap_or("PLAINTEXT");
        let mechanism = one_of(settings, SASL_MECHANISM, &MECHANISMS);
        let sasl_username = settings.optional(SASL_USERNAME);
        let sasl_password = settings
            .optional_secret(SASL_PASSWORD)
            .map(|password| password.expose().to_owned());
        let ca_file = settings.optional(CA_FILE).map(PathBuf::from);
        let has_sasl = security_protocol.starts_with("SASL");
        for (name, is_given) in [
            (SASL_MECHANISM, mechanism.is_some()),
            (SASL_USERNAME, sasl_username.is_some()),
            (SASL_PASSWORD, sasl_password.is_some()),
        ] {
            if is_given && !has_sasl {
                settings.missing(
                    name,
                    "means nothing unless KAFKA_SECURITY_PROTOCOL is one with SASL",
                );
            } else if has_sasl && !is_given && name != SASL_MECHANISM {
                settings.missing(name, format_args!("required with {security_protocol}"));
            }
        }
        if ca_file.is_some() && !security_protocol.ends_with("SSL") {
            settings.missing(
                CA_FILE,
                "means nothing unless KAFKA_SECURITY_PROTOCOL is SSL or SASL_SSL",
            );
        }
        Some(Self {
            brokers,
            security_protocol: security_protocol.to_owned(),
            sasl_mechanism: has_sasl.then(|| mechanism.unwrap_or("PLAIN").to_owned()),
            sasl_username,
            sasl_password,
            ca_file,
        })
    }
}

fn brokers(settings: &mut Settings) -> Option<String> {
    let brokers = settings.optional(BROKERS)?;
    let all: Vec<&str> = brokers
        .split(',')
        .map(str::trim)
        .filter(|broker| !broker.is_empty())
        .collect();
    let names_port = |broker: &&str| is_address(broker) && !broker.ends_with(']') && broker.contains(':');
    if all.is_empty() || !all.iter().all(names_port) {
        settings.mistake(BROKERS, &brokers, "expected host:port, several with commas");
    }
    Some(all.join(","))
}

/// In upper case, as Kafka spells them.
fn one_of(settings: &mut Settings, name: &str, words: &'static [&'static str]) -> Option<&'static str> {
    let text = settings.optional(name)?;
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(&text));
    if found.is_none() {
        settings.mistake(name, &text, format_args!("expected {}", words.join(", ")));
    }
    found.copied()
}
