//! Where the cluster is and how to log in to it.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use std::fmt;
use std::path::PathBuf;

/// Whether TLS and SCRAM are compiled in.
const HAS_TLS: bool = cfg!(feature = "kafka-tls");
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

#[derive(Clone, Default)]
pub struct Settings {
    /// `host:port`, several with commas.
    pub brokers: String,
    /// PLAINTEXT (when absent), SSL, SASL_PLAINTEXT or SASL_SSL.
    pub security_protocol: Option<String>,
    /// PLAIN (when absent), SCRAM-SHA-256 or SCRAM-SHA-512.
    pub sasl_mechanism: Option<String>,
    pub sasl_username: Option<String>,
    pub sasl_password: Option<String>,
    /// Certificates (PEM) that the brokers' must be signed by; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// Put before every name of a topic and a group, so that several platforms can share a cluster; usually empty.
    pub topic_prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("brokers must be host:port, several with commas, not {0:?}")]
    Brokers(String),
    #[error("security protocol must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, not {0:?}")]
    Protocol(String),
    #[error("SASL mechanism must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, not {0:?}")]
    Mechanism(String),
    #[error("security protocol {0} needs a SASL user name and a password")]
    NoAccount(String),
    #[error("{what} is set, and security protocol {protocol} does not use it")]
    Unused { what: &'static str, protocol: String },
    #[error("{0} needs a program built with the feature kafka-tls")]
    NotCompiled(String),
    #[error("topic prefix {0:?} has other characters than letters, digits, '.', '_' and '-'")]
    Prefix(String),
    #[error("refused by librdkafka: {0}")]
    Refused(String),
}

/// Without the password.
impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.sasl_password.as_ref().map(|_| "(hidden)");
        formatter
            .debug_struct("Settings")
            .field("brokers", &self.brokers)
            .field("security_protocol", &self.security_protocol)
            .field("sasl_mechanism", &self.sasl_mechanism)
            .field("sasl_username", &self.sasl_username)
            .field("sasl_password", &hidden)
            .field("ca_file", &self.ca_file)
            .field("topic_prefix", &self.topic_prefix)
            .finish()
    }
}

impl Settings {
    /// What every client of the cluster has in common.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, SettingsError> {
        self.check_names()?;
        let protocol = given(self.security_protocol.as_ref())
            .unwrap_or("PLAINTEXT")
            .to_ascii_uppercase();
        let (encrypted, authenticated) = match protocol.as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            _ => return Err(SettingsError::Protocol(protocol)),
        };
        if encrypted && !HAS_TLS {
            return Err(SettingsError::NotCompiled(format!(
                "security protocol {protocol}"
            )));
        }
        let mut config = ClientConfig::new();
        config
            .set_log_level(RDKafkaLogLevel::Warning)
            .set("bootstrap.servers", self.brokers.trim())
            .set("client.id", "adplatform")
            .set("security.protocol", &protocol)
            .set("allow.auto.create.topics", "false")
            .set("log.connection.close", "false")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .set("socket.connection.setup.timeout.ms", "3000")
            // Whoever found no broker for this long looks for all of them anew: a client was seen that knew for minutes only
            // where its broker had been.
            .set("metadata.recovery.rebootstrap.trigger.ms", "10000")
            .set("socket.keepalive.enable", "true")
            .set("topic.metadata.refresh.interval.ms", "60000");
        self.log_in(&mut config, &protocol, authenticated)?;
        self.encrypt(&mut config, &protocol, encrypted)?;
        Ok(config)
    }

    fn check_names(&self) -> Result<(), SettingsError> {
        let is_address = |broker: &str| {
            broker.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && !host.contains('/') && port.parse().is_ok_and(|port: u16| port > 0)
            })
        };
        if !self.brokers.split(',').all(|broker| is_address(broker.trim())) {
            return Err(SettingsError::Brokers(self.brokers.clone()));
        }
        let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !self.topic_prefix.chars().all(is_legal) {
            return Err(SettingsError::Prefix(self.topic_prefix.clone()));
        }
        Ok(())
    }

    fn log_in(&self, config: &mut ClientConfig, protocol: &str, needed: bool) -> Result<(), SettingsError> {
        let (mechanism, name, password) = (
            given(self.sasl_mechanism.as_ref()),
            given(self.sasl_username.as_ref()),
            given(self.sasl_password.as_ref()),
        );
        if !needed {
            let unused = [
                (mechanism, "a SASL mechanism"),
                (name, "a SASL user name"),
                (password, "a SASL password"),
            ];
            return match unused.into_iter().find(|(setting, _)| setting.is_some()) {
                Some((_, what)) => Err(unused_by(protocol, what)),
                None => Ok(()),
            };
        }
        let mechanism = mechanism.unwrap_or("PLAIN").to_ascii_uppercase();
        if !MECHANISMS.contains(&mechanism.as_str()) {
            return Err(SettingsError::Mechanism(mechanism));
        }
        // librdkafka takes SCRAM's hashes from OpenSSL.
        if mechanism != "PLAIN" && !HAS_TLS {
            return Err(SettingsError::NotCompiled(format!("SASL mechanism {mechanism}")));
        }
        let (Some(name), Some(password)) = (name, password) else {
            return Err(SettingsError::NoAccount(protocol.to_owned()));
        };
        config
            .set("sasl.mechanisms", mechanism)
            .set("sasl.username", name)
            .set("sasl.password", password);
        Ok(())
    }

    fn encrypt(&self, config: &mut ClientConfig, protocol: &str, needed: bool) -> Result<(), SettingsError> {
        match (&self.ca_file, needed) {
            (None, false) => {}
            (Some(_), false) => return Err(unused_by(protocol, "a file of certificates")),
            // OpenSSL is linked in and knows no folder of this system: look in the usual places.
            (None, true) => {
                config.set("ssl.ca.location", "probe");
            }
            (Some(file), true) => {
                config.set("ssl.ca.location", file.display().to_string());
            }
        }
        Ok(())
    }
}

/// Manifests set what they do not use to nothing.
fn given(setting: Option<&String>) -> Option<&str> {
    setting.map(|text| text.as_str()).filter(|text| !text.is_empty())
}

fn unused_by(protocol: &str, what: &'static str) -> SettingsError {
    SettingsError::Unused {
        what,
        protocol: protocol.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl Fn(&mut Settings)) -> Settings {
        let mut settings = Settings {
            brokers: "kafka-0:9092, kafka-1:9092".to_owned(),
            ..Settings::default()
        };
        change(&mut settings);
        settings
    }

    fn refusal(change: impl Fn(&mut Settings)) -> Option<SettingsError> {
        settings(change).client_config().err()
    }

    fn text(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn brokers_are_addresses() {
        assert_eq!(refusal(|_| {}), None);
        assert_eq!(
            refusal(|settings| settings.brokers = "[::1]:9092".to_owned()),
            None
        );
        for wrong in [
            "",
            "kafka",
            "kafka:",
            ":9092",
            "kafka:0",
            "kafka:9092,",
            "http://kafka:9092/",
        ] {
            let refused = refusal(|settings| settings.brokers = wrong.to_owned());
            assert_eq!(refused, Some(SettingsError::Brokers(wrong.to_owned())));
        }
    }

    #[test]
    fn a_prefix_is_part_of_a_topics_name() {
        let refused = refusal(|settings| settings.topic_prefix = "a b".to_owned());
        assert_eq!(refused, Some(SettingsError::Prefix("a b".to_owned())));
    }

    #[test]
    fn who_logs_in_needs_a_name_and_a_password() {
        let sasl = |settings: &mut Settings| settings.security_protocol = text("sasl_plaintext");
        let refused = Some(SettingsError::NoAccount("SASL_PLAINTEXT".to_owned()));
        assert_eq!(refusal(sasl), refused);
        assert_eq!(
            refusal(|settings| {
                sasl(settings);
                settings.sasl_username = text("alice");
            }),
            refused
        );
        let complete = settings(|settings| {
            sasl(settings);
            settings.sasl_username = text("alice");
            settings.sasl_password = text("quiet-secret");
        });
        let config = complete.client_config().unwrap();
        assert_eq!(config.get("sasl.mechanisms"), Some("PLAIN"));
        assert!(!format!("{complete:?}").contains("quiet-secret"));
    }

    #[test]
    fn what_a_protocol_does_not_use_is_a_mistake() {
        let refused = refusal(|settings| settings.sasl_password = text("x"));
        assert_eq!(refused, Some(unused_by("PLAINTEXT", "a SASL password")));
        let refused = refusal(|settings| settings.ca_file = Some("ca.pem".into()));
        assert_eq!(refused, Some(unused_by("PLAINTEXT", "a file of certificates")));
        let nothing = |settings: &mut Settings| settings.sasl_password = text("");
        assert_eq!(refusal(nothing), None);
    }

    #[test]
    fn encryption_without_the_feature_is_refused_by_its_name() {
        let refusals = [
            refusal(|settings| settings.security_protocol = text("SSL")),
            refusal(|settings| {
                settings.security_protocol = text("SASL_PLAINTEXT");
                settings.sasl_mechanism = text("scram-sha-512");
                settings.sasl_username = text("alice");
                settings.sasl_password = text("secret");
            }),
        ];
        for refused in refusals {
            let names_it = refused.map(|error| error.to_string().contains("kafka-tls"));
            assert_eq!(names_it, (!HAS_TLS).then_some(true));
        }
    }

    #[test]
    fn an_unknown_word_is_refused() {
        let refused = refusal(|settings| settings.security_protocol = text("TLS"));
        assert_eq!(refused, Some(SettingsError::Protocol("TLS".to_owned())));
        let refused = refusal(|settings| {
            settings.security_protocol = text("SASL_PLAINTEXT");
            settings.sasl_mechanism = text("GSSAPI");
        });
        assert_eq!(refused, Some(SettingsError::Mechanism("GSSAPI".to_owned())));
    }
}
