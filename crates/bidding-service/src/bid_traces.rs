//! Traces of bids: one request in many, chosen by a coin, from its arrival to what its notices come to.
//!
//! The ids of a traced request's bids carry the trace ([`BidId::trace_id`]), and with it go through markup, token, notice
//! and topic. What the coin leaves out costs the coin.

use crate::metrics::STAGES;
use axum::http::HeaderMap;
use domain::id::BidId;
use platform::Traces;
use platform::traces::{Share, Span, SpanKind, TraceContext};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct BidTraces {
    traces: Traces,
    share: Share,
    /// As in the bids' ids.
    run: u64,
    requests: AtomicU64,
}

/// A request that the coin chose.
#[derive(Debug)]
pub(crate) struct TracedRequest {
    /// Tells apart the traced requests of this process.
    pub(crate) number: u64,
    span: Span,
}

impl BidTraces {
    /// `None`: no request is traced.
    pub(crate) fn new(traces: Traces, share: Share, run: u64) -> Option<Self> {
        traces.is_on().then(|| Self {
            traces,
            share,
            run,
            requests: AtomicU64::new(0),
        })
    }

    #[inline]
    pub(crate) fn choose(
        &self,
        exchange: &str,
        headers: &HeaderMap,
        arrived_at: Instant,
    ) -> Option<TracedRequest> {
        self.share
            .is_hit()
            .then(|| self.begin(exchange, headers, arrived_at))
            .flatten()
    }

    /// A trace of its own, whatever the exchange says of its own one: who may bid on must not decide what is traced.
    #[cold]
    fn begin(&self, exchange: &str, headers: &HeaderMap, arrived_at: Instant) -> Option<TracedRequest> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let context = TraceContext::begun(BidId::traced(self.run, number, 0).trace_id()?);
        let mut span = self.traces.first(context, SpanKind::Server, "bid")?;
        span.began_at(arrived_at.into_std());
        span.set("exchange", exchange.to_owned());
        if let Some(theirs) = TraceContext::of_headers(headers) {
            span.link(theirs);
        }
        Some(TracedRequest { number, span })
    }
}

impl TracedRequest {
    /// One of [`STAGES`], which is over.
    pub(crate) fn stage(&self, name: &'static str, began: Instant, ended: Instant) {
        debug_assert!(STAGES.contains(&name), "{name}");
        self.span.part(name, began.into_std(), ended.into_std());
    }

    pub(crate) fn end(mut self, outcome: &'static str) {
        self.span.set("outcome", outcome);
    }
}

/// The span of what happens to a bid later; `None` unless its request was traced.
pub(crate) fn later(traces: &Traces, bid_id: BidId, name: &'static str) -> Option<Span> {
    let bid = TraceContext::begun(bid_id.trace_id()?);
    let mut span = traces.child(bid, SpanKind::Server, name)?;
    span.set("bid_id", bid_id.to_string());
    Some(span)
}
