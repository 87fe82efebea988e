//! The parameters of `GET /analytics/report`, checked. Every mistake is found, not only the first.

use super::filter;
use super::metric::Metric;
use super::page_token::PageToken;
use super::span::{self, BadSpan, Granularity, Span};
use domain::mistake::{Mistake, Mistakes};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use storage::report_store::Dimension;

const PARAMETERS: [&str; 9] = [
    "from",
    "to",
    "time_zone",
    "granularity",
    "dimensions",
    "metrics",
    "filter",
    "page_size",
    "page_token",
];
const DEFAULT_PAGE_SIZE: u32 = 1_000;
const MAX_PAGE_SIZE: u32 = 10_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct ReportRequest {
    pub(super) span: Span,
    /// As the client spelt it.
    pub(super) time_zone: String,
    pub(super) zone: TimeZone,
    pub(super) granularity: Granularity,
    pub(super) dimensions: Vec<Dimension>,
    pub(super) metrics: Vec<Metric>,
    /// All must hold.
    pub(super) filters: Vec<(Dimension, Vec<String>)>,
    pub(super) offset: u32,
    pub(super) page_size: u32,
}

/// The dimension of that name.
pub(super) fn dimension(name: &str) -> Option<Dimension> {
    Dimension::ALL
        .into_iter()
        .find(|dimension| dimension.name() == name)
}

impl ReportRequest {
    /// Reads the decoded pairs of a query. Absent, `to` is now, and `from` a day earlier; reports by day begin with
    /// the day instead.
    ///
    /// # Errors
    /// Every mistake, each with its parameter's name in place of a pointer.
    pub(super) fn parse(pairs: &[(String, String)], now_ms: i64) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let given = known_parameters(pairs, &mut mistakes);
        let text = |name: &str| given.get(name).copied();

        let time_zone = text("time_zone").unwrap_or("UTC");
        let zone = TimeZone::get(time_zone).unwrap_or_else(|_| {
            mistakes.add(
                "time_zone",
                "unknown_value",
                "expected an IANA time zone, such as Europe/Berlin",
            );
            TimeZone::UTC
        });
        let granularity = text("granularity").map_or(Granularity::Total, |name| {
            one_of(name, Granularity::ALL, Granularity::name).unwrap_or_else(|| {
                mistakes.add("granularity", "unknown_value", "expected hour, day or total");
                Granularity::Total
            })
        });
        let dimensions = names(
            "dimensions",
            text("dimensions"),
            Dimension::ALL,
            Dimension::name,
            &mut mistakes,
        );
        let mut metrics = names(
            "metrics",
            text("metrics"),
            Metric::ALL,
            Metric::name,
            &mut mistakes,
        );
        if metrics.is_empty() {
            metrics = Metric::DEFAULT.to_vec();
        }
        let filters = text("filter").map_or_else(Vec::new, |text| filter::parse(text, &mut mistakes));
        let page_size = page_size(text("page_size"), &mut mistakes);
        let token = page_token(text("page_token"), &mut mistakes);
        let span = SpanParameters {
            from_ms: instant("from", text("from"), &zone, &mut mistakes),
            to_ms: instant("to", text("to"), &zone, &mut mistakes),
            token,
        };
        let span = span.resolve(granularity, &zone, now_ms, &mut mistakes);
        mistakes.finish()?;
        Ok(Self {
            // A span that is `None` left a mistake behind.
            span: span.ok_or_else(Vec::new)?,
            time_zone: time_zone.to_owned(),
            zone,
            granularity,
            dimensions,
            metrics,
            filters,
            offset: token.map_or(0, |token| token.offset),
            page_size,
        })
    }

    /// What continues this request `rows` further on.
    pub(super) fn next_page_token(&self, rows: u32) -> Option<String> {
        let token = PageToken {
            offset: self.offset.checked_add(rows)?,
            span: self.span,
        };
        Some(token.to_string())
    }
}

struct SpanParameters {
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    token: Option<PageToken>,
}

impl SpanParameters {
    /// A token keeps what "now" was on the first page.
    fn resolve(
        &self,
        granularity: Granularity,
        zone: &TimeZone,
        now_ms: i64,
        mistakes: &mut Mistakes,
    ) -> Option<Span> {
        let seen = self.token.map(|token| token.span);
        let end_ms = self.to_ms.or(seen.map(|span| span.end_ms)).unwrap_or(now_ms);
        let start_ms = self.from_ms.or(seen.map(|span| span.start_ms));
        let start_ms = start_ms.unwrap_or_else(|| match granularity {
            Granularity::Day => span::day_start_ms(end_ms.saturating_sub(1), zone),
            Granularity::Hour | Granularity::Total => end_ms.saturating_sub(DAY_MS),
        });
        match Span::aligned(start_ms, end_ms) {
            Ok(span) => {
                let continued = seen.is_none_or(|seen| seen == span);
                mistakes.require(
                    continued,
                    "page_token",
                    "another_query",
                    "the token belongs to a report with another from or to",
                );
                return Some(span);
            }
            Err(BadSpan::Empty) => mistakes.add("to", "empty_range", "expected an instant after from"),
            Err(BadSpan::TooLong) => mistakes.add("to", "too_long", "expected at most 400 days"),
            Err(BadSpan::OutOfRange) => {
                mistakes.add(
                    "from",
                    "out_of_range",
                    "expected instants within the years 2000 to 2099",
                );
            }
        }
        None
    }
}

/// Each known parameter once; what is unknown or repeated is a mistake. An empty one counts as absent.
fn known_parameters<'a>(
    pairs: &'a [(String, String)],
    mistakes: &mut Mistakes,
) -> BTreeMap<&'a str, &'a str> {
    let mut given = BTreeMap::new();
    for (name, value) in pairs {
        if !PARAMETERS.contains(&name.as_str()) {
            let expected = format!("unknown parameter; expected one of {}", PARAMETERS.join(", "));
            mistakes.add(name.as_str(), "unknown_parameter", expected);
        } else if given.insert(name.as_str(), value.as_str()).is_some() {
            mistakes.add(name.as_str(), "repeated", "expected once");
        }
    }
    given.retain(|_, value| !value.is_empty());
    given
}

/// A list of names separated by commas, each known and named once.
fn names<T: Copy + PartialEq, const N: usize>(
    parameter: &str,
    text: Option<&str>,
    all: [T; N],
    name_of: fn(T) -> &'static str,
    mistakes: &mut Mistakes,
) -> Vec<T> {
    let mut found = Vec::new();
    for name in text.into_iter().flat_map(|text| text.split(',')).map(str::trim) {
        match one_of(name, all, name_of) {
            Some(one) if found.contains(&one) => {
                mistakes.add(parameter, "repeated", format!("{name} is named twice"));
            }
            Some(one) => found.push(one),
            None => {
                let expected = all.map(name_of).join(", ");
                mistakes.add(
                    parameter,
                    "unknown_value",
                    format!("{name:?} is none of {expected}"),
                );
            }
        }
    }
    found
}

fn one_of<T: Copy, const N: usize>(name: &str, all: [T; N], name_of: fn(T) -> &'static str) -> Option<T> {
    all.into_iter().find(|one| name_of(*one) == name)
}

fn instant(parameter: &str, text: Option<&str>, zone: &TimeZone, mistakes: &mut Mistakes) -> Option<i64> {
    let text = text?;
    let instant_ms = span::parse_instant_ms(text, zone);
    mistakes.require(
        instant_ms.is_some(),
        parameter,
        "invalid_time",
        "expected a date such as 2026-01-31 or an instant such as 2026-01-31T00:00:00Z",
    );
    instant_ms
}

fn page_size(text: Option<&str>, mistakes: &mut Mistakes) -> u32 {
    let Some(text) = text else {
        return DEFAULT_PAGE_SIZE;
    };
    let size = text
        .parse()
        .ok()
        .filter(|size| (1..=MAX_PAGE_SIZE).contains(size));
    size.unwrap_or_else(|| {
        mistakes.add("page_size", "out_of_range", "expected 1 to 10000");
        DEFAULT_PAGE_SIZE
    })
}

fn page_token(text: Option<&str>, mistakes: &mut Mistakes) -> Option<PageToken> {
    let token = text?.parse();
    mistakes.require(
        token.is_ok(),
        "page_token",
        "invalid_token",
        "expected a next_page_token as it was given",
    );
    token.ok()
}

#[cfg(test)]
mod tests;
