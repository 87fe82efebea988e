//! Prometheus metrics: one registry for a process, and the HTTP metrics that every service has.

mod asked;
mod backends;
mod catalogue;
mod http;
mod requests;

use std::future::Future;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use asked::AskedGauge;
use backends::BackendsUp;
use catalogue::Catalogue;
pub use catalogue::{Family, Kind};
pub use http::HttpMetrics;
pub(crate) use http::{RouteSeries, Started};
pub use requests::{OfRequests, RequestCounter, RequestHistogram};

use crate::Shutdown;
use crate::http::Problem;

/// Upper bounds of the buckets of an API call's time, in seconds: about 2.2 to a step, so that a quantile read between two
/// edges is off by a factor of 2.5 at the worst. A call reads or writes a database, which takes a millisecond; above 10 s
/// every request has timed out.
const DURATION_BUCKETS_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The process's registry. Cheap to clone; clones share it.
///
/// The constructors create a metric and register it; they fail on a name that is invalid or already taken.
#[derive(Clone, Debug)]
pub struct Metrics {
    catalogue: Catalogue,
    http_requests: IntCounterVec,
    http_duration_seconds: HistogramVec,
    http_in_flight: IntGaugeVec,
    backends: IntGaugeVec,
    backends_up: BackendsUp,
    counts_requests: bool,
}

impl Metrics {
    /// A registry with `build_info{service,version}`, the process metrics (on Linux) and the HTTP metrics.
    ///
    /// # Errors
    /// Never in practice: only if the names written here clash.
    pub fn new(service: &str) -> prometheus::Result<Self> {
        let catalogue = Catalogue::new();
        #[cfg(target_os = "linux")]
        catalogue.registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        let build_info = IntGaugeVec::new(
            Opts::new("build_info", "Always 1; the labels say what is running."),
            &["service", "version"],
        )?;
        build_info
            .with_label_values(&[service, env!("CARGO_PKG_VERSION")])
            .set(1);
        catalogue.register(Kind::Gauge, &[], build_info)?;
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
        let backends_up = IntGaugeVec::new(
            Opts::new(
                "backend_up",
                "1 while the backend answers this service, else 0; no series for an embedded one.",
            ),
            &["service", "backend"],
        )?;
        Ok(Self {
            backends: catalogue.register(Kind::Gauge, &[], backends)?,
            backends_up: BackendsUp(catalogue.register(Kind::Gauge, &[], backends_up)?),
            http_requests: catalogue.register(Kind::Counter, &[], http_requests)?,
            http_duration_seconds: catalogue.register(
                Kind::Histogram,
                DURATION_BUCKETS_SECONDS,
                http_duration_seconds,
            )?,
            http_in_flight: catalogue.register(Kind::Gauge, &[], http_in_flight)?,
            catalogue,
            counts_requests: true,
        })
    }

    /// Whether requests are counted and timed; what is not of a request always is.
    #[must_use]
    pub fn counting_requests(self, counts_requests: bool) -> Self {
        Self {
            counts_requests,
            ..self
        }
    }

    /// A metric of each request, registered already.
    pub fn of_requests<M>(&self, metric: M) -> OfRequests<M> {
        OfRequests::new(metric, self.counts_requests)
    }

    /// The HTTP metrics under the label `service`; one process may hold several services.
    pub fn http(&self, service: &str) -> HttpMetrics {
        HttpMetrics::new(
            service,
            self.http_requests.clone(),
            self.http_duration_seconds.clone(),
            self.http_in_flight.with_label_values(&[service]),
            self.counts_requests,
        )
    }

    /// Which backend serves each port of a service.
    pub(crate) fn show_backends(&self, service: &str, ports: &[(&str, &str)]) {
        for (port, backend) in ports {
            self.backends.with_label_values(&[service, port, backend]).set(1);
        }
    }

    /// Asks a backend now and again, until the end is asked for, whether it answers.
    pub(crate) fn watch_backend<Ask, Asking>(
        &self,
        service: &'static str,
        backend: &'static str,
        shutdown: &Shutdown,
        ask: Ask,
    ) where
        Ask: Fn() -> Asking + Send + 'static,
        Asking: Future<Output = bool> + Send,
    {
        self.backends_up.watch(service, backend, shutdown, ask);
    }

    pub fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.catalogue
            .register(Kind::Counter, &[], IntCounter::new(name, help)?)
    }

    pub fn counter_vec(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.catalogue.register(
            Kind::Counter,
            &[],
            IntCounterVec::new(Opts::new(name, help), labels)?,
        )
    }

    /// A gauge of whole numbers.
    pub fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.catalogue
            .register(Kind::Gauge, &[], IntGauge::new(name, help)?)
    }

    pub fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.catalogue
            .register(Kind::Gauge, &[], IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A gauge of fractions, such as an age in seconds.
    pub fn float_gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.catalogue.register(Kind::Gauge, &[], Gauge::new(name, help)?)
    }

    pub fn float_gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.catalogue
            .register(Kind::Gauge, &[], GaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A histogram with the given upper bounds.
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.catalogue
            .register(Kind::Histogram, buckets, Histogram::with_opts(opts)?)
    }

    pub fn histogram_vec(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.catalogue
            .register(Kind::Histogram, buckets, HistogramVec::new(opts, labels)?)
    }

    /// A gauge that is asked when it is scraped.
    pub fn asked_gauge(
        &self,
        name: &str,
        help: &str,
        ask: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> prometheus::Result<()> {
        let gauge = AskedGauge::new(name, help, ask)?;
        self.catalogue.register(Kind::Gauge, &[], gauge).map(drop)
    }

    /// Every family that was registered, by name, whether it has series yet or not.
    pub fn families(&self) -> Vec<Family> {
        self.catalogue.families()
    }

    /// The registry itself, for collectors of other kinds; what they register is not among the families.
    pub fn registry(&self) -> &Registry {
        &self.catalogue.registry
    }

    /// Everything in Prometheus's text format.
    ///
    /// # Errors
    /// When a collector yields a metric that cannot be written.
    pub fn encode(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.catalogue.registry.gather())
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
