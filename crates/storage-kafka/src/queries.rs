//! Questions about topics: how many partitions, which offset at a time. librdkafka answers them by blocking, so one
//! thread asks, and questions that wait at the same time are one request for each topic.

use crate::link::{Link, Listener};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use storage::StorageError;
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(3);
/// How often errors and log lines are taken while nothing is asked.
const IDLE_POLL: Duration = Duration::from_secs(1);
/// Between two requests for offsets of a partition that is being given another leader.
const MOVING: Duration = Duration::from_millis(30);
/// Kafka's spelling of "one past the last record" where a time is asked for.
const LATEST: i64 = -1;

type Answer<T> = oneshot::Sender<Result<T, StorageError>>;

enum Question {
    Partitions { topic: String, answer: Answer<u32> },
    Offset(OffsetQuestion),
}

struct OffsetQuestion {
    topic: String,
    partition: i32,
    /// Unix milliseconds, or [`LATEST`].
    at: i64,
    answer: Answer<Option<i64>>,
}

pub(crate) struct Queries {
    config: ClientConfig,
    link: Arc<Link>,
    /// Of the thread, once there is one. It ends with this.
    questions: Mutex<Option<mpsc::Sender<Question>>>,
}

impl Queries {
    pub(crate) fn new(base: &ClientConfig, link: Arc<Link>) -> Self {
        let mut config = base.clone();
        config
            .set("socket.timeout.ms", PATIENCE.as_millis().to_string())
            // Whoever waits for Kafka asks here whether it is back, one connection for all.
            .set("reconnect.backoff.max.ms", "100")
            .set("isolation.level", "read_uncommitted");
        Self {
            config,
            link,
            questions: Mutex::new(None),
        }
    }

    pub(crate) async fn partitions(&self, topic: &str) -> Result<u32, StorageError> {
        let topic = topic.to_owned();
        self.ask(|answer| Question::Partitions { topic, answer }).await
    }

    /// One past the last record.
    pub(crate) async fn end(&self, topic: &str, partition: u32) -> Result<i64, StorageError> {
        let end = self.offset(topic, partition, LATEST).await?;
        end.ok_or_else(|| StorageError::Unavailable(format!("kafka: {topic}/{partition} has no end yet")))
    }

    /// The first record at or after the time, if there is one.
    pub(crate) async fn at(
        &self,
        topic: &str,
        partition: u32,
        at_ms: i64,
    ) -> Result<Option<i64>, StorageError> {
        // Below zero Kafka means other things than times.
        self.offset(topic, partition, at_ms.max(0)).await
    }

    async fn offset(&self, topic: &str, partition: u32, at: i64) -> Result<Option<i64>, StorageError> {
        let partition = number(topic, partition)?;
        let topic = topic.to_owned();
        self.ask(|answer| {
            Question::Offset(OffsetQuestion {
                topic,
                partition,
                at,
                answer,
            })
        })
        .await
    }

    async fn ask<T>(&self, question: impl FnOnce(Answer<T>) -> Question) -> Result<T, StorageError> {
        let (answer, answered) = oneshot::channel();
        let ended = || StorageError::Unavailable("kafka: the thread that asks has ended".to_owned());
        self.questions()?.send(question(answer)).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    fn questions(&self) -> Result<mpsc::Sender<Question>, StorageError> {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(questions) = &*questions {
            return Ok(questions.clone());
        }
        let unavailable = |what: &str| StorageError::Unavailable(format!("kafka: no client: {what}"));
        let consumer = self
            .config
            .create_with_context(Listener::of_idle(self.link.clone()))
            .map_err(|error| unavailable(&error.to_string()))?;
        let (sender, receiver) = mpsc::channel();
        let asker = Asker {
            consumer,
            link: self.link.clone(),
        };
        std::thread::Builder::new()
            .name("kafka-queries".to_owned())
            .spawn(move || asker.run(&receiver))
            .map_err(|error| unavailable(&error.to_string()))?;
        *questions = Some(sender.clone());
        Ok(sender)
    }
}

/// Kafka counts partitions with a signed number.
pub(crate) fn number(topic: &str, partition: u32) -> Result<i32, StorageError> {
    i32::try_from(partition)
        .map_err(|_| StorageError::Conflict(format!("topic {topic} has no partition {partition}")))
}

pub(crate) fn no_such_topic(topic: &str) -> StorageError {
    StorageError::Unavailable(format!("topic {topic} does not exist: run `adplatform topics`"))
}

fn is_moving(error: Option<KafkaError>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.and_then(|error| error.rdkafka_error_code()),
        Some(
            Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::ReplicaNotAvailable
                | Code::OffsetNotAvailable
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
        )
    )
}

struct Asker {
    consumer: BaseConsumer<Listener>,
    link: Arc<Link>,
}

impl Asker {
    fn run(self, questions: &mpsc::Receiver<Question>) {
        loop {
            let first = match questions.recv_timeout(IDLE_POLL) {
                Ok(question) => Some(question),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let waiting = first.into_iter().chain(questions.try_iter());
            self.answer(waiting.collect());
            self.hear();
        }
    }

    /// librdkafka's errors go to the listener; without an assignment there are no records.
    fn hear(&self) {
        while self.consumer.poll(Duration::ZERO).is_some() {}
    }

    /// With the reason, which librdkafka tells apart from the failure.
    fn failure(&self, what: &str, error: &KafkaError) -> StorageError {
        self.hear();
        self.link.failure(what, error)
    }

    fn answer(&self, questions: Vec<Question>) {
        let mut offsets: BTreeMap<String, VecDeque<OffsetQuestion>> = BTreeMap::new();
        let mut partitions: BTreeMap<String, Vec<Answer<u32>>> = BTreeMap::new();
        for question in questions {
            match question {
                Question::Partitions { topic, answer } => partitions.entry(topic).or_default().push(answer),
                Question::Offset(question) => {
                    let topic = question.topic.clone();
                    offsets.entry(topic).or_default().push_back(question);
                }
            }
        }
        for (topic, answers) in partitions {
            let mut found = Some(self.partitions(&topic));
            for answer in answers {
                // Errors cannot be cloned: who comes after the first asks again.
                let found = found.take().unwrap_or_else(|| self.partitions(&topic));
                // Who asked may be gone.
                let _ = answer.send(found);
            }
        }
        for (topic, questions) in offsets {
            self.offsets(&topic, questions);
        }
    }

    fn partitions(&self, topic: &str) -> Result<u32, StorageError> {
        let asked = self.consumer.fetch_metadata(Some(topic), PATIENCE);
        let metadata = asked.map_err(|error| self.failure(&format!("partitions of {topic}"), &error))?;
        self.link.found();
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found {
            Some(found) if !found.partitions().is_empty() => {
                Ok(u32::try_from(found.partitions().len()).unwrap_or(u32::MAX))
            }
            _ => match found.and_then(|found| found.error()) {
                Some(error)
                    if RDKafkaErrorCode::from(error) == RDKafkaErrorCode::TopicAuthorizationFailed =>
                {
                    Err(StorageError::Unavailable(format!(
                        "kafka: this user may not see topic {topic}"
                    )))
                }
                _ => Err(no_such_topic(topic)),
            },
        }
    }

    /// One request names a partition once: what is left goes into the next.
    fn offsets(&self, topic: &str, mut questions: VecDeque<OffsetQuestion>) {
        while !questions.is_empty() {
            let mut now: BTreeMap<(i32, i64), Vec<OffsetQuestion>> = BTreeMap::new();
            let mut later = VecDeque::new();
            for question in questions {
                let (partition, at) = (question.partition, question.at);
                let taken = now.keys().any(|key| key.0 == partition && key.1 != at);
                if taken {
                    later.push_back(question);
                } else {
                    now.entry((partition, at)).or_default().push(question);
                }
            }
            self.request(topic, now);
            questions = later;
        }
    }

    fn request(&self, topic: &str, questions: BTreeMap<(i32, i64), Vec<OffsetQuestion>>) {
        let answers = self.ask_patiently(topic, questions.keys());
        for ((partition, _), waiting) in questions {
            for question in waiting {
                let answer = match &answers {
                    Ok(answers) => self.offset_of(answers, topic, partition),
                    Err(error) => Err(self.failure(&format!("offsets of {topic}"), error)),
                };
                let _ = question.answer.send(answer);
            }
        }
    }

    /// Leaders move, and those of a new topic take a moment.
    fn ask_patiently<'a>(
        &self,
        topic: &str,
        questions: impl Iterator<Item = &'a (i32, i64)> + Clone,
    ) -> Result<TopicPartitionList, KafkaError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answers = self.ask_offsets(topic, questions.clone());
            let is_moving = match &answers {
                Ok(answers) => answers
                    .elements()
                    .iter()
                    .any(|answer| is_moving(answer.error().err())),
                Err(error) => is_moving(Some(error.clone())),
            };
            if !is_moving || Instant::now() > deadline {
                return answers;
            }
            std::thread::sleep(MOVING);
        }
    }

    fn ask_offsets<'a>(
        &self,
        topic: &str,
        questions: impl Iterator<Item = &'a (i32, i64)>,
    ) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, at) in questions {
            list.add_partition_offset(topic, *partition, Offset::from_raw(*at))?;
        }
        self.consumer.offsets_for_times(list, PATIENCE)
    }

    fn offset_of(
        &self,
        answers: &TopicPartitionList,
        topic: &str,
        partition: i32,
    ) -> Result<Option<i64>, StorageError> {
        let what = || format!("offset of {topic}/{partition}");
        let Some(answer) = answers.find_partition(topic, partition) else {
            return Err(StorageError::Unavailable(format!("kafka: {}: no answer", what())));
        };
        answer.error().map_err(|error| self.failure(&what(), &error))?;
        self.link.found();
        match answer.offset() {
            Offset::Offset(offset) => Ok(Some(offset)),
            _ => Ok(None),
        }
    }
}
