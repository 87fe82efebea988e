//! Where in which trace: W3C Trace Context, as header `traceparent` has it.

use axum::http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub(crate) const TRACEPARENT: &str = "traceparent";

/// A span as others name it: the trace, the span in it, and whether it is sampled. Neither id is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: u128,
    pub span_id: u64,
    pub is_sampled: bool,
}

impl TraceContext {
    /// From a `traceparent`; `None` if it is none.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let found = TraceContextPropagator::new().extract_with_context(&Context::new(), &One(traceparent));
        let span = found.span();
        let context = span.span_context();
        context.is_valid().then(|| Self {
            trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(context.span_id().to_bytes()),
            is_sampled: context.is_sampled(),
        })
    }

    /// The first span of a trace whose id has the span's own in its lower half, so that whoever knows the trace can go on
    /// with it. Precondition: that half is not zero.
    pub fn begun(trace_id: u128) -> Self {
        Self {
            trace_id,
            // Truncation is the meaning.
            span_id: (trace_id & u128::from(u64::MAX)) as u64,
            is_sampled: true,
        }
    }

    /// That of the caller, if it sent one.
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
    }

    pub fn traceparent(&self) -> String {
        format!(
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id,
            self.span_id,
            u8::from(self.is_sampled)
        )
    }

    /// As log lines and traces show it.
    pub fn trace_id_text(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    pub(super) fn to_span_context(self, is_remote: bool) -> SpanContext {
        SpanContext::new(
            TraceId::from_bytes(self.trace_id.to_be_bytes()),
            SpanId::from_bytes(self.span_id.to_be_bytes()),
            TraceFlags::default().with_sampled(self.is_sampled),
            is_remote,
            TraceState::NONE,
        )
    }
}

pub(super) fn trace_id() -> u128 {
    fastrand::u128(1..)
}

pub(super) fn span_id() -> u64 {
    fastrand::u64(1..)
}

/// A carrier that has nothing but a `traceparent`.
struct One<'a>(&'a str);

impl Extractor for One<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}
