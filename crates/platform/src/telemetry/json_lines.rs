//! One flat JSON object a line: what `k8s/monitoring/logs.md` says about a line is said here.

use std::fmt;

use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::allowance::{Allowance, Verdict};
use crate::Clock;

/// Fields that every line has and that only this module writes.
const FIXED: [&str; 6] = ["timestamp", "level", "target", "service", "version", "left_out"];

/// Writes events of one process as JSON.
pub(super) struct JsonLines {
    service: &'static str,
    clock: Clock,
    allowance: Allowance,
}

impl JsonLines {
    pub(super) fn new(service: &'static str, clock: Clock) -> Self {
        Self {
            service,
            clock,
            allowance: Allowance::default(),
        }
    }

    /// How many lines of this place were left out since its last one; none when this one is left out too.
    /// Who asks for details (debug, trace) gets them all.
    fn left_out(&self, event: &Event<'_>) -> Option<u64> {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return Some(0);
        }
        match self.allowance.ask(metadata.callsite(), self.clock.monotonic_ms()) {
            Verdict::Write { left_out } => Some(left_out),
            Verdict::LeaveOut => None,
        }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(left_out) = self.left_out(event) else {
            return Ok(());
        };
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        // From the inside out: the innermost span that names a field is the one that is heard.
        for span in context.event_scope().into_iter().flatten() {
            if let Some(text) = span.extensions().get::<FormattedFields<N>>() {
                fields.add_span(text);
            }
        }
        let metadata = event.metadata();
        let mut line = Vec::with_capacity(256);
        let mut json = serde_json::Serializer::new(&mut line);
        let written = (|| {
            let mut map = json.serialize_map(None)?;
            map.serialize_entry("timestamp", &timestamp)?;
            map.serialize_entry("level", metadata.level().as_str())?;
            map.serialize_entry("target", metadata.target())?;
            map.serialize_entry("service", self.service)?;
            map.serialize_entry("version", env!("CARGO_PKG_VERSION"))?;
            for (name, value) in &fields.0 {
                map.serialize_entry(name, value)?;
            }
            if left_out > 0 {
                map.serialize_entry("left_out", &left_out)?;
            }
            map.end()
        })();
        written.map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", String::from_utf8_lossy(&line))
    }
}

/// Fields of an event and its spans, each name once.
#[derive(Default)]
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn add(&mut self, name: &str, value: Value) {
        let name = if FIXED.contains(&name) {
            format!("event_{name}")
        } else {
            name.to_owned()
        };
        if !self.0.iter().any(|(known, _)| *known == name) {
            self.0.push((name, value));
        }
    }

    fn add_span(&mut self, json: &str) {
        if let Ok(Value::Object(fields)) = serde_json::from_str(json) {
            for (name, value) in fields {
                self.add(&name, value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value.into());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        let value = u64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from);
        self.add(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use tracing_subscriber::fmt::format::JsonFields;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `act` leaves.
    fn lines(clock: &Clock, act: impl FnOnce()) -> Vec<Value> {
        let paper = Paper::default();
        let written = paper.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines::new("tested", clock.clone()))
            .with_writer(move || paper.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_flat_and_says_who_speaks_and_for_which_request() {
        let lines = lines(&Clock::manual(0), || {
            let _outer = tracing::info_span!("outer", request_id = "not this", route = "/a").entered();
            let _inner = tracing::info_span!("http", request_id = "r-1").entered();
            tracing::warn!(
                timeout_ms = 5_u128,
                level = "mine",
                "request \"timed\" out\nat last"
            );
        });
        let [line] = lines.as_slice() else {
            panic!("{lines:?}")
        };
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["event_level"], "mine");
        assert_eq!(line["service"], "tested");
        assert_eq!(line["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(line["message"], "request \"timed\" out\nat last");
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["route"], "/a");
        assert_eq!(line["timeout_ms"], 5);
        assert!(line.get("left_out").is_none());
    }

    #[test]
    fn a_repeated_warning_is_left_out_and_counted_and_details_are_not() {
        let clock = Clock::manual(0);
        let warn = || tracing::warn!("again");
        let lines = lines(&clock, || {
            (0..100).for_each(|_| warn());
            (0..100).for_each(|_| tracing::debug!("detail"));
            clock.advance(10_000);
            warn();
        });
        let of = |message: &str| lines.iter().filter(|line| line["message"] == message).count();
        assert_eq!((of("again"), of("detail")), (21, 100));
        assert_eq!(lines.last().unwrap()["left_out"], 80);
    }
}
