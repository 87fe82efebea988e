//! [`EventLog`] on Kafka.

use crate::append::Appender;
use crate::link::Link;
use crate::membership::KafkaMembership;
use crate::queries::Queries;
use crate::read::Readers;
use crate::settings::{Settings, SettingsError};
use async_trait::async_trait;
use rdkafka::ClientConfig;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::event_log::{Batch, Membership, NewRecord, Topic};
use storage::{EventLog, StorageError};

pub struct KafkaLog {
    pub(crate) config: ClientConfig,
    pub(crate) prefix: String,
    link: Arc<Link>,
    appender: Appender,
    queries: Arc<Queries>,
    readers: Arc<Readers>,
    /// Topics that were there when they were first appended to: a producer would have an absent one created.
    seen: Mutex<HashSet<Topic>>,
}

impl KafkaLog {
    /// Connects to nothing yet: each client does when it is first needed.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let config = settings.client_config()?;
        // So that librdkafka has its say on every value.
        config
            .create_native_config()
            .map_err(|error| SettingsError::Refused(error.to_string()))?;
        let link = Arc::new(Link::default());
        let queries = Arc::new(Queries::new(&config, link.clone()));
        Ok(Self {
            appender: Appender::new(&config, link.clone()),
            readers: Arc::new(Readers::new(
                &config,
                &settings.topic_prefix,
                link.clone(),
                queries.clone(),
            )),
            queries,
            prefix: settings.topic_prefix.clone(),
            link,
            seen: Mutex::new(HashSet::new()),
            config,
        })
    }

    pub(crate) fn name(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.name())
    }

    pub(crate) fn link(&self) -> Arc<Link> {
        self.link.clone()
    }

    pub(crate) fn queries(&self) -> Arc<Queries> {
        self.queries.clone()
    }

    async fn ensure_it_exists(&self, topic: Topic) -> Result<(), StorageError> {
        let is_seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_seen().contains(&topic) {
            self.partitions(topic).await?;
            is_seen().insert(topic);
        }
        Ok(())
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    async fn append(&self, topic: Topic, records: Vec<NewRecord>, now_ms: i64) -> Result<(), StorageError> {
        if records.is_empty() {
            return Ok(());
        }
        self.appender.admit()?;
        self.ensure_it_exists(topic).await?;
        self.appender.append(&self.name(topic), records, now_ms).await
    }

    async fn partitions(&self, topic: Topic) -> Result<u32, StorageError> {
        self.queries.partitions(&self.name(topic)).await
    }

    async fn read(
        &self,
        topic: Topic,
        partition: u32,
        from_offset: i64,
        limit: u32,
        wait: Duration,
    ) -> Result<Batch, StorageError> {
        self.readers
            .read((topic, partition), from_offset, limit, wait)
            .await
    }

    async fn end_offset(&self, topic: Topic, partition: u32) -> Result<i64, StorageError> {
        self.readers.end((topic, partition)).await
    }

    async fn offset_at(&self, topic: Topic, partition: u32, at_ms: i64) -> Result<i64, StorageError> {
        let name = self.name(topic);
        // The end first: what is appended in between is after the instant.
        let end = self.end_offset(topic, partition).await?;
        Ok(self.queries.at(&name, partition, at_ms).await?.unwrap_or(end))
    }

    async fn join(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Membership>, StorageError> {
        let mut names = Vec::with_capacity(topics.len());
        for topic in topics {
            self.partitions(*topic).await?;
            names.push((*topic, self.name(*topic)));
        }
        let group = format!("{}{group}", self.prefix);
        let member = KafkaMembership::join(&self.config, &group, names, self.link.clone())?;
        Ok(Box::new(member))
    }

    /// The brokers do that, by the settings of the topics.
    async fn trim(&self, _now_ms: i64) -> Result<(), StorageError> {
        Ok(())
    }
}
