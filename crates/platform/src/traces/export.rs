//! From the queue to the collector.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prometheus::IntCounter;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::settings::Endpoint;
use crate::{Metrics, Shutdown};

const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// After a batch that was not taken.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// For the last spans of a process.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Why traces cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    #[error("traces cannot be exported: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// `trace_spans_exported_total` and `trace_spans_dropped_total{reason}`.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    exported: IntCounter,
    pub(super) queue_full: IntCounter,
    not_taken: IntCounter,
}

impl Counters {
    pub(super) fn register(metrics: &Metrics) -> prometheus::Result<Self> {
        let dropped = metrics.counter_vec(
            "trace_spans_dropped_total",
            "Spans that were lost: their queue was full, or the collector of traces did not take them.",
            &["reason"],
        )?;
        Ok(Self {
            exported: metrics.counter(
                "trace_spans_exported_total",
                "Spans that the collector of traces took.",
            )?,
            queue_full: dropped.with_label_values(&["queue_full"]),
            not_taken: dropped.with_label_values(&["not_taken"]),
        })
    }
}

/// What sends, not yet started.
#[derive(Debug)]
pub(super) struct Exporting {
    exporter: SpanExporter,
    spans: mpsc::Receiver<SpanData>,
    counters: Counters,
    is_away: bool,
}

impl Exporting {
    pub(super) fn new(
        service: &'static str,
        endpoint: &Endpoint,
        spans: mpsc::Receiver<SpanData>,
        counters: Counters,
    ) -> Result<Self, Refused> {
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint.traces())
            .with_timeout(ANSWER_WITHIN)
            .build()?;
        // What `OTEL_RESOURCE_ATTRIBUTES` says of the pod is in it as well.
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        exporter.set_resource(&resource);
        Ok(Self {
            exporter,
            spans,
            counters,
            is_away: false,
        })
    }

    /// Ends after the background tasks, whose last spans it still sends.
    pub(super) fn start(self, shutdown: &Shutdown) {
        let stop = CancellationToken::new();
        let sending = tokio::spawn(self.run(stop.clone()));
        shutdown.on_stop("last spans", async move {
            stop.cancel();
            if tokio::time::timeout(LAST_PATIENCE, sending).await.is_err() {
                tracing::debug!("the last spans are lost");
            }
        });
    }

    async fn run(mut self, stop: CancellationToken) {
        let mut pause = Duration::ZERO;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                first = self.spans.recv() => match first {
                    Some(first) => batch.push(first),
                    None => break,
                },
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep(GATHER) => {}
            }
            self.fill(&mut batch);
            pause = match self.send(std::mem::take(&mut batch)).await {
                true => Duration::ZERO,
                false => (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
            };
        }
        self.fill(&mut batch);
        while !batch.is_empty() && self.send(std::mem::take(&mut batch)).await {
            self.fill(&mut batch);
        }
    }

    fn fill(&mut self, batch: &mut Vec<SpanData>) {
        while batch.len() < BATCH
            && let Ok(span) = self.spans.try_recv()
        {
            batch.push(span);
        }
    }

    /// Says whether the collector took them. What it does not take is lost: traces are worth no memory.
    async fn send(&mut self, batch: Vec<SpanData>) -> bool {
        let spans = batch.len() as u64;
        let sent = self.exporter.export(batch).await;
        match &sent {
            Ok(()) => {
                self.counters.exported.inc_by(spans);
                if self.is_away {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                self.counters.not_taken.inc_by(spans);
                if !self.is_away {
                    tracing::warn!(%error, "the collector does not take traces, they are lost");
                }
            }
        }
        self.is_away = sent.is_err();
        sent.is_ok()
    }
}
