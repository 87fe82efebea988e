//! Traces: who asked whom for what and how long each took, sent over OTLP to `OTEL_EXPORTER_OTLP_ENDPOINT`.
//!
//! Without an endpoint, and for what the coin leaves out, a span is `None` and costs nothing. A span that has ended goes
//! into a bounded queue; one task sends them on. A full queue or a collector that is away loses spans, which is counted,
//! and never holds anybody up.

mod context;
mod export;
mod settings;
mod span;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::trace::SpanData;
use prometheus::IntCounter;
use tokio::sync::mpsc;

pub use context::TraceContext;
pub use opentelemetry::trace::SpanKind;
pub use settings::TraceSettings;
pub use span::Span;

use crate::{Metrics, Shutdown};
use export::Exporting;

/// Spans that wait to be sent. A span is about half a kilobyte.
const QUEUE: usize = 2_048;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// The trace of the request that is being answered, on its task.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_get().ok()
}

/// Answers a request as a part of `context`'s trace.
pub(crate) async fn within<F: Future>(context: Option<TraceContext>, answering: F) -> F::Output {
    match context {
        Some(context) => CURRENT.scope(context, answering).await,
        None => answering.await,
    }
}

/// A share of what happens, such as one request in ten thousand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

impl Share {
    /// Precondition: between 0 and 1.
    pub fn new(ratio: f64) -> Self {
        Self(ratio)
    }

    /// A coin that falls on this side so often.
    #[inline]
    pub fn is_hit(self) -> bool {
        self.0 > 0.0 && fastrand::f64() < self.0
    }
}

/// Where spans come from. Cheap to clone; the clones share one queue.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Source>);

#[derive(Clone, Debug)]
struct Source {
    shared: Arc<Shared>,
    /// Whose spans they are: one process may hold several services.
    scope: InstrumentationScope,
}

#[derive(Debug)]
struct Shared {
    share: Share,
    queue: mpsc::Sender<SpanData>,
    dropped: IntCounter,
    /// Taken by the task that sends.
    exporting: Mutex<Option<Exporting>>,
}

impl Traces {
    /// No trace is ever taken.
    pub fn off() -> Self {
        Self(None)
    }

    /// As the settings say; nothing is sent before [`Traces::export`].
    ///
    /// # Errors
    /// When the metrics are taken, or the exporter refuses the endpoint.
    pub(crate) fn new(
        service: &'static str,
        settings: &TraceSettings,
        metrics: &Metrics,
    ) -> Result<Self, export::Refused> {
        let counters = export::Counters::register(metrics)?;
        let Some(endpoint) = &settings.endpoint else {
            return Ok(Self::off());
        };
        let (queue, spans) = mpsc::channel(QUEUE);
        let dropped = counters.queue_full.clone();
        let exporting = Exporting::new(service, endpoint, spans, counters)?;
        let shared = Shared {
            share: settings.share,
            queue,
            dropped,
            exporting: Mutex::new(Some(exporting)),
        };
        Ok(Self(Some(Source {
            shared: Arc::new(shared),
            scope: InstrumentationScope::builder(service).build(),
        })))
    }

    /// The same, for the spans of one of the services in this process.
    pub fn of(&self, service: &'static str) -> Self {
        Self(self.0.as_ref().map(|source| Source {
            shared: source.shared.clone(),
            scope: InstrumentationScope::builder(service).build(),
        }))
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Sends what ends, in the background, until the process stops. Needs a Tokio runtime; a second call does nothing.
    pub(crate) fn export(&self, shutdown: &Shutdown) {
        let Some(source) = &self.0 else { return };
        let mut exporting = source
            .shared
            .exporting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(exporting) = exporting.take() {
            exporting.start(shutdown);
        }
    }

    /// The trace that a request belongs to, and its span if it is sampled: as the caller decided, else by the coin.
    pub(crate) fn enter(
        &self,
        caller: Option<TraceContext>,
        kind: SpanKind,
        name: impl FnOnce() -> String,
    ) -> (Option<TraceContext>, Option<Span>) {
        let Some(source) = &self.0 else {
            return (caller, None);
        };
        let is_sampled = caller.map_or_else(|| source.shared.share.is_hit(), |caller| caller.is_sampled);
        let context = TraceContext {
            trace_id: caller.map_or_else(context::trace_id, |caller| caller.trace_id),
            span_id: context::span_id(),
            is_sampled,
        };
        let span = is_sampled.then(|| Span::new(source, context, caller, kind, name()));
        (Some(context), span)
    }

    /// A part of a trace that began elsewhere; `None` if that is not sampled.
    pub fn child(
        &self,
        parent: TraceContext,
        kind: SpanKind,
        name: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Option<Span> {
        let source = self.0.as_ref().filter(|_| parent.is_sampled)?;
        let context = TraceContext {
            span_id: context::span_id(),
            ..parent
        };
        Some(Span::new(source, context, Some(parent), kind, name))
    }

    /// The first span of a trace whose ids the caller has chosen.
    pub fn first(
        &self,
        context: TraceContext,
        kind: SpanKind,
        name: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Option<Span> {
        let source = self.0.as_ref()?;
        Some(Span::new(source, context, None, kind, name))
    }
}
