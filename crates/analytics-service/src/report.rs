//! `GET /analytics/report`: what happened, by time and dimension, as JSON or CSV.
//!
//! Parameters, all optional: `from`, `to` (RFC 3339, or a date: local midnight; `to` is exclusive; both grow to
//! quarters of an hour), `time_zone` (IANA, default UTC), `granularity` (hour, day, total), `dimensions`, `metrics`,
//! `filter` (see [`filter`]), `page_size`, `page_token`. Rows are ordered by time, then by their dimensions; those
//! with nothing in them are left out. `totals` are of the whole report, not of the page.
//!
//! Money is in integers of each campaign's own currency; a report over campaigns of several currencies adds up
//! numbers, not money.

mod filter;
mod metric;
mod page_token;
mod request;
mod span;
mod table;

use crate::api::Api;
use crate::caller::Caller;
use crate::error::ApiError;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use platform::http::Json;
use serde::Serialize;
use storage::report_store::{Dimension, ReportQuery, ReportRow, Totals};

pub(crate) use metric::micros;
pub(crate) use span::utc;

use request::ReportRequest;
use span::Granularity;
use table::{Table, TableRow};

/// Where a CSV answer, which has no place for it, says how to go on.
const NEXT_PAGE_TOKEN: HeaderName = HeaderName::from_static("next-page-token");

#[derive(Serialize)]
struct Report<'a> {
    from: String,
    to: String,
    time_zone: &'a str,
    granularity: &'static str,
    rows: Vec<TableRow<'a>>,
    totals: Option<TableRow<'a>>,
    next_page_token: Option<&'a str>,
}

/// The handler.
pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(pairs) = query.map_err(|_| ApiError::UndecodableQuery)?;
    let mut request = ReportRequest::parse(&pairs, api.clock.unix_ms()).map_err(ApiError::BadQuery)?;
    confine(&mut request, &caller);
    let buckets = request.span.buckets(request.granularity, &request.zone);
    let (rows, next_page_token) = page(&api, &request, buckets.clone()).await?;
    let table = Table::of(&request, &buckets, &rows);
    let mut response = if wants_csv(&headers) {
        csv_response(&table, next_page_token.as_deref())?
    } else {
        let totals = Table::totals(&request.metrics, &totals(&api, &request).await?);
        Json(Report {
            from: utc(request.span.start_ms),
            to: utc(request.span.end_ms),
            time_zone: &request.time_zone,
            granularity: request.granularity.name(),
            rows: table.rows(),
            totals: totals.rows().pop(),
            next_page_token: next_page_token.as_deref(),
        })
        .into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept, authorization"));
    Ok(response)
}

/// A tenant's own filter stands beside what was asked for: asking for another advertiser finds nothing.
fn confine(request: &mut ReportRequest, caller: &Caller) {
    if let Caller::Advertiser(advertiser_id) = caller {
        let own = vec![advertiser_id.as_str().to_owned()];
        request.filters.push((Dimension::Advertiser, own));
    }
}

/// The page's rows, and how to go on when there are more.
async fn page(
    api: &Api,
    request: &ReportRequest,
    buckets: Vec<(i64, i64)>,
) -> Result<(Vec<ReportRow>, Option<String>), ApiError> {
    let query = ReportQuery {
        buckets,
        dimensions: request.dimensions.clone(),
        filters: request.filters.clone(),
        offset: request.offset,
        limit: request.page_size.saturating_add(1),
    };
    let mut rows = api.ports.reports.query(&query).await?;
    let more = rows.len() > request.page_size as usize;
    rows.truncate(request.page_size as usize);
    let next = more.then(|| request.next_page_token(request.page_size)).flatten();
    Ok((rows, next))
}

async fn totals(api: &Api, request: &ReportRequest) -> Result<Totals, ApiError> {
    let query = ReportQuery {
        buckets: request.span.buckets(Granularity::Total, &request.zone),
        dimensions: Vec::new(),
        filters: request.filters.clone(),
        offset: 0,
        limit: 1,
    };
    let rows = api.ports.reports.query(&query).await?;
    Ok(rows.first().map(|row| row.totals).unwrap_or_default())
}

fn csv_response(table: &Table, next_page_token: Option<&str>) -> Result<Response, ApiError> {
    let content_type = [(CONTENT_TYPE, "text/csv; charset=utf-8; header=present")];
    let mut response = (content_type, table.to_csv()?).into_response();
    if let Some(token) = next_page_token.and_then(|token| HeaderValue::from_str(token).ok()) {
        response.headers_mut().insert(NEXT_PAGE_TOKEN, token);
    }
    Ok(response)
}

/// Whether `text/csv` is asked for before any media type that JSON fits.
fn wants_csv(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let media_types = accepted.flat_map(|value| value.split(',')).map(|range| {
        let essence = range.split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    });
    media_types
        .into_iter()
        .find_map(|media_type| match media_type.as_str() {
            "text/csv" => Some(true),
            "application/json" | "application/*" | "*/*" => Some(false),
            _ => None,
        })
        .unwrap_or(false)
}
