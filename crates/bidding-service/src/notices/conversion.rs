//! `/event/conversion`: what a click has led to. A pixel of the landing page (GET) or the advertiser's server (POST) says it,
//! with the `adp_click` that the landing page was called with.
//!
//! `type`, `order_id`, `value` and `currency` stand in the query or, in a POST, in a JSON object. Counted once for each click,
//! type and order. A value is decimal text, kept in micros of the campaign's currency at the exchange's rates. These callers
//! are people's: a mistake is 400 and names its field.

use super::answer::Answer;
use super::price::decimal_to_micros;
use super::query::NoticeQuery;
use super::{Notices, Settlement};
use crate::live::Live;
use crate::settlement::Conversion;
use crate::token::{BadToken, BidToken, Click};
use axum::body::{Body, to_bytes};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::currency::Currency;
use domain::money::convert_down;
use platform::http::{FieldError, Problem};
use serde_json::Value;
use std::time::Duration;

/// What the landing page gets.
const CLICK_PARAMETER: &str = "adp_click";
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Of an advertiser whose campaign is not known any more.
const LOOKBACK_DAYS: i64 = 30;
/// More is somebody's accident: reports refuse it too.
const LARGEST_VALUE_MICROS: i64 = 10_000_000_000_000;
const LONGEST_BODY_BYTES: usize = 16 << 10;
const BODY_WITHIN: Duration = Duration::from_secs(5);
const DEFAULT_TYPE: &str = "conversion";

/// The landing page with the click in its query.
pub(super) fn landing(notices: &Notices, token: &BidToken) -> String {
    let now_ms = notices.clock.unix_ms();
    let campaign = notices.settlement.campaign(&token.campaign_id);
    let days = campaign.as_ref().map_or(LOOKBACK_DAYS, |campaign| {
        campaign.record().advertiser.conversion_lookback_days
    });
    let click = Click {
        bid: token.clone(),
        clicked_at_ms: now_ms,
        counts_until_ms: now_ms.saturating_add(days.clamp(0, 365) * DAY_MS),
        currency: campaign.map(|campaign| campaign.record().currency),
    };
    let mut sealed = String::with_capacity(512);
    notices.sealer.seal_click(&click, &mut sealed);
    with_click(&token.landing_url, &sealed)
}

fn with_click(landing_url: &str, click: &str) -> String {
    if landing_url.is_empty() {
        return String::new();
    }
    let (page, fragment) = match landing_url.split_once('#') {
        Some((page, fragment)) => (page, Some(fragment)),
        None => (landing_url, None),
    };
    let joint = match page.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    let (mark, fragment) = fragment.map_or(("", ""), |fragment| ("#", fragment));
    format!("{page}{joint}{CLICK_PARAMETER}={click}{mark}{fragment}")
}

pub(super) async fn pixel(State(notices): State<Notices>, RawQuery(raw): RawQuery) -> Response {
    match happened(&notices, &Said::of_query(&raw.unwrap_or_default())).await {
        Ok(answer) => answer.pixel(),
        Err(response) => response,
    }
}

pub(super) async fn from_server(
    State(notices): State<Notices>,
    RawQuery(raw): RawQuery,
    body: Body,
) -> Response {
    let Ok(Ok(body)) = tokio::time::timeout(BODY_WITHIN, to_bytes(body, LONGEST_BODY_BYTES)).await else {
        notices.count("conversion", "malformed");
        return Problem::payload_too_large(LONGEST_BODY_BYTES).into_response();
    };
    let said = if body.is_empty() {
        Ok(Said::of_query(&raw.unwrap_or_default()))
    } else {
        Said::of_json(&body)
    };
    let answered = match said {
        Ok(said) => happened(&notices, &said).await,
        Err(errors) => Err(refused(&notices, errors)),
    };
    match answered {
        Ok(answer) => answer.plain(),
        Err(response) => response,
    }
}

/// As it came.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    click: String,
    kind: String,
    order_id: String,
    value: String,
    currency: String,
}

impl Said {
    const NAMES: [&'static str; 5] = [CLICK_PARAMETER, "type", "order_id", "value", "currency"];

    fn fields(&mut self) -> [&mut String; 5] {
        [
            &mut self.click,
            &mut self.kind,
            &mut self.order_id,
            &mut self.value,
            &mut self.currency,
        ]
    }

    /// Pages add parameters of their own, so others are left alone.
    fn of_query(raw: &str) -> Self {
        let mut said = Self::default();
        for (field, name) in said.fields().into_iter().zip(Self::NAMES) {
            *field = NoticeQuery(raw).value(name).into_owned();
        }
        said
    }

    /// Numbers are taken by their text, so that none passes through a float.
    fn of_json(body: &[u8]) -> Result<Self, Vec<FieldError>> {
        let raw: serde_json::Map<String, Value> = serde_json::from_slice(body)
            .map_err(|_| vec![FieldError::new("", "invalid_json", "must be a JSON object")])?;
        let exact: std::collections::HashMap<&str, &serde_json::value::RawValue> =
            serde_json::from_slice(body).unwrap_or_default();
        let mut said = Self::default();
        let mut errors = Vec::new();
        for (name, value) in &raw {
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            let place = Self::NAMES.iter().position(|known| known == name);
            let Some(field) = place.and_then(|place| said.fields().into_iter().nth(place)) else {
                errors.push(FieldError::new(
                    pointer,
                    "unknown_field",
                    "is no field of a conversion",
                ));
                continue;
            };
            match value {
                Value::Null => {}
                Value::String(text) => field.clone_from(text),
                Value::Number(_) if name == "value" => {
                    let text = exact.get(name.as_str()).map(|raw| raw.get());
                    text.unwrap_or_default().clone_into(field);
                }
                _ => errors.push(FieldError::new(pointer, "invalid_type", "must be text")),
            }
        }
        if errors.is_empty() { Ok(said) } else { Err(errors) }
    }
}

async fn happened(notices: &Notices, said: &Said) -> Result<Answer, Response> {
    let conversion = read(said).map_err(|errors| refused(notices, errors))?;
    let click = match notices.sealer.open_click(notices.clock.unix_ms(), &said.click) {
        Ok(click) => click,
        Err(bad) => {
            let answer = match bad {
                BadToken::Forged => Answer::Forged,
                BadToken::Expired => Answer::Expired,
            };
            notices.count("conversion", answer.word());
            return Err(answer.plain());
        }
    };
    let (amount, currency) = in_campaign_currency(&notices.live.load(), &click, conversion.value);
    let conversion = Conversion {
        kind: conversion.kind,
        order_id: conversion.order_id,
        value_micros: amount,
        currency,
    };
    let settlement: &Settlement = &notices.settlement;
    let answer = Answer::of(settlement.conversion(&click.bid, conversion).await);
    notices.count("conversion", answer.word());
    Ok(answer)
}

#[derive(Debug)]
struct Checked {
    kind: String,
    order_id: Option<String>,
    /// Micros; the currency when it was said.
    value: Option<(i64, Option<Currency>)>,
}

fn read(said: &Said) -> Result<Checked, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut refuse = |name: &str, code, message: &str| {
        errors.push(FieldError::new(format!("/{name}"), code, message));
    };
    if said.click.is_empty() {
        refuse(CLICK_PARAMETER, "required", "is required: the landing page's own");
    }
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if said.kind.len() > 64 || !said.kind.bytes().all(is_word) {
        refuse(
            "type",
            "invalid_value",
            "must be at most 64 letters, digits, dots, - and _",
        );
    }
    if said.order_id.len() > 128 || said.order_id.contains(char::is_control) {
        refuse(
            "order_id",
            "invalid_value",
            "must be at most 128 bytes without control characters",
        );
    }
    let micros = decimal_to_micros(&said.value).filter(|_| said.value.len() <= 40);
    match micros {
        None if !said.value.is_empty() => {
            refuse(
                "value",
                "invalid_value",
                "must be a decimal number such as 12.50, not negative",
            );
        }
        Some(micros) if micros > LARGEST_VALUE_MICROS => {
            refuse("value", "too_large", "must be at most 10000000");
        }
        _ => {}
    }
    let currency: Option<Currency> = said.currency.to_ascii_uppercase().parse().ok();
    if currency.is_none() && !said.currency.is_empty() {
        refuse(
            "currency",
            "invalid_value",
            "must be three letters of ISO 4217, such as USD",
        );
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let or_default = |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
    Ok(Checked {
        kind: or_default(&said.kind, DEFAULT_TYPE),
        order_id: Some(said.order_id.clone()).filter(|order| !order.is_empty()),
        value: micros.map(|micros| (micros, currency)),
    })
}

/// A value that has no rate is left out: it counts as a conversion and adds to no sum of another currency.
fn in_campaign_currency(
    live: &Live,
    click: &Click,
    value: Option<(i64, Option<Currency>)>,
) -> (Option<i64>, Option<Currency>) {
    let Some((micros, said)) = value else {
        return (None, None);
    };
    let (from, to) = match (said, click.currency) {
        (Some(from), Some(to)) => (from, to),
        (one, other) => return (Some(micros), one.or(other)),
    };
    if from == to {
        return (Some(micros), Some(to));
    }
    let exchange = live.snapshot.exchange(&click.bid.dimensions.exchange);
    let rate_e9 = exchange.and_then(|exchange| exchange.serving().exchange.spec.rate_e9(from, to));
    let converted = rate_e9.and_then(|rate_e9| convert_down(micros, rate_e9));
    let converted = converted.filter(|micros| (0..=LARGEST_VALUE_MICROS).contains(micros));
    (converted, Some(to))
}

fn refused(notices: &Notices, errors: Vec<FieldError>) -> Response {
    notices.count("conversion", "malformed");
    let mut response = Problem::bad_request(errors).into_response();
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_click_goes_into_the_query_whatever_the_page_has() {
        for (page, expected) in [
            ("https://a.example", "https://a.example?adp_click=T"),
            ("https://a.example/?", "https://a.example/?adp_click=T"),
            ("https://a.example/?a=1", "https://a.example/?a=1&adp_click=T"),
            ("https://a.example/?a=1&", "https://a.example/?a=1&adp_click=T"),
            (
                "https://a.example/p#top?x",
                "https://a.example/p?adp_click=T#top?x",
            ),
            ("", ""),
        ] {
            assert_eq!(with_click(page, "T"), expected);
        }
    }

    #[test]
    fn a_number_in_json_is_read_by_its_text() {
        let said = Said::of_json(br#"{"adp_click": "T", "value": 0.30, "type": null}"#).unwrap();
        assert_eq!(
            (said.click.as_str(), said.value.as_str(), said.kind.as_str()),
            ("T", "0.30", "")
        );
    }

    #[test]
    fn every_mistake_is_told_with_its_pointer() {
        let pointers = |errors: Vec<FieldError>| {
            let body = serde_json::to_value(errors).unwrap();
            let told = body.as_array().unwrap().iter();
            told.map(|error| error["pointer"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let unread = Said::of_json(br#"{"value": true, "a/b": 1}"#).unwrap_err();
        assert_eq!(pointers(unread), ["/a~1b", "/value"]);
        let said = Said::of_query("type=a%20b&value=-1&currency=euro");
        let unread = read(&said).unwrap_err();
        assert_eq!(pointers(unread), ["/adp_click", "/type", "/value", "/currency"]);
        let said = Said::of_query("adp_click=T&value=10000000.01");
        assert_eq!(pointers(read(&said).unwrap_err()), ["/value"]);
    }
}
