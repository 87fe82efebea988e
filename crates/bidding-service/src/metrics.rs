//! Every metric of the service. Handles are resolved here, at start or when an exchange appears; the bid path
//! looks up no label.

use bidding_engine::NoBidReason;
use domain::currency::Currency;
use platform::metrics::{RequestCounter, RequestHistogram};
use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use storage::event_log::Topic;

/// Upper bounds of the buckets of a bid's time, in seconds: a step is a factor of two to two and a half. Half of the bids
/// are answered within 0.1 to 0.3 ms on an idle core. 0.05 and 0.1 are edges because alerts compare with them: half of a
/// bid's budget and all of it, the latter exact and not interpolated. `BID_TIMEOUT_MS` may be up to 10 s.
const BID_BUCKETS_SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Of its stages: parsing, deciding and answering take 6 to 8 microseconds each on a usual request, tens on a large one; a
/// read of the user's state about one millisecond and at most its timeout; one stage that needs 0.1 s has missed the answer.
const STAGE_BUCKETS_SECONDS: &[f64] = &[
    0.000_002_5,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
];

/// Of a build of the index: a change takes milliseconds, 100,000 campaigns from nothing about a second, a million ten
/// times that; beyond a minute a bidder that starts is late for its rollout.
const BUILD_BUCKETS_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0,
];

/// The labels of `bid_stage_duration_seconds`, and the parts of a traced request.
pub(crate) const STAGES: [&str; 4] = ["parse", "gather", "decide", "answer"];

/// The words for a request whose `tmax` leaves no time, and for one beyond its exchange's limit; every other reason is the
/// engine's.
const INSUFFICIENT_TIME: &str = "insufficient_time";
const QPS_LIMIT: &str = "qps_limit";

/// In `events_dropped_total`, beside topics: impressions that frequency caps never heard of.
pub(crate) const USER_COUNTERS: &str = "user_counters";
/// In `events_dropped_total`: prices that the market learns from.
pub(crate) const PRICES: &str = "prices";
/// Whatever may be counted in `events_dropped_total`.
const DROPPED: [&str; 4] = [Topic::Bids.name(), Topic::Clicks.name(), USER_COUNTERS, PRICES];
/// The topics that the ledger is rebuilt from.
const REBUILT_FROM: [Topic; 3] = [Topic::LedgerCheckpoints, Topic::Spend, Topic::Wins];

#[derive(Clone, Debug)]
pub(crate) struct BiddingMetrics {
    pub(crate) bids: BidMetrics,
    pub(crate) index: IndexMetrics,
    pub(crate) money: MoneyMetrics,
    pub(crate) lists: ListMetrics,
}

/// The bid path.
#[derive(Clone, Debug)]
pub(crate) struct BidMetrics {
    metrics: platform::Metrics,
    requests: IntCounterVec,
    /// From the first byte of the request's head to its answer.
    pub(crate) duration_seconds: RequestHistogram,
    reasons: Vec<RequestCounter>,
    pub(crate) insufficient_time: RequestCounter,
    pub(crate) qps_limit: RequestCounter,
    pub(crate) parse_seconds: RequestHistogram,
    pub(crate) gather_seconds: RequestHistogram,
    pub(crate) decide_seconds: RequestHistogram,
    pub(crate) answer_seconds: RequestHistogram,
    pub(crate) bids: RequestCounter,
    pub(crate) panics: IntCounter,
    pub(crate) unknown_exchange: IntCounter,
    unproven: IntCounterVec,
    pub(crate) bid_events_dropped: IntCounter,
}

/// `bid_requests_total` of one exchange, and its requests that could not prove whose they are.
#[derive(Clone, Debug)]
pub(crate) struct ExchangeMetrics {
    pub(crate) bid: RequestCounter,
    pub(crate) no_bid: RequestCounter,
    pub(crate) late: RequestCounter,
    pub(crate) shed: RequestCounter,
    pub(crate) malformed: RequestCounter,
    pub(crate) unproven: IntCounter,
}

#[derive(Clone, Debug)]
pub(crate) struct IndexMetrics {
    pub(crate) campaigns: IntGauge,
    pub(crate) age_seconds: Gauge,
    pub(crate) left_out: IntGaugeVec,
    pub(crate) build_seconds: Histogram,
}

/// Leases, notices and settlement.
#[derive(Clone, Debug)]
pub(crate) struct MoneyMetrics {
    pub(crate) wins: IntCounter,
    /// `currency`.
    pub(crate) billed_nanos: IntCounterVec,
    /// `currency`.
    pub(crate) over_delivery_nanos: IntCounterVec,
    pub(crate) lease_balance_nanos: IntGauge,
    pub(crate) pending_nanos: IntGauge,
    pub(crate) planned_nanos: IntGauge,
    pub(crate) planned_spent_nanos: IntGauge,
    /// Groups of the ledger without an answer to the last heartbeat.
    pub(crate) ledger_refusing: IntGauge,
    pub(crate) ledger_rebuilds: IntCounter,
    /// `topic`.
    pub(crate) ledger_rebuild_skipped: IntCounterVec,
    /// `kind`, `result`.
    pub(crate) notices: IntCounterVec,
    /// `topic`.
    pub(crate) events_dropped: IntCounterVec,
    pub(crate) spool: SpoolMetrics,
}

/// The local spool. Anything in it means that stores were away, or still are.
#[derive(Clone, Debug)]
pub(crate) struct SpoolMetrics {
    pub(crate) records: IntGauge,
    pub(crate) bytes: IntGauge,
    pub(crate) oldest_age_seconds: Gauge,
    pub(crate) refused: IntCounter,
    pub(crate) replayed: IntCounter,
    pub(crate) set_aside: IntCounter,
}

/// Files of crawlers, data centres, sellers and places; `list`.
#[derive(Clone, Debug)]
pub(crate) struct ListMetrics {
    entries: IntGaugeVec,
    /// `list`, `result`.
    reads: IntCounterVec,
}

impl ListMetrics {
    fn register(metrics: &platform::Metrics) -> prometheus::Result<Self> {
        Ok(Self {
            entries: metrics.gauge_vec(
                "list_entries",
                "Entries of a list file that is in use.",
                &["list"],
            )?,
            reads: metrics.counter_vec(
                "list_reads_total",
                "List files read at the start and after each change: loaded, or failed and the list before kept.",
                &["list", "result"],
            )?,
        })
    }

    pub(crate) fn loaded(&self, list: &str, entries: usize) {
        let entries = i64::try_from(entries).unwrap_or(i64::MAX);
        self.entries.with_label_values(&[list]).set(entries);
        self.reads.with_label_values(&[list, "loaded"]).inc();
    }

    pub(crate) fn failed(&self, list: &str) {
        self.reads.with_label_values(&[list, "failed"]).inc();
    }
}

impl BiddingMetrics {
    /// # Errors
    /// When one of the names is taken: two bidding services in one registry.
    pub(crate) fn register(metrics: &platform::Metrics) -> prometheus::Result<Self> {
        let events_dropped = metrics.counter_vec(
            "events_dropped_total",
            "Events that found their queue full.",
            &["topic"],
        )?;
        // There from the start: the first of a series that is born with it is no increase.
        for kind in DROPPED {
            events_dropped.with_label_values(&[kind]);
        }
        Ok(Self {
            bids: BidMetrics::register(metrics, &events_dropped)?,
            index: IndexMetrics::register(metrics)?,
            money: MoneyMetrics::register(metrics, events_dropped)?,
            lists: ListMetrics::register(metrics)?,
        })
    }
}

impl BidMetrics {
    fn register(metrics: &platform::Metrics, events_dropped: &IntCounterVec) -> prometheus::Result<Self> {
        let reasons = metrics.counter_vec(
            "bid_no_bid_reasons_total",
            "Opportunities without a bid, by the first condition that left nobody.",
            &["reason"],
        )?;
        let stages = metrics.histogram_vec(
            "bid_stage_duration_seconds",
            "Time a bid request spends in each stage.",
            &["stage"],
            STAGE_BUCKETS_SECONDS,
        )?;
        let [parse_seconds, gather_seconds, decide_seconds, answer_seconds] =
            STAGES.map(|stage| metrics.of_requests(stages.with_label_values(&[stage])));
        let duration_seconds = metrics.histogram(
            "bid_request_duration_seconds",
            "From the first byte of a bid request to its answer.",
            BID_BUCKETS_SECONDS,
        )?;
        let of_reason = |reason| metrics.of_requests(reasons.with_label_values(&[reason]));
        Ok(Self {
            metrics: metrics.clone(),
            requests: metrics.counter_vec(
                "bid_requests_total",
                "Bid requests of known exchanges, by what became of them.",
                &["exchange", "outcome"],
            )?,
            duration_seconds: metrics.of_requests(duration_seconds),
            reasons: NoBidReason::ALL
                .iter()
                .map(|reason| of_reason(reason.as_str()))
                .collect(),
            insufficient_time: of_reason(INSUFFICIENT_TIME),
            qps_limit: of_reason(QPS_LIMIT),
            parse_seconds,
            gather_seconds,
            decide_seconds,
            answer_seconds,
            bids: metrics.of_requests(metrics.counter("bids_total", "Bids offered.")?),
            panics: metrics.counter(
                "bid_panics_total",
                "Bid requests answered 204 since their handler panicked.",
            )?,
            unknown_exchange: metrics.counter(
                "bid_requests_unknown_exchange_total",
                "Bid requests to an exchange that does not exist, answered 404.",
            )?,
            unproven: metrics.counter_vec(
                "bid_requests_unproven_total",
                "Bid requests that did not prove to be their exchange's, answered 403.",
                &["exchange"],
            )?,
            bid_events_dropped: events_dropped.with_label_values(&["bids"]),
        })
    }

    pub(crate) fn of_exchange(&self, exchange: &str) -> ExchangeMetrics {
        let outcome = |outcome| {
            self.metrics
                .of_requests(self.requests.with_label_values(&[exchange, outcome]))
        };
        ExchangeMetrics {
            bid: outcome("bid"),
            no_bid: outcome("no_bid"),
            late: outcome("late"),
            shed: outcome("shed"),
            malformed: outcome("malformed"),
            unproven: self.unproven.with_label_values(&[exchange]),
        }
    }

    pub(crate) fn count_reason(&self, reason: NoBidReason) {
        // `ALL` lists the variants in order, so a discriminant is a position.
        if let Some(counter) = self.reasons.get(reason as usize) {
            counter.inc();
        }
    }
}

impl IndexMetrics {
    fn register(metrics: &platform::Metrics) -> prometheus::Result<Self> {
        Ok(Self {
            campaigns: metrics.gauge("index_campaigns", "Campaigns in the index.")?,
            age_seconds: metrics.float_gauge(
                "index_age_seconds",
                "Since every partition was last read to see whether the index is current.",
            )?,
            left_out: metrics.gauge_vec(
                "index_left_out_records",
                "Records kept out of the index: of another schema, in need of what this version lacks, unreadable.",
                &["reason"],
            )?,
            build_seconds: metrics.histogram(
                "index_build_duration_seconds",
                "Time to build the index from all records.",
                BUILD_BUCKETS_SECONDS,
            )?,
        })
    }
}

impl MoneyMetrics {
    fn register(metrics: &platform::Metrics, events_dropped: IntCounterVec) -> prometheus::Result<Self> {
        let ledger_rebuild_skipped = metrics.counter_vec(
            "ledger_rebuild_skipped_records_total",
            "Records set aside when the spend ledger was rebuilt from them: unreadable, or impossible.",
            &["topic"],
        )?;
        for topic in REBUILT_FROM {
            ledger_rebuild_skipped.with_label_values(&[topic.name()]);
        }
        Ok(Self {
            wins: metrics.counter("wins_total", "Win notices counted, each bid once.")?,
            billed_nanos: metrics.counter_vec(
                "billed_nanos_total",
                "Charged to campaigns, nanos of the currency.",
                &["currency"],
            )?,
            over_delivery_nanos: metrics.counter_vec(
                "over_delivery_nanos_total",
                "Owed and not charged since the budget was gone, nanos of the currency.",
                &["currency"],
            )?,
            lease_balance_nanos: metrics.gauge(
                "lease_balance_nanos",
                "What this bidder may still reserve over all campaigns, nanos.",
            )?,
            pending_nanos: metrics.gauge(
                "pending_nanos",
                "Won and not yet billed over the campaigns seen by this bidder, nanos.",
            )?,
            planned_nanos: metrics.gauge(
                "planned_nanos",
                "What the days of evenly paced campaigns were to have spent by now, nanos; of one at rest up to ten minutes old.",
            )?,
            planned_spent_nanos: metrics.gauge(
                "planned_spent_nanos",
                "What those days have spent, by all bidders, nanos.",
            )?,
            ledger_refusing: metrics.gauge(
                "ledger_refusing",
                "Groups of the spend ledger that did not answer the last heartbeat: away, or not rebuilt.",
            )?,
            ledger_rebuilds: metrics.counter(
                "ledger_rebuilds_total",
                "Groups of the spend ledger made good from the topics by this bidder.",
            )?,
            ledger_rebuild_skipped,
            notices: metrics.counter_vec(
                "notices_total",
                "Notices and events of creatives, by kind and what became of them.",
                &["kind", "result"],
            )?,
            events_dropped,
            spool: SpoolMetrics::register(metrics)?,
        })
    }
}

impl MoneyMetrics {
    /// A campaign of this currency is served: its sums are there from zero on.
    pub(crate) fn counts_in(&self, currency: Currency) {
        for sum in [&self.billed_nanos, &self.over_delivery_nanos] {
            sum.with_label_values(&[currency.as_str()]);
        }
    }
}

impl SpoolMetrics {
    fn register(metrics: &platform::Metrics) -> prometheus::Result<Self> {
        Ok(Self {
            records: metrics.gauge("spool_records", "Notices that wait in the local spool.")?,
            bytes: metrics.gauge("spool_bytes", "Size of the local spool.")?,
            oldest_age_seconds: metrics.float_gauge(
                "spool_oldest_age_seconds",
                "Since the oldest notice in the local spool arrived; 0 when it is empty.",
            )?,
            refused: metrics.counter(
                "spool_refused_total",
                "Notices that the local spool did not take: full, or its disk fails.",
            )?,
            replayed: metrics.counter("spool_replayed_total", "Notices applied from the local spool.")?,
            set_aside: metrics.counter(
                "spool_set_aside_total",
                "Records that cannot be read or never be applied, set aside for a person.",
            )?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_under_its_own_word() {
        let registry = platform::Metrics::new("test").unwrap();
        let metrics = BiddingMetrics::register(&registry).unwrap();
        for reason in NoBidReason::ALL {
            metrics.bids.count_reason(*reason);
        }
        let text = registry.encode().unwrap();
        for reason in NoBidReason::ALL {
            let line = format!("bid_no_bid_reasons_total{{reason=\"{}\"}} 1", reason.as_str());
            assert!(text.contains(&line), "{line}");
        }
    }
}
