//! `OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_TRACES_SAMPLER_ARG`, by their names in OpenTelemetry's specification.

use std::fmt;
use std::str::FromStr;

use axum::http::Uri;

use super::Share;
use crate::config::{SettingHelp, Settings};

#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// Where spans are sent; without it there are none.
    pub endpoint: Option<Endpoint>,
    /// Of requests whose caller did not decide.
    pub share: Share,
}

/// `http://HOST:PORT`, below which the collector has `/v1/traces`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl TraceSettings {
    pub const HELP: &'static [SettingHelp] = &[
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "collector of traces, http://HOST:4318 (no traces)",
        ),
        (
            "OTEL_TRACES_SAMPLER_ARG",
            "share of API requests that are traced when their caller does not say (1)",
        ),
    ];

    pub fn read(settings: &mut Settings) -> Self {
        Self {
            endpoint: settings.parse_optional("OTEL_EXPORTER_OTLP_ENDPOINT"),
            share: Share::new(settings.parse_within("OTEL_TRACES_SAMPLER_ARG", 1.0, 0.0..=1.0)),
        }
    }
}

impl Endpoint {
    pub(super) fn traces(&self) -> String {
        format!("{}/v1/traces", self.0)
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected http://HOST:PORT of a collector that speaks OTLP over HTTP";
        let uri: Uri = text.parse().map_err(|_| EXPECTED)?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(EXPECTED);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
