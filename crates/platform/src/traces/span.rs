//! One piece of work in a trace. Ends when it is dropped, so that one whose client hung up is seen too.

use std::borrow::Cow;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{Link, SpanId, SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{Source, TraceContext, context};

#[derive(Debug)]
pub struct Span {
    source: Source,
    context: TraceContext,
    began: Instant,
    /// `None` once it is queued.
    data: Option<SpanData>,
}

impl Span {
    pub(super) fn new(
        source: &Source,
        context: TraceContext,
        parent: Option<TraceContext>,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
    ) -> Self {
        let now = SystemTime::now();
        let parent_span_id = parent.map_or(SpanId::INVALID, |parent| {
            SpanId::from_bytes(parent.span_id.to_be_bytes())
        });
        let data = SpanData {
            span_context: context.to_span_context(false),
            parent_span_id,
            parent_span_is_remote: parent.is_some(),
            span_kind: kind,
            name: name.into(),
            start_time: now,
            end_time: now,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: source.scope.clone(),
        };
        Self {
            source: source.clone(),
            context,
            began: Instant::now(),
            data: Some(data),
        }
    }

    /// What others need to go on with this trace.
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// It began before it was known that it would be traced.
    pub fn began_at(&mut self, began: Instant) {
        if let Some(data) = &mut self.data {
            data.start_time = system_time(began);
            self.began = began;
        }
    }

    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(data) = &mut self.data {
            data.attributes.push(KeyValue::new(key, value));
        }
    }

    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(data) = &mut self.data {
            data.status = Status::error(why);
        }
    }

    /// Another trace that has to do with this one.
    pub fn link(&mut self, other: TraceContext) {
        if let Some(data) = &mut self.data {
            data.links
                .links
                .push(Link::with_context(other.to_span_context(true)));
        }
    }

    /// A part of it that is over.
    pub fn part(&self, name: &'static str, began: Instant, ended: Instant) {
        let context = TraceContext {
            span_id: context::span_id(),
            ..self.context
        };
        let mut part = Self::new(
            &self.source,
            context,
            Some(self.context),
            SpanKind::Internal,
            name,
        );
        if let Some(data) = &mut part.data {
            data.parent_span_is_remote = false;
            data.start_time = system_time(began);
        }
        part.queue(system_time(ended));
    }

    fn queue(&mut self, ended: SystemTime) {
        let Some(mut data) = self.data.take() else { return };
        data.end_time = ended;
        let shared = &self.source.shared;
        if shared.queue.try_send(data).is_err() {
            shared.dropped.inc();
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let start = self.data.as_ref().map(|data| data.start_time);
        // Not by the wall clock, which may have been set meanwhile.
        let ended = start.and_then(|start| start.checked_add(self.began.elapsed()));
        self.queue(ended.unwrap_or_else(SystemTime::now));
    }
}

fn system_time(at: Instant) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(at.elapsed()).unwrap_or(now)
}
