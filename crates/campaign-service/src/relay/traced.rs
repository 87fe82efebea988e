//! The traces of changes on their way into the topic.

use platform::Traces;
use platform::traces::{Span, SpanKind, TraceContext};
use storage::StorageError;
use storage::campaign_store::{Announcement, Outgoing};

/// A span for each row whose request is traced: from the reading of what is announced until its topic has it.
pub(super) struct Traced<'a> {
    rows: Vec<(&'a Announcement, TraceContext, Option<Span>)>,
}

impl<'a> Traced<'a> {
    pub(super) fn begin(traces: &Traces, rows: &'a [Outgoing]) -> Self {
        let traced = rows.iter().filter_map(|row| {
            let change = TraceContext::parse(row.traceparent.as_deref()?)?;
            let mut span = traces.child(change, SpanKind::Producer, "publish");
            if let Some(span) = &mut span {
                let (kind, id) = named(&row.announcement);
                span.set("messaging.destination.name", kind);
                span.set("messaging.kafka.message.key", id.to_owned());
                span.set("outbox.sequence", row.sequence);
            }
            Some((&row.announcement, change, span))
        });
        Self {
            rows: traced.collect(),
        }
    }

    /// What a campaign's record carries on: of several changes in one record the last one's trace.
    pub(super) fn traceparent_of(&self, campaign_id: &str) -> Option<String> {
        let is_of = |announcement: &Announcement| matches!(announcement, Announcement::Campaign(id) if id == campaign_id);
        let (_, change, span) = self
            .rows
            .iter()
            .rev()
            .find(|(announcement, ..)| is_of(announcement))?;
        Some(span.as_ref().map_or(*change, Span::context).traceparent())
    }

    pub(super) fn end<T>(self, outcome: &Result<T, StorageError>) {
        for (_, _, span) in self.rows {
            if let (Some(mut span), Err(error)) = (span, outcome) {
                span.fail(error.to_string());
            }
        }
    }
}

fn named(announcement: &Announcement) -> (&'static str, &str) {
    match announcement {
        Announcement::Campaign(id) | Announcement::CampaignsOf(id) => ("campaigns", id),
        Announcement::Exchange(id) => ("exchanges", id),
    }
}
