//! Requests by route template, with the series of each route kept at hand: a request on the hot path looks up no
//! label, it compares a few words.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};

/// The route label of a path that no route matches.
const UNMATCHED: &str = "unmatched";

/// `http_requests_total`, `http_request_duration_seconds` and `http_requests_in_flight` of one service.
#[derive(Clone, Debug)]
pub struct HttpMetrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    service: String,
    requests: IntCounterVec,
    duration_seconds: HistogramVec,
    in_flight: IntGauge,
    counts_requests: bool,
}

#[derive(Debug)]
struct Series {
    method: &'static str,
    status: StatusCode,
    route: String,
    requests: IntCounter,
    duration_seconds: Histogram,
}

/// The series that one route has used so far. Bounded: methods and statuses are few, routes are templates.
#[derive(Clone, Debug)]
pub(crate) struct RouteSeries {
    families: HttpMetrics,
    seen: Arc<ArcSwap<Vec<Arc<Series>>>>,
}

/// A request that is being answered. Dropped unanswered (the client hung up), it only leaves the in-flight gauge.
#[derive(Debug)]
pub(crate) struct Started {
    at: Instant,
    method: &'static str,
    route: Option<MatchedPath>,
    series: RouteSeries,
}

impl HttpMetrics {
    pub(super) fn new(
        service: &str,
        requests: IntCounterVec,
        duration_seconds: HistogramVec,
        in_flight: IntGauge,
        counts_requests: bool,
    ) -> Self {
        Self(Arc::new(Families {
            service: service.to_owned(),
            requests,
            duration_seconds,
            in_flight,
            counts_requests,
        }))
    }

    pub(crate) fn route_series(&self) -> RouteSeries {
        RouteSeries {
            families: self.clone(),
            seen: Arc::new(ArcSwap::from_pointee(Vec::new())),
        }
    }

    fn series(&self, method: &'static str, route: &str, status: StatusCode) -> Series {
        let labels = [self.0.service.as_str(), method, route, status.as_str()];
        Series {
            method,
            status,
            route: route.to_owned(),
            requests: self.0.requests.with_label_values(&labels),
            duration_seconds: self.0.duration_seconds.with_label_values(&labels),
        }
    }
}

impl RouteSeries {
    /// `None` where requests are not counted.
    pub(crate) fn start(&self, method: &Method, route: Option<&MatchedPath>) -> Option<Started> {
        if !self.families.0.counts_requests {
            return None;
        }
        self.families.0.in_flight.inc();
        Some(Started {
            at: Instant::now(),
            method: known_method(method),
            route: route.cloned(),
            series: self.clone(),
        })
    }

    fn observe(&self, method: &'static str, route: &str, status: StatusCode, seconds: f64) {
        let seen = self.seen.load();
        let known = seen
            .iter()
            .find(|series| series.status == status && series.method == method && series.route == route);
        if let Some(series) = known {
            return series.observe(seconds);
        }
        let series = Arc::new(self.families.series(method, route, status));
        series.observe(seconds);
        self.seen
            .rcu(|seen| seen.iter().chain([&series]).cloned().collect::<Vec<_>>());
    }
}

impl Series {
    fn observe(&self, seconds: f64) {
        self.requests.inc();
        self.duration_seconds.observe(seconds);
    }
}

impl Started {
    /// Counts the answer.
    pub(crate) fn answered(&self, status: StatusCode) {
        let route = self.route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
        self.series
            .observe(self.method, route, status, self.at.elapsed().as_secs_f64());
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.series.families.0.in_flight.dec();
    }
}

/// Clients may invent methods, and a label must not follow them.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
