//! The records of the topics folded into what serves now: of each key the newest, unless this version must leave
//! it out.

use crate::markup::PreparedCreative;
use crate::metrics::IndexMetrics;
use bidding_engine::CompiledCampaign;
use domain::serving::{SCHEMA, ServingCampaign, ServingExchange};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use storage::event_log::Record;

/// What a campaign's record may require of its reader. One that names anything else is left out.
const CAPABILITIES: [&str; 0] = [];

/// Why a record is not served although it is the newest of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// Of a schema or in need of a capability that this version does not have.
    NotUnderstood,
    /// No JSON, not of the shape that its schema says, or about another than its key.
    Unreadable,
}

impl LeftOut {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotUnderstood => "not_understood",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A campaign and its creatives made ready, once for each record.
#[derive(Clone, Debug)]
pub(super) struct PreparedCampaign {
    pub(super) compiled: Arc<CompiledCampaign>,
    pub(super) creatives: Arc<[PreparedCreative]>,
}

impl PreparedCampaign {
    fn new(serving: ServingCampaign) -> Self {
        Self {
            creatives: serving.creatives.iter().map(PreparedCreative::new).collect(),
            compiled: Arc::new(CompiledCampaign::compile(serving)),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Fold {
    pub(super) campaigns: Keys<PreparedCampaign>,
    pub(super) exchanges: Keys<ServingExchange>,
    news: News,
}

/// What changed since it was last taken.
#[derive(Debug, Default)]
pub(super) enum News {
    /// Nobody has asked yet, or an exchange changed, on which the order of all campaigns depends.
    #[default]
    Everything,
    /// The ids of campaigns.
    Campaigns(HashSet<String>),
}

/// Of each key the newest record seen.
#[derive(Debug)]
pub(super) struct Keys<T>(HashMap<String, Newest<T>>);

impl<T> Default for Keys<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[derive(Debug)]
struct Newest<T> {
    /// (generation, revision), kept beyond a tombstone, so that a late repeat of an older record stays out.
    version: (i64, i64),
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Serving(T),
    Removed,
    LeftOut(LeftOut),
}

/// What every record has, whatever its schema.
#[derive(Deserialize)]
struct Head {
    schema: u32,
    generation: i64,
    revision: i64,
    #[serde(default)]
    requires: Vec<String>,
}

impl Fold {
    /// Says whether anything changed.
    pub(super) fn campaign(&mut self, read: ReadRecord<PreparedCampaign>, metrics: &IndexMetrics) -> bool {
        let id = read.key.clone();
        let is_changed = self.campaigns.apply(read, metrics);
        if let News::Campaigns(ids) = &mut self.news
            && is_changed
        {
            ids.insert(id);
        }
        is_changed
    }

    /// Says whether anything changed.
    pub(super) fn exchange(&mut self, read: ReadRecord<ServingExchange>, metrics: &IndexMetrics) -> bool {
        let is_changed = self.exchanges.apply(read, metrics);
        if is_changed {
            self.news = News::Everything;
        }
        is_changed
    }

    pub(super) fn take_news(&mut self) -> News {
        std::mem::replace(&mut self.news, News::Campaigns(HashSet::new()))
    }
}

/// A record as this version understands it. Reading is the work; folding it is little, and the fold's lock is held for
/// that alone.
pub(super) struct ReadRecord<T> {
    key: String,
    traceparent: Option<String>,
    read: Read<T>,
}

impl ReadRecord<PreparedCampaign> {
    pub(super) fn campaign(record: Record) -> Self {
        let mut traceparent = None;
        let read = Self::of(record, |mut serving: ServingCampaign| {
            traceparent = serving.traceparent.take();
            PreparedCampaign::new(serving)
        });
        Self { traceparent, ..read }
    }
}

impl ReadRecord<ServingExchange> {
    pub(super) fn exchange(record: Record) -> Self {
        Self::of(record, |serving| serving)
    }
}

impl<T> ReadRecord<T> {
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Of the relay that sent it, where the change's trace is sampled.
    pub(super) fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    fn of<R>(record: Record, prepare: impl FnOnce(R) -> T) -> Self
    where
        R: DeserializeOwned + Versioned,
    {
        Self {
            read: match record.value {
                None => Read::Removed,
                Some(value) => read(&record.key, &value, prepare),
            },
            key: record.key,
            traceparent: None,
        }
    }
}

impl<T> Keys<T> {
    pub(super) fn serving(&self) -> impl Iterator<Item = &T> {
        self.0.values().filter_map(|newest| match &newest.state {
            State::Serving(value) => Some(value),
            State::Removed | State::LeftOut(_) => None,
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<&T> {
        match &self.0.get(key)?.state {
            State::Serving(value) => Some(value),
            State::Removed | State::LeftOut(_) => None,
        }
    }

    fn apply(&mut self, record: ReadRecord<T>, metrics: &IndexMetrics) -> bool {
        let known = self.0.get(&record.key);
        let known_version = known.map_or((i64::MIN, i64::MIN), |newest| newest.version);
        let was_left_out = known.and_then(Newest::left_out);
        let (version, state) = match record.read {
            Read::Removed => (known_version, State::Removed),
            Read::Serving(version, value) => (version, State::Serving(value)),
            Read::LeftOut(version, why) => (version.unwrap_or(known_version), State::LeftOut(why)),
        };
        if version < known_version {
            return false;
        }
        let newest = Newest { version, state };
        let left_out = newest.left_out();
        if left_out != was_left_out {
            tell(&record.key, was_left_out, left_out, metrics);
        }
        self.0.insert(record.key, newest);
        true
    }
}

impl<T> Newest<T> {
    fn left_out(&self) -> Option<LeftOut> {
        match self.state {
            State::LeftOut(why) => Some(why),
            State::Serving(_) | State::Removed => None,
        }
    }
}

enum Read<T> {
    Serving((i64, i64), T),
    Removed,
    /// `None` is of unknown age. Leaving out what it was about is the safe side, and anything readable replaces it.
    LeftOut(Option<(i64, i64)>, LeftOut),
}

/// What is compared before a value is taken: schema, version, needed capabilities.
trait Versioned {
    fn head(&self) -> (u32, (i64, i64), &[String]);

    /// Must be the record's key.
    fn id(&self) -> &str;
}

impl Versioned for ServingCampaign {
    fn head(&self) -> (u32, (i64, i64), &[String]) {
        (self.schema, (self.generation, self.revision), &self.requires)
    }

    fn id(&self) -> &str {
        self.campaign.id.as_str()
    }
}

impl Versioned for ServingExchange {
    fn head(&self) -> (u32, (i64, i64), &[String]) {
        (self.schema, (self.generation, self.revision), &[])
    }

    fn id(&self) -> &str {
        self.exchange.id.as_str()
    }
}

fn read<R: DeserializeOwned + Versioned, T>(
    key: &str,
    value: &[u8],
    prepare: impl FnOnce(R) -> T,
) -> Read<T> {
    // Checked as a whole it is read faster than text by text.
    let Ok(text) = std::str::from_utf8(value) else {
        return Read::LeftOut(None, LeftOut::Unreadable);
    };
    if let Ok(value) = serde_json::from_str::<R>(text) {
        let (schema, version, requires) = value.head();
        return if !is_understood(schema, requires) {
            Read::LeftOut(Some(version), LeftOut::NotUnderstood)
        } else if value.id() != key {
            Read::LeftOut(Some(version), LeftOut::Unreadable)
        } else {
            Read::Serving(version, prepare(value))
        };
    }
    match serde_json::from_str::<Head>(text) {
        Ok(head) => {
            let version = (head.generation, head.revision);
            let why = if is_understood(head.schema, &head.requires) {
                LeftOut::Unreadable
            } else {
                LeftOut::NotUnderstood
            };
            Read::LeftOut(Some(version), why)
        }
        Err(_) => Read::LeftOut(None, LeftOut::Unreadable),
    }
}

fn is_understood(schema: u32, requires: &[String]) -> bool {
    schema <= SCHEMA
        && requires
            .iter()
            .all(|needed| CAPABILITIES.contains(&needed.as_str()))
}

/// Once for each change of a key's state, not for each record.
fn tell(key: &str, before: Option<LeftOut>, now: Option<LeftOut>, metrics: &IndexMetrics) {
    if let Some(why) = before {
        metrics.left_out.with_label_values(&[why.as_str()]).dec();
    }
    match now {
        Some(why) => {
            metrics.left_out.with_label_values(&[why.as_str()]).inc();
            tracing::warn!(key, reason = why.as_str(), "record is left out of the index");
        }
        None => tracing::info!(key, "record is back in the index"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{campaign, index_metrics};
    use serde_json::{Value, json};

    fn record(value: Option<&Value>) -> Record {
        Record {
            offset: 0,
            key: "cmp_1".into(),
            value: value.map(|value| value.to_string().into_bytes()),
        }
    }

    fn at(generation: i64, revision: i64) -> Value {
        let mut value = serde_json::to_value(campaign("cmp_1")).unwrap();
        value["generation"] = generation.into();
        value["revision"] = revision.into();
        value
    }

    /// Reads the record and folds it.
    fn apply(fold: &mut Fold, record: Record, metrics: &IndexMetrics) -> bool {
        fold.campaign(ReadRecord::campaign(record), metrics)
    }

    fn revisions(fold: &Fold) -> Vec<i64> {
        fold.campaigns
            .serving()
            .map(|campaign| campaign.compiled.record().revision)
            .collect()
    }

    #[test]
    fn an_older_record_changes_nothing_even_after_a_tombstone() {
        let (mut fold, metrics) = (Fold::default(), index_metrics());
        assert!(apply(&mut fold, record(Some(&at(1, 5))), &metrics));
        assert!(!apply(&mut fold, record(Some(&at(1, 4))), &metrics));
        assert_eq!(revisions(&fold), [5]);
        assert!(apply(&mut fold, record(None), &metrics));
        assert!(!apply(&mut fold, record(Some(&at(1, 4))), &metrics));
        assert!(revisions(&fold).is_empty());
        assert!(apply(&mut fold, record(Some(&at(2, 1))), &metrics));
        assert_eq!(revisions(&fold), [1]);
    }

    #[test]
    fn a_record_that_asks_for_more_than_we_can_is_left_out_and_comes_back() {
        let (mut fold, metrics) = (Fold::default(), index_metrics());
        apply(&mut fold, record(Some(&at(1, 1))), &metrics);
        let mut demanding = at(1, 2);
        demanding["requires"] = json!(["telepathy"]);
        assert!(apply(&mut fold, record(Some(&demanding)), &metrics));
        assert!(revisions(&fold).is_empty());
        assert_eq!(metrics.left_out.with_label_values(&["not_understood"]).get(), 1);
        apply(&mut fold, record(Some(&at(1, 3))), &metrics);
        assert_eq!(revisions(&fold), [3]);
        assert_eq!(metrics.left_out.with_label_values(&["not_understood"]).get(), 0);
    }

    #[test]
    fn a_record_of_a_later_schema_is_left_out() {
        let (mut fold, metrics) = (Fold::default(), index_metrics());
        let mut later = at(1, 1);
        later["schema"] = (SCHEMA + 1).into();
        apply(&mut fold, record(Some(&later)), &metrics);
        assert!(revisions(&fold).is_empty());
    }

    #[test]
    fn an_unreadable_record_stops_its_campaign_and_no_other() {
        let (mut fold, metrics) = (Fold::default(), index_metrics());
        apply(&mut fold, record(Some(&at(1, 1))), &metrics);
        let mut other = record(Some(&serde_json::to_value(campaign("cmp_2")).unwrap()));
        other.key = "cmp_2".into();
        apply(&mut fold, other, &metrics);
        let garbage = Record {
            value: Some(b"{".to_vec()),
            ..record(None)
        };
        apply(&mut fold, garbage.clone(), &metrics);
        apply(&mut fold, garbage, &metrics);
        assert_eq!(fold.campaigns.serving().count(), 1);
        assert_eq!(metrics.left_out.with_label_values(&["unreadable"]).get(), 1);
    }

    #[test]
    fn a_record_about_another_than_its_key_is_left_out() {
        let (mut fold, metrics) = (Fold::default(), index_metrics());
        let misfiled = Record {
            key: "cmp_2".into(),
            ..record(Some(&at(1, 1)))
        };
        apply(&mut fold, misfiled, &metrics);
        assert_eq!(fold.campaigns.serving().count(), 0);
        assert_eq!(metrics.left_out.with_label_values(&["unreadable"]).get(), 1);
    }

    #[test]
    fn news_are_everything_at_first_then_what_changed() {
        let (mut fold, metrics) = (Fold::default(), index_metrics());
        apply(&mut fold, record(Some(&at(1, 1))), &metrics);
        assert!(matches!(fold.take_news(), News::Everything));
        apply(&mut fold, record(Some(&at(1, 1))), &metrics);
        apply(&mut fold, record(Some(&at(1, 0))), &metrics);
        let News::Campaigns(ids) = fold.take_news() else {
            panic!("no exchange has changed");
        };
        assert_eq!(ids, HashSet::from(["cmp_1".to_owned()]));
        apply(&mut fold, record(Some(&at(1, 0))), &metrics);
        assert!(matches!(fold.take_news(), News::Campaigns(ids) if ids.is_empty()));
    }
}
