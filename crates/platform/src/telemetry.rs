//! Logs: JSON on stdout where machines collect them, readable on stderr where people look.

mod allowance;
mod json_lines;

use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::fmt::time::SystemTime;

use json_lines::JsonLines;

use crate::Clock;
use crate::config::{Mistake, Mistakes, Settings};
use crate::process::EXIT_CONFIG;

/// `LOG_FORMAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line on stdout.
    Json,
    /// Readable lines on stderr.
    Pretty,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("expected json or pretty"),
        }
    }
}

/// `LOG_LEVEL` and `LOG_FORMAT`, checked.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// A level in any case (`info`, `INFO`) or directives (`info,sqlx=warn`), known to be valid.
    pub directives: String,
    pub format: LogFormat,
    /// `LOG_FORMAT=json` was set: machines read even why nothing starts.
    pub is_json_asked: bool,
}

impl LogSettings {
    /// Defaults: `info`, and JSON unless stderr is a terminal.
    pub fn read(settings: &mut Settings) -> Self {
        let directives = settings.string("LOG_LEVEL", "info");
        if !are_valid(&directives) {
            settings.mistake(
                "LOG_LEVEL",
                &directives,
                "expected error, warn, info, debug, trace or off, or directives such as info,sqlx=warn",
            );
        }
        let default = if std::io::stderr().is_terminal() {
            LogFormat::Pretty
        } else {
            LogFormat::Json
        };
        let format = settings.parse_optional("LOG_FORMAT");
        Self {
            directives,
            format: format.unwrap_or(default),
            is_json_asked: format == Some(LogFormat::Json),
        }
    }
}

/// `EnvFilter` alone would take a mistyped level for the name of a module.
fn are_valid(directives: &str) -> bool {
    let bare_levels_are_known = directives
        .split(',')
        .filter(|directive| !directive.contains(['=', '[', ']', '}']))
        .all(|directive| directive.trim().parse::<LevelFilter>().is_ok());
    bare_levels_are_known && EnvFilter::try_new(directives).is_ok()
}

/// Starts logging for the whole process and logs panics, each once, with the request id of the span they are in.
///
/// Lines of JSON that repeat too fast are left out and counted; `k8s/monitoring/logs.md` lists their fields.
/// A second call leaves the first in place, so that tests and embedded services may call it freely.
pub fn init(service: &'static str, log: &LogSettings) {
    let filter = EnvFilter::try_new(&log.directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SystemTime);
    let installed = match log.format {
        LogFormat::Json => builder
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines::new(service, Clock::system()))
            .with_writer(std::io::stdout)
            .try_init(),
        LogFormat::Pretty => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .try_init(),
    };
    if installed.is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// Says what is wrong with the settings, all of it, and answers with the exit code for that: on stderr for people, as lines
/// of the log where JSON was asked for.
pub fn refuse(service: &'static str, log: &LogSettings, mistakes: &Mistakes) -> ExitCode {
    if log.is_json_asked {
        let log = LogSettings {
            directives: "error".to_owned(),
            ..log.clone()
        };
        init(service, &log);
        for Mistake {
            name,
            found,
            expected,
        } in mistakes.iter()
        {
            tracing::error!(name, found, expected, "bad setting");
        }
    } else {
        eprintln!("{service}: bad settings\n{mistakes}");
    }
    ExitCode::from(EXIT_CONFIG)
}

pub(crate) fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("not a text");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(message = "panicked", panic = message, location);
}
