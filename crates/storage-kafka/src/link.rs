//! Whether Kafka is there, told once when it goes and once when it comes back, and librdkafka's own words.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use storage::StorageError;

/// Shared by all clients of one log.
#[derive(Debug, Default)]
pub(crate) struct Link {
    is_away: AtomicBool,
    last_words: Mutex<String>,
}

impl Link {
    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Relaxed)
    }

    /// Something could not be done for want of Kafka.
    pub(crate) fn lost(&self, why: &str) {
        if !self.is_away.swap(true, Relaxed) {
            let last_words = self.last_words();
            tracing::warn!(%why, %last_words, "kafka is away, trying on");
        }
    }

    /// Kafka answered.
    pub(crate) fn found(&self) {
        if self.is_away() && self.is_away.swap(false, Relaxed) {
            self.hear("");
            tracing::info!("kafka is back");
        }
    }

    fn hear(&self, words: &str) {
        let mut last_words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        words.clone_into(&mut last_words);
    }

    fn last_words(&self) -> String {
        let last_words = self.last_words.lock();
        last_words.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The failure of a call, with what librdkafka said last while Kafka is away.
    pub(crate) fn failure(&self, what: &str, error: &KafkaError) -> StorageError {
        if is_absence(error) {
            self.lost(&format!("{what}: {error}"));
        }
        let last_words = if self.is_away() {
            self.last_words()
        } else {
            String::new()
        };
        let sep = if last_words.is_empty() { "" } else { ": " };
        StorageError::Unavailable(format!("kafka: {what}: {error}{sep}{last_words}"))
    }
}

/// Errors that tell of the connection and not of the request.
fn is_absence(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::OperationTimedOut
                | Code::MessageTimedOut
                | Code::RequestTimedOut
                | Code::Resolve
                | Code::Authentication
                | Code::SaslAuthenticationFailed
        )
    )
}

/// Takes librdkafka's log lines and errors of one client.
pub(crate) struct Listener {
    link: Arc<Link>,
    /// A client that always waits for an answer knows that Kafka is away when all connections are lost; one at rest
    /// loses them to the broker's limit of idle time.
    is_never_idle: bool,
}

impl Listener {
    pub(crate) fn of_busy(link: Arc<Link>) -> Self {
        Self {
            link,
            is_never_idle: true,
        }
    }

    pub(crate) fn of_idle(link: Arc<Link>) -> Self {
        Self {
            link,
            is_never_idle: false,
        }
    }
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        // While a broker is away they are many and all alike: the link tells it once.
        tracing::debug!(target: "librdkafka", ?level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                if self.is_never_idle {
                    self.link.lost("all brokers are down");
                }
            }
            Some(RDKafkaErrorCode::Fatal) => tracing::error!(reason, "a kafka client failed for good"),
            _ => {
                self.link.hear(reason);
                tracing::debug!(target: "librdkafka", %error, reason);
            }
        }
    }
}

impl ConsumerContext for Listener {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_the_connection_tell_that_kafka_is_away() {
        let link = Link::default();
        link.failure(
            "ask",
            &KafkaError::MetadataFetch(RDKafkaErrorCode::TopicAuthorizationFailed),
        );
        assert!(!link.is_away());
        link.hear("connection refused");
        let error = link.failure(
            "ask",
            &KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut),
        );
        assert!(link.is_away());
        assert!(error.to_string().contains("connection refused"), "{error}");
        link.found();
        assert!(!link.is_away());
    }
}
