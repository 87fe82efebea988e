//! The topics as the platform needs them: made where absent, corrected where they differ.

use crate::append::MESSAGE_BYTES;
use crate::kafka_log::KafkaLog;
use crate::link::Listener;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewPartitions, NewTopic,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use storage::StorageError;
use storage::event_log::Topic;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(30);
const METADATA_PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
const MINUTE_MS: u128 = 60 * 1_000;
/// Since Kafka 3.6; older brokers take any time.
const LATEST_TIME: &str = "message.timestamp.after.max.ms";

/// What became of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicChange {
    pub topic: String,
    pub state: TopicState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicState {
    Created {
        partitions: u32,
    },
    /// It was there, with everything as it should be.
    Unchanged,
    Corrected {
        /// Before and after, where it had fewer.
        partitions: Option<(u32, u32)>,
        /// Name, value before, value after.
        settings: Vec<(String, Option<String>, String)>,
    },
    /// Records of a compacted topic would have their key in two partitions, an old and a new one, and the old would never
    /// go. Such a topic is made anew: by hand, with its writers stopped.
    TooFewPartitions {
        partitions: u32,
        wanted: u32,
    },
}

impl TopicChange {
    fn grown(&self) -> Option<(String, u32)> {
        match &self.state {
            TopicState::Corrected {
                partitions: Some((_, to)),
                ..
            } => Some((self.topic.clone(), *to)),
            _ => None,
        }
    }
}

impl fmt::Display for TopicChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.topic)?;
        match &self.state {
            TopicState::Created { partitions } => write!(formatter, "created with {partitions} partitions"),
            TopicState::Unchanged => write!(formatter, "as it should be"),
            TopicState::TooFewPartitions { partitions, wanted } => write!(
                formatter,
                "has {partitions} partitions instead of {wanted}, holds records and is compacted, so it was left as it is"
            ),
            TopicState::Corrected { partitions, settings } => {
                let grown = partitions.map(|(from, to)| format!("partitions {from} -> {to}"));
                let changed = settings.iter().map(|(name, from, to)| {
                    format!("{name} {} -> {to}", from.as_deref().unwrap_or("(unset)"))
                });
                let all: Vec<String> = grown.into_iter().chain(changed).collect();
                write!(formatter, "corrected: {}", all.join(", "))
            }
        }
    }
}

/// As many as the contract says.
#[must_use]
pub fn partitions_of(topic: Topic) -> u32 {
    match topic {
        // Every process says how it is once a second, for one live view.
        Topic::Status => 1,
        Topic::Diagnosis => 6,
        topic if topic.is_compacted() => 6,
        _ => 24,
    }
}

fn settings_of(topic: Topic, min_insync: u32) -> BTreeMap<&'static str, String> {
    let mut settings = BTreeMap::from([
        ("min.insync.replicas", min_insync.to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
        ("compression.type", "producer".to_owned()),
        ("max.message.bytes", MESSAGE_BYTES.to_owned()),
        // A record's time is its producer's: where records begin that are younger than an instant.
        ("message.timestamp.type", "CreateTime".to_owned()),
        // A money event of a machine whose clock is ahead must not be refused.
        (LATEST_TIME, i64::MAX.to_string()),
        ("retention.bytes", "-1".to_owned()),
    ]);
    let of_kind = match topic.retention() {
        None => [
            ("cleanup.policy", "compact".to_owned()),
            ("retention.ms", "-1".to_owned()),
            // Only what is in closed segments is compacted, and a bidder's start reads all that is not.
            ("segment.ms", (60 * MINUTE_MS).to_string()),
            ("min.cleanable.dirty.ratio", "0.1".to_owned()),
            // How long a tombstone stays, for readers that are behind to see it.
            ("delete.retention.ms", (24 * 60 * MINUTE_MS).to_string()),
        ],
        Some(retention) => [
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", retention.as_millis().to_string()),
            // Whole segments go: so fine that little is kept for longer.
            ("segment.ms", (retention.as_millis() / 24).to_string()),
            // Kafka's own, named so that a topic that was compacted once is corrected.
            ("min.cleanable.dirty.ratio", "0.5".to_owned()),
            ("delete.retention.ms", (24 * 60 * MINUTE_MS).to_string()),
        ],
    };
    settings.extend(of_kind);
    settings
}

struct Wanted {
    name: String,
    partitions: u32,
    settings: BTreeMap<&'static str, String>,
}

impl Wanted {
    fn as_new(&self, replication_factor: u32) -> NewTopic<'_> {
        let number = |of: u32| i32::try_from(of).unwrap_or(i32::MAX);
        let replication = TopicReplication::Fixed(number(replication_factor));
        let new = NewTopic::new(&self.name, number(self.partitions), replication);
        let settings = self.settings.iter();
        settings.fold(new, |new, (setting, value)| new.set(setting, value))
    }
}

impl KafkaLog {
    /// Makes every topic of the platform that is absent, gives the others the settings and (where they have fewer) the
    /// partitions that they should have, and says what it did. Safe to run again, and by several at once. What else an
    /// operator set on a topic stays, and so does the replication factor of a topic that is there.
    ///
    /// # Errors
    /// `Conflict` where the two numbers do not fit each other or the cluster, `Unavailable` else.
    pub async fn create_topics(
        &self,
        replication_factor: u32,
        min_insync: u32,
    ) -> Result<Vec<TopicChange>, StorageError> {
        if min_insync == 0 || replication_factor < min_insync {
            return Err(StorageError::Conflict(format!(
                "{min_insync} in-sync replicas cannot be asked of {replication_factor}"
            )));
        }
        let admin = Admin::new(self)?;
        let found = admin.found().await?;
        let absent = Topic::ALL
            .into_iter()
            .filter(|topic| !found.contains_key(&self.name(*topic)));
        let absent = absent.map(|topic| Wanted {
            name: self.name(topic),
            partitions: partitions_of(topic),
            settings: settings_of(topic, min_insync),
        });
        let created = admin.create(absent.collect(), replication_factor).await?;
        let found = admin
            .found_with(&Topic::ALL.map(|topic| (self.name(topic), 1)))
            .await?;
        let mut changes = Vec::new();
        for topic in Topic::ALL {
            let name = self.name(topic);
            let partitions = found.get(&name).copied().unwrap_or_default();
            let state = if created.contains(&name) {
                TopicState::Created { partitions }
            } else {
                self.correct(&admin, topic, partitions, min_insync).await?
            };
            changes.push(TopicChange { topic: name, state });
        }
        // Who runs next may rely on what was made.
        let grown = changes.iter().filter_map(TopicChange::grown);
        admin.found_with(&grown.collect::<Vec<_>>()).await?;
        for topic in Topic::ALL {
            if created.contains(&self.name(topic)) {
                self.until_it_is_led(topic).await?;
            }
        }
        Ok(changes)
    }

    async fn correct(
        &self,
        admin: &Admin,
        topic: Topic,
        partitions: u32,
        min_insync: u32,
    ) -> Result<TopicState, StorageError> {
        let name = self.name(topic);
        let wanted = partitions_of(topic);
        let changed = admin
            .correct_settings(&name, settings_of(topic, min_insync))
            .await?;
        let may_grow =
            partitions < wanted && (!topic.is_compacted() || self.is_empty(topic, partitions).await?);
        let grown = may_grow.then_some((partitions, wanted));
        if grown.is_some() {
            admin.grow(&name, wanted).await?;
        }
        Ok(match (grown, changed.is_empty()) {
            (None, _) if partitions < wanted => TopicState::TooFewPartitions { partitions, wanted },
            (None, true) => TopicState::Unchanged,
            (partitions, _) => TopicState::Corrected {
                partitions,
                settings: changed,
            },
        })
    }

    /// A new partition is known a moment before a broker serves it.
    async fn until_it_is_led(&self, topic: Topic) -> Result<(), StorageError> {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.ends(topic).await {
            if Instant::now() > deadline {
                return Err(error);
            }
        }
        Ok(())
    }

    async fn ends(&self, topic: Topic) -> Result<(), StorageError> {
        let mut asking = tokio::task::JoinSet::new();
        for partition in 0..partitions_of(topic) {
            let (queries, name) = (self.queries(), self.name(topic));
            asking.spawn(async move { queries.end(&name, partition).await });
        }
        while let Some(end) = asking.join_next().await {
            end.map_err(|error| StorageError::Unavailable(error.to_string()))??;
        }
        Ok(())
    }

    async fn is_empty(&self, topic: Topic, partitions: u32) -> Result<bool, StorageError> {
        use storage::EventLog;
        for partition in 0..partitions {
            if self.end_offset(topic, partition).await? > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

struct Admin {
    client: Arc<AdminClient<Listener>>,
    options: AdminOptions,
}

impl Admin {
    fn new(log: &KafkaLog) -> Result<Self, StorageError> {
        let made = log.config.create_with_context(Listener::of_idle(log.link()));
        let client: AdminClient<Listener> = made.map_err(|error| unavailable("no client", &error))?;
        let options = AdminOptions::new()
            .request_timeout(Some(PATIENCE))
            .operation_timeout(Some(PATIENCE));
        Ok(Self {
            client: Arc::new(client),
            options,
        })
    }

    /// Partitions by topic.
    async fn found(&self) -> Result<HashMap<String, u32>, StorageError> {
        let client = self.client.clone();
        let asked =
            tokio::task::spawn_blocking(move || client.inner().fetch_metadata(None, METADATA_PATIENCE)).await;
        let metadata = asked
            .map_err(|error| StorageError::Unavailable(error.to_string()))?
            .map_err(|error| unavailable("topics", &error))?;
        let found = metadata.topics().iter().map(|topic| {
            let partitions = u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
            (topic.name().to_owned(), partitions)
        });
        Ok(found.filter(|(_, partitions)| *partitions > 0).collect())
    }

    /// What was just made takes a moment to be known.
    async fn found_with(&self, topics: &[(String, u32)]) -> Result<HashMap<String, u32>, StorageError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.found().await?;
            let is_there = |(name, at_least): &&(String, u32)| {
                found.get(name).is_some_and(|partitions| partitions >= at_least)
            };
            match topics.iter().find(|topic| !is_there(topic)) {
                None => return Ok(found),
                Some((name, _)) if Instant::now() > deadline => {
                    return Err(StorageError::Unavailable(format!(
                        "kafka: topic {name} does not appear"
                    )));
                }
                Some(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// The names of those that were made here and not by another meanwhile.
    async fn create(
        &self,
        topics: Vec<Wanted>,
        replication_factor: u32,
    ) -> Result<HashSet<String>, StorageError> {
        let answers = self.try_create(&topics, replication_factor).await?;
        let mut created = HashSet::new();
        let mut again = Vec::new();
        for mut topic in topics {
            match answers.get(&topic.name) {
                None | Some(Ok(())) => {
                    created.insert(topic.name);
                }
                Some(Err(Code::TopicAlreadyExists)) => {}
                // Of a broker that is too old to know it.
                Some(Err(Code::InvalidConfig)) if topic.settings.remove(LATEST_TIME).is_some() => {
                    again.push(topic);
                }
                Some(Err(code)) => return Err(refused(&topic.name, *code)),
            }
        }
        if !again.is_empty() {
            created.extend(Box::pin(self.create(again, replication_factor)).await?);
        }
        Ok(created)
    }

    async fn try_create(
        &self,
        topics: &[Wanted],
        replication_factor: u32,
    ) -> Result<HashMap<String, Result<(), Code>>, StorageError> {
        let new_topics: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|topic| topic.as_new(replication_factor))
            .collect();
        if new_topics.is_empty() {
            return Ok(HashMap::new());
        }
        let answered = self.client.create_topics(&new_topics, &self.options).await;
        let answers = answered.map_err(|error| unavailable("making topics", &error))?;
        let answer = |answer| match answer {
            Ok(name) => (name, Ok(())),
            Err((name, code)) => (name, Err(code)),
        };
        Ok(answers.into_iter().map(answer).collect())
    }

    async fn grow(&self, name: &str, wanted: u32) -> Result<(), StorageError> {
        let partitions = NewPartitions::new(name, wanted as usize);
        let answered = self.client.create_partitions([&partitions], &self.options).await;
        for answer in answered.map_err(|error| unavailable(name, &error))? {
            match answer {
                // The second: another was faster.
                Ok(_) | Err((_, Code::InvalidPartitions)) => {}
                Err((_, code)) => return Err(refused(name, code)),
            }
        }
        Ok(())
    }

    async fn correct_settings(
        &self,
        name: &str,
        wanted: BTreeMap<&'static str, String>,
    ) -> Result<Vec<(String, Option<String>, String)>, StorageError> {
        let topic = ResourceSpecifier::Topic(name);
        let described = self.client.describe_configs([&topic], &self.options).await;
        let described = described.map_err(|error| unavailable(name, &error))?;
        let mut entries = Vec::new();
        for resource in described {
            entries.extend(resource.map_err(|code| refused(name, code))?.entries);
        }
        let value_of = |setting: &str| entries.iter().find(|entry| entry.name == setting);
        // What this broker does not know it need not be told.
        let wanted: BTreeMap<&str, String> = wanted
            .into_iter()
            .filter(|(setting, _)| value_of(setting).is_some())
            .collect();
        let changed: Vec<(String, Option<String>, String)> = wanted
            .iter()
            .filter_map(|(setting, value)| {
                let before = value_of(setting).and_then(|entry| entry.value.clone());
                (before.as_ref() != Some(value)).then(|| ((*setting).to_owned(), before, value.clone()))
            })
            .collect();
        if !changed.is_empty() {
            self.set(name, &wanted, &entries).await?;
        }
        Ok(changed)
    }

    /// What is not named goes back to its default, so what an operator set beside is named too.
    async fn set(
        &self,
        name: &str,
        wanted: &BTreeMap<&str, String>,
        entries: &[ConfigEntry],
    ) -> Result<(), StorageError> {
        let mut alter = AlterConfig::new(ResourceSpecifier::Topic(name));
        for entry in entries
            .iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic)
        {
            if let Some(value) = &entry.value {
                alter = alter.set(&entry.name, value);
            }
        }
        for (setting, value) in wanted {
            alter = alter.set(setting, value);
        }
        let answered = self.client.alter_configs([&alter], &self.options).await;
        for answer in answered.map_err(|error| unavailable(name, &error))? {
            answer.map_err(|(_, code)| refused(name, code))?;
        }
        Ok(())
    }
}

fn unavailable(what: &str, error: &KafkaError) -> StorageError {
    StorageError::Unavailable(format!("kafka: {what}: {error}"))
}

fn refused(topic: &str, code: Code) -> StorageError {
    match code {
        Code::InvalidReplicationFactor | Code::InvalidConfig | Code::PolicyViolation => {
            StorageError::Conflict(format!("kafka refuses topic {topic}: {code}"))
        }
        _ => StorageError::Unavailable(format!("kafka: topic {topic}: {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_have_the_partitions_and_the_retention_of_the_contract() {
        let of = |topic: Topic, setting: &str| settings_of(topic, 1).get(setting).cloned();
        for topic in [
            Topic::Campaigns,
            Topic::Exchanges,
            Topic::Deals,
            Topic::LedgerCheckpoints,
        ] {
            assert_eq!(partitions_of(topic), 6);
            assert_eq!(of(topic, "cleanup.policy").as_deref(), Some("compact"));
        }
        let days = |days: u64| Some((days * 86_400_000).to_string());
        for (topic, kept) in [
            (Topic::Spend, 35),
            (Topic::Wins, 35),
            (Topic::Bids, 3),
            (Topic::Clicks, 3),
        ] {
            assert_eq!(partitions_of(topic), 24);
            assert_eq!(of(topic, "retention.ms"), days(kept));
        }
    }

    #[test]
    fn a_change_says_what_it_was() {
        let change = TopicChange {
            topic: "spend".to_owned(),
            state: TopicState::Corrected {
                partitions: Some((12, 24)),
                settings: vec![("retention.ms".to_owned(), Some("1".to_owned()), "2".to_owned())],
            },
        };
        assert_eq!(
            change.to_string(),
            "spend: corrected: partitions 12 -> 24, retention.ms 1 -> 2"
        );
    }
}
