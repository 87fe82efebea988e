//! What becomes of the records of one append.

use crate::link::{Link, Listener};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use std::sync::atomic::{AtomicU32, Ordering::AcqRel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

pub(crate) type Outcome = Result<(), KafkaError>;

/// Records on their way. Told once all of them are acknowledged or have failed.
pub(crate) struct Delivery {
    /// Records without an answer, and one for as long as records are still being handed over.
    open: AtomicU32,
    told: Mutex<Option<Told>>,
}

struct Told {
    outcome: Outcome,
    to: oneshot::Sender<Outcome>,
    /// The room in the queue, given back when the records are gone from it, whether or not anyone still waits.
    _room: OwnedSemaphorePermit,
}

impl Delivery {
    pub(crate) fn new(room: OwnedSemaphorePermit) -> (Arc<Self>, oneshot::Receiver<Outcome>) {
        let (to, outcome) = oneshot::channel();
        let told = Told {
            outcome: Ok(()),
            to,
            _room: room,
        };
        let delivery = Self {
            open: AtomicU32::new(1),
            told: Mutex::new(Some(told)),
        };
        (Arc::new(delivery), outcome)
    }

    /// Before a record is handed over.
    pub(crate) fn one_more(&self) {
        self.open.fetch_add(1, AcqRel);
    }

    /// A record's answer, or the end of handing over.
    pub(crate) fn answered(&self, outcome: Outcome) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Err(error), Some(told)) = (outcome, told.as_mut()) {
            told.outcome = Err(error);
        }
        if self.open.fetch_sub(1, AcqRel) == 1
            && let Some(told) = told.take()
        {
            // Who waited may be gone.
            let _ = told.to.send(told.outcome);
        }
    }
}

/// The producer's listener.
pub(crate) struct Deliveries {
    link: Arc<Link>,
    listener: Listener,
}

impl Deliveries {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self {
            listener: Listener::of_idle(link.clone()),
            link,
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.listener.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.listener.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Arc<Delivery>) {
        match result {
            Ok(_) => {
                self.link.found();
                delivery.answered(Ok(()));
            }
            Err((error, _)) => delivery.answered(Err(error.clone())),
        }
    }
}
