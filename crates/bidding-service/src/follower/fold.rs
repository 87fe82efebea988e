//! The records of the topics folded into what serves now: of each key the newest, unless this version must leave
//! it out.

use crate::markup::PreparedCreative;
use crate::metrics::IndexMetrics;
use domain::serving::{SCHEMA, ServingCampaign, ServingExchange};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;
use storage::event_log::Record;

/// What a campaign's record may require of its reader. One that names anything else is left out.
const CAPABILITIES: [&str; 0] = [];

/// Why a record is not served although it is the newest of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// Of a schema or in need of a capability that this version does not have.
    NotUnderstood,
    /// No JSON, or not of the shape that its schema says.
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

/// A campaign with its creatives made ready.
#[derive(Clone, Debug)]
pub(super) struct PreparedCampaign {
    pub(super) serving: Arc<ServingCampaign>,
    pub(super) creatives: Arc<[PreparedCreative]>,
}

#[derive(Debug, Default)]
pub(super) struct Fold {
    pub(super) campaigns: Keys<PreparedCampaign>,
    pub(super) exchanges: Keys<ServingExchange>,
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
    pub(super) fn campaign(&mut self, record: &Record, metrics: &IndexMetrics) -> bool {
        self.campaigns
            .apply(record, metrics, |serving: ServingCampaign| PreparedCampaign {
                creatives: serving.creatives.iter().map(PreparedCreative::new).collect(),
                serving: Arc::new(serving),
            })
    }

    /// Says whether anything changed.
    pub(super) fn exchange(&mut self, record: &Record, metrics: &IndexMetrics) -> bool {
        self.exchanges
            .apply(record, metrics, |serving: ServingExchange| serving)
    }
}

impl<T> Keys<T> {
    pub(super) fn serving(&self) -> impl Iterator<Item = &T> {
        self.0.values().filter_map(|newest| match &newest.state {
            State::Serving(value) => Some(value),
            State::Removed | State::LeftOut(_) => None,
        })
    }

    fn apply<R: DeserializeOwned>(
        &mut self,
        record: &Record,
        metrics: &IndexMetrics,
        prepare: impl FnOnce(R) -> T,
    ) -> bool {
        let known = self.0.get(&record.key);
        let known_version = known.map_or((i64::MIN, i64::MIN), |newest| newest.version);
        let was_left_out = known.and_then(Newest::left_out);
        let (version, state) = match &record.value {
            None => (known_version, State::Removed),
            Some(value) => match read(value, known_version) {
                Read::Older => return false,
                Read::Newer(version, value) => (version, State::Serving(prepare(value))),
                Read::LeftOut(version, why) => (version, State::LeftOut(why)),
            },
        };
        let newest = Newest { version, state };
        let left_out = newest.left_out();
        if left_out != was_left_out {
            tell(&record.key, was_left_out, left_out, metrics);
        }
        self.0.insert(record.key.clone(), newest);
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

enum Read<R> {
    Older,
    Newer((i64, i64), R),
    LeftOut((i64, i64), LeftOut),
}

fn read<R: DeserializeOwned>(value: &[u8], known: (i64, i64)) -> Read<R> {
    let Ok(head) = serde_json::from_slice::<Head>(value) else {
        // Of unknown age. Leaving out what it was about is the safe side, and anything readable replaces it.
        return Read::LeftOut(known, LeftOut::Unreadable);
    };
    let version = (head.generation, head.revision);
    if version < known {
        return Read::Older;
    }
    let is_understood = head.schema <= SCHEMA
        && head
            .requires
            .iter()
            .all(|needed| CAPABILITIES.contains(&needed.as_str()));
    if !is_understood {
        return Read::LeftOut(version, LeftOut::NotUnderstood);
    }
    match serde_json::from_slice(value) {
        Ok(value) => Read::Newer(version, value),
        Err(_) => Read::LeftOut(version, LeftOut::Unreadable),
    }
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

    fn revisions(fold: &Fold) -> Vec<i64> {
        fold.campaigns
            .serving()
            .map(|campaign| campaign.serving.revision)
            .collect()
    }

    #[test]
    fn an_older_record_changes_nothing_even_after_a_tombstone() {
        let (mut fold, metrics) = (Fold::default(), index_metrics());
        assert!(fold.campaign(&record(Some(&at(1, 5))), &metrics));
        assert!(!fold.campaign(&record(Some(&at(1, 4))), &metrics));
        assert_eq!(revisions(&fold), [5]);
        assert!(fold.campaign(&record(None), &metrics));
        assert!(!fold.campaign(&record(Some(&at(1, 4))), &metrics));
        assert!(revisions(&fold).is_empty());
        assert!(fold.campaign(&record(Some(&at(2, 1))), &metrics));
        assert_eq!(revisions(&fold), [1]);
    }

    #[test]
    fn a_record_that_asks_for_more_than_we_can_is_left_out_and_comes_back() {
        let (mut fold, metrics) = (Fold::default(), index_metrics());
        fold.campaign(&record(Some(&at(1, 1))), &metrics);
        let mut demanding = at(1, 2);
        demanding["requires"] = json!(["telepathy"]);
        assert!(fold.campaign(&record(Some(&demanding)), &metrics));
        assert!(revisions(&fold).is_empty());
        assert_eq!(metrics.left_out.with_label_values(&["not_understood"]).get(), 1);
        fold.campaign(&record(Some(&at(1, 3))), &metrics);
        assert_eq!(revisions(&fold), [3]);
        assert_eq!(metrics.left_out.with_label_values(&["not_understood"]).get(), 0);
    }

    #[test]
    fn a_record_of_a_later_schema_is_left_out() {
        let (mut fold, metrics) = (Fold::default(), index_metrics());
        let mut later = at(1, 1);
        later["schema"] = (SCHEMA + 1).into();
        fold.campaign(&record(Some(&later)), &metrics);
        assert!(revisions(&fold).is_empty());
    }

    #[test]
    fn an_unreadable_record_stops_its_campaign_and_no_other() {
        let (mut fold, metrics) = (Fold::default(), index_metrics());
        fold.campaign(&record(Some(&at(1, 1))), &metrics);
        let mut other = record(Some(&at(1, 1)));
        other.key = "cmp_2".into();
        fold.campaign(&other, &metrics);
        let garbage = Record {
            value: Some(b"{".to_vec()),
            ..record(None)
        };
        fold.campaign(&garbage, &metrics);
        fold.campaign(&garbage, &metrics);
        assert_eq!(fold.campaigns.serving().count(), 1);
        assert_eq!(metrics.left_out.with_label_values(&["unreadable"]).get(), 1);
    }
}
