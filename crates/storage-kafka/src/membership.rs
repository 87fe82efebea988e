//! Readers that share partitions: a Kafka consumer group that reads and commits nothing.

use crate::link::{Link, Listener};
use async_trait::async_trait;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::StorageError;
use storage::event_log::{Membership, Topic};
use tokio::sync::watch;

/// A member that is gone without a word is missed after this long; Kafka's brokers allow no less.
const SESSION_MS: &str = "6000";
const HEARTBEAT_MS: &str = "1500";
/// How soon a dropped member leaves.
const POLL: Duration = Duration::from_millis(50);

type Assignment = Vec<(Topic, u32)>;
type News = Option<Result<Assignment, String>>;

/// Leaves when dropped.
pub(crate) struct KafkaMembership {
    news: watch::Receiver<News>,
    is_leaving: Arc<AtomicBool>,
}

impl KafkaMembership {
    pub(crate) fn join(
        base: &ClientConfig,
        group: &str,
        topics: Vec<(Topic, String)>,
        link: Arc<Link>,
    ) -> Result<Self, StorageError> {
        let unavailable = |error: &dyn std::fmt::Display| {
            StorageError::Unavailable(format!("kafka: cannot join group {group}: {error}"))
        };
        let (tell, news) = watch::channel(None);
        let names: Vec<String> = topics.iter().map(|(_, name)| name.clone()).collect();
        let member = Member {
            listener: Listener::of_idle(link),
            topics,
            held: Mutex::new(BTreeSet::new()),
            tell,
        };
        let consumer: BaseConsumer<Member> = config(base, group)
            .create_with_context(member)
            .map_err(|error| unavailable(&error))?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(|error| unavailable(&error))?;
        let is_leaving = Arc::new(AtomicBool::new(false));
        let leaving = is_leaving.clone();
        std::thread::Builder::new()
            .name("kafka-member".to_owned())
            .spawn(move || serve(&consumer, &leaving))
            .map_err(|error| unavailable(&error))?;
        Ok(Self { news, is_leaving })
    }
}

#[async_trait]
impl Membership for KafkaMembership {
    async fn assigned(&mut self) -> Result<Assignment, StorageError> {
        let ended = |_| StorageError::Unavailable("kafka: the group has to be joined again".to_owned());
        self.news.changed().await.map_err(ended)?;
        let news = self.news.borrow_and_update().clone();
        match news {
            Some(Ok(assignment)) => Ok(assignment),
            Some(Err(why)) => Err(StorageError::Unavailable(format!("kafka: {why}"))),
            None => Ok(Vec::new()),
        }
    }
}

impl Drop for KafkaMembership {
    fn drop(&mut self) {
        self.is_leaving.store(true, Relaxed);
    }
}

/// Dropping the consumer at the end tells the group, and the others take over at once.
fn serve(consumer: &BaseConsumer<Member>, is_leaving: &AtomicBool) {
    while !is_leaving.load(Relaxed) {
        // Records do not come: the partitions are paused.
        if let Some(Err(error)) = consumer.poll(POLL) {
            if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
                consumer
                    .context()
                    .say(Err(format!("membership failed for good: {error}")));
                return;
            }
            consumer.context().failed(&error);
        }
    }
}

struct Member {
    listener: Listener,
    topics: Vec<(Topic, String)>,
    held: Mutex<BTreeSet<(Topic, u32)>>,
    tell: watch::Sender<News>,
}

impl Member {
    fn say(&self, news: Result<Assignment, String>) {
        self.tell.send_replace(Some(news));
    }

    /// Kafka being away is told by others; what a person has to set right is told to the reader.
    fn failed(&self, error: &KafkaError) {
        match error.rdkafka_error_code() {
            Some(
                Code::GroupAuthorizationFailed
                | Code::TopicAuthorizationFailed
                | Code::UnknownTopicOrPartition,
            ) => {
                self.say(Err(error.to_string()));
            }
            _ => tracing::debug!(%error, "group membership"),
        }
    }

    fn places<'a>(&'a self, list: &'a TopicPartitionList) -> impl Iterator<Item = (Topic, u32)> + 'a {
        list.elements().into_iter().filter_map(|element| {
            let topic = self.topics.iter().find(|(_, name)| name == element.topic());
            Some((topic?.0, u32::try_from(element.partition()).ok()?))
        })
    }

    fn changed(&self, change: impl FnOnce(&mut BTreeSet<(Topic, u32)>)) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut held);
        self.say(Ok(held.iter().copied().collect()));
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.listener.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.listener.error(error, reason);
    }
}

impl ConsumerContext for Member {
    /// The group speaks the cooperative protocol: what is named is added or taken away, the rest stays.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // Nothing is read here: begin at the end, and pause.
            list.set_all_offsets(Offset::End)
                .and_then(|()| consumer.incremental_assign(list))
                .and_then(|()| consumer.pause(list))
                .map(|()| self.changed(|held| held.extend(self.places(list))))
        } else {
            let left = consumer.incremental_unassign(list);
            let gone: BTreeSet<(Topic, u32)> = self.places(list).collect();
            self.changed(|held| held.retain(|place| !gone.contains(place)));
            left
        };
        if let Err(error) = done {
            tracing::warn!(%error, "a change of the group's assignment failed");
        }
    }
}

fn config(base: &ClientConfig, group: &str) -> ClientConfig {
    let mut config = base.clone();
    config
        .set("group.id", group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", SESSION_MS)
        .set("heartbeat.interval.ms", HEARTBEAT_MS)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "latest")
        .set("socket.timeout.ms", "10000");
    config
}
