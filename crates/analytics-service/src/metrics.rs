//! The service's own metrics; those of HTTP are the platform's.

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use storage::event_log::Topic;

#[derive(Clone)]
pub(crate) struct Metrics {
    lag_records: IntGaugeVec,
    partitions: IntGaugeVec,
    applied: IntCounterVec,
    repeated: IntCounterVec,
    poison: IntCounterVec,
    pub(crate) checkpoints_published: IntCounter,
    pub(crate) freshness_seconds: Gauge,
}

/// Counters of one topic.
#[derive(Clone)]
pub(crate) struct TopicMetrics {
    pub(crate) applied: IntCounter,
    pub(crate) repeated: IntCounter,
    pub(crate) poison: IntCounter,
}

impl Metrics {
    pub(crate) fn register(metrics: &platform::Metrics) -> prometheus::Result<Self> {
        Ok(Self {
            lag_records: metrics.gauge_vec(
                "consumer_lag_records",
                "Records of the partition that are not in the reports yet.",
                &["topic", "partition"],
            )?,
            partitions: metrics.gauge_vec(
                "consumer_partitions",
                "Partitions of a topic that this instance reads.",
                &["topic"],
            )?,
            applied: metrics.counter_vec(
                "events_applied_total",
                "Events added to the reports.",
                &["topic"],
            )?,
            repeated: metrics.counter_vec(
                "events_repeated_total",
                "Events left out because they had been added before.",
                &["topic"],
            )?,
            poison: metrics.counter_vec(
                "events_set_aside_total",
                "Records left out because they cannot be understood.",
                &["topic"],
            )?,
            checkpoints_published: metrics.counter(
                "ledger_checkpoints_published_total",
                "Campaigns whose spend was published for the ledger to be rebuilt from.",
            )?,
            freshness_seconds: metrics.float_gauge(
                "report_freshness_seconds",
                "How far the reports are behind the events, by the partition that is furthest behind.",
            )?,
        })
    }

    pub(crate) fn topic(&self, topic: Topic) -> TopicMetrics {
        let labels = [topic.name()];
        TopicMetrics {
            applied: self.applied.with_label_values(&labels),
            repeated: self.repeated.with_label_values(&labels),
            poison: self.poison.with_label_values(&labels),
        }
    }

    pub(crate) fn partitions(&self, topic: Topic) -> IntGauge {
        self.partitions.with_label_values(&[topic.name()])
    }

    pub(crate) fn lag_records(&self, topic: Topic, partition: u32) -> IntGauge {
        self.lag_records
            .with_label_values(&[topic.name(), &partition.to_string()])
    }

    /// Of a partition that another replica reads now.
    pub(crate) fn forget_lag(&self, topic: Topic, partition: u32) {
        // Fails only where there is none.
        let _ = self
            .lag_records
            .remove_label_values(&[topic.name(), &partition.to_string()]);
    }
}
