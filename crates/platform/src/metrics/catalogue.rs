//! What metrics there are: every registration of a process, so that rules, alerts and dashboards can be checked
//! against it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::Registry;
use prometheus::core::Collector;
use prometheus::proto::MetricType;
use serde::Serialize;

/// As Prometheus knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// All series of one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Family {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub labels: Vec<String>,
    pub help: String,
    /// Upper bounds of a histogram's buckets, without the last, which is infinite.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<f64>,
}

/// A registry that remembers what was registered: a family without series yet is not among what it gathers.
#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    pub(super) registry: Registry,
    families: Arc<Mutex<BTreeMap<String, Family>>>,
}

impl Catalogue {
    pub(super) fn new() -> Self {
        Self {
            registry: Registry::new(),
            families: Arc::default(),
        }
    }

    pub(super) fn register<C: Collector + Clone + 'static>(
        &self,
        kind: Kind,
        buckets: &[f64],
        metric: C,
    ) -> prometheus::Result<C> {
        self.registry.register(Box::new(metric.clone()))?;
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        for desc in metric.desc() {
            let constant = desc.const_label_pairs.iter().map(|pair| pair.name().to_owned());
            let family = Family {
                name: desc.fq_name.clone(),
                kind,
                labels: constant.chain(desc.variable_labels.iter().cloned()).collect(),
                help: desc.help.clone(),
                buckets: buckets.to_vec(),
            };
            families.insert(family.name.clone(), family);
        }
        Ok(metric)
    }

    /// By name; those of the process collector, which are not registered one by one, included.
    pub(super) fn families(&self) -> Vec<Family> {
        let mut families = self
            .families
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for gathered in self.registry.gather() {
            families
                .entry(gathered.name().to_owned())
                .or_insert_with(|| Family {
                    name: gathered.name().to_owned(),
                    kind: match gathered.get_field_type() {
                        MetricType::COUNTER => Kind::Counter,
                        MetricType::HISTOGRAM => Kind::Histogram,
                        _ => Kind::Gauge,
                    },
                    labels: Vec::new(),
                    help: gathered.help().to_owned(),
                    buckets: Vec::new(),
                });
        }
        families.into_values().collect()
    }
}
