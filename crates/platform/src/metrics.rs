//! Prometheus metrics: one registry for a process, and the HTTP metrics that every service has.

mod http;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use http::HttpMetrics;
pub(crate) use http::{RouteSeries, Started};

use crate::http::Problem;

/// Upper bounds of the duration buckets, in seconds. 0.1 is the bid's budget.
pub const DURATION_BUCKETS_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The process's registry. Cheap to clone; clones share it.
///
/// The constructors create a metric and register it; they fail on a name that is invalid or already taken.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    http_requests: IntCounterVec,
    http_duration_seconds: HistogramVec,
    http_in_flight: IntGaugeVec,
    backends: IntGaugeVec,
}

impl Metrics {
    /// A registry with `build_info{service,version}`, the process metrics (on Linux) and the HTTP metrics.
    ///
    /// # Errors
    /// Never in practice: only if the names written here clash.
    pub fn new(service: &str) -> prometheus::Result<Self> {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        let build_info = IntGaugeVec::new(
            Opts::new("build_info", "Always 1; the labels say what is running."),
            &["service", "version"],
        )?;
        build_info
            .with_label_values(&[service, env!("CARGO_PKG_VERSION")])
            .set(1);
        register(&registry, build_info)?;
        let labels = ["service", "method", "route", "status"];
        let http_requests =
            IntCounterVec::new(Opts::new("http_requests_total", "Requests answered."), &labels)?;
        let http_duration_seconds = HistogramVec::new(
            HistogramOpts::new(
                "http_request_duration_seconds",
                "From the parsed head to the response's head.",
            )
            .buckets(DURATION_BUCKETS_SECONDS.to_vec()),
            &labels,
        )?;
        let http_in_flight = IntGaugeVec::new(
            Opts::new("http_requests_in_flight", "Requests being answered."),
            &["service"],
        )?;
        let backends = IntGaugeVec::new(
            Opts::new(
                "backend_info",
                "Always 1; the labels say which backend serves which port.",
            ),
            &["service", "port", "backend"],
        )?;
        Ok(Self {
            backends: register(&registry, backends)?,
            http_requests: register(&registry, http_requests)?,
            http_duration_seconds: register(&registry, http_duration_seconds)?,
            http_in_flight: register(&registry, http_in_flight)?,
            registry,
        })
    }

    /// The HTTP metrics under the label `service`; one process may hold several services.
    pub fn http(&self, service: &str) -> HttpMetrics {
        HttpMetrics::new(
            service,
            self.http_requests.clone(),
            self.http_duration_seconds.clone(),
            self.http_in_flight.with_label_values(&[service]),
        )
    }

    /// Which backend serves each port of a service.
    pub(crate) fn show_backends(&self, service: &str, ports: &[(&str, &str)]) {
        for (port, backend) in ports {
            self.backends.with_label_values(&[service, port, backend]).set(1);
        }
    }

    pub fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        register(&self.registry, IntCounter::new(name, help)?)
    }

    pub fn counter_vec(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        register(&self.registry, IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// A gauge of whole numbers.
    pub fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        register(&self.registry, IntGauge::new(name, help)?)
    }

    pub fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        register(&self.registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A gauge of fractions, such as an age in seconds.
    pub fn float_gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        register(&self.registry, Gauge::new(name, help)?)
    }

    pub fn float_gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        register(&self.registry, GaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A histogram with the given upper bounds, such as [`DURATION_BUCKETS_SECONDS`].
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        register(&self.registry, Histogram::with_opts(opts)?)
    }

    pub fn histogram_vec(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        register(&self.registry, HistogramVec::new(opts, labels)?)
    }

    /// The registry itself, for collectors of other kinds.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything in Prometheus's text format.
    ///
    /// # Errors
    /// When a collector yields a metric that cannot be written.
    pub fn encode(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// `GET /metrics`.
pub fn router(metrics: Metrics) -> Router {
    Router::new().route(
        "/metrics",
        get(move || {
            let metrics = metrics.clone();
            async move { scrape(&metrics) }
        }),
    )
}

fn scrape(metrics: &Metrics) -> Response {
    match metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            Problem::internal(&error).into_response()
        }
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
