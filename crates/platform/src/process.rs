//! One process: what it is given at its start, and the shared body of every `main`.

mod program;
mod run;
mod settings;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;

pub use program::Program;
pub use run::{EXIT_CONFIG, StartError, run};
pub use settings::ProcessSettings;

use crate::server::{Server, ServerOptions};
use crate::{Clock, Metrics, Readiness, Shutdown, Traces, health, metrics};

/// What a service gets when it starts. Cheap to clone.
#[derive(Clone)]
pub struct Process {
    pub service: &'static str,
    pub settings: ProcessSettings,
    pub metrics: Metrics,
    pub traces: Traces,
    pub readiness: Readiness,
    pub shutdown: Shutdown,
    pub clock: Clock,
}

impl Process {
    /// A process around `settings`; listens to nothing yet, neither ports nor signals.
    ///
    /// # Errors
    /// When the metrics cannot be registered, or traces cannot be sent to where the settings say.
    pub fn new(service: &'static str, settings: ProcessSettings) -> Result<Self, StartError> {
        let readiness = Readiness::new();
        let shutdown = Shutdown::new(settings.shutdown, readiness.clone());
        let metrics = Metrics::new(service)?.counting_requests(settings.metrics_enabled);
        let traces = Traces::new(service, &settings.traces, &metrics)?;
        let asked = readiness.clone();
        metrics.asked_gauge(
            "ready",
            "1 while the process is ready for traffic, else 0: it starts, waits for a backend, or drains.",
            move || i64::from(asked.is_ready()),
        )?;
        Ok(Self {
            service,
            settings,
            metrics,
            traces,
            readiness,
            shutdown,
            clock: Clock::system(),
        })
    }

    /// Tells, in one line of the log and in metric `backend_info`, which backend serves each port of a service:
    /// their kinds alone, without addresses and secrets.
    pub fn tell_backends(&self, service: &str, ports: &[(&str, &str)]) {
        let told: Vec<String> = ports
            .iter()
            .map(|(port, backend)| format!("{port}: {backend}"))
            .collect();
        tracing::info!(of = service, backends = told.join(", "), "backends are chosen");
        self.metrics.show_backends(service, ports);
    }

    /// Keeps `backend_up{service,backend}` by asking now and again; `ask` says whether the backend answered.
    pub fn watch_backend<Ask, Asking>(&self, service: &'static str, backend: &'static str, ask: Ask)
    where
        Ask: Fn() -> Asking + Send + 'static,
        Asking: Future<Output = bool> + Send,
    {
        self.metrics.watch_backend(service, backend, &self.shutdown, ask);
    }

    /// Sends traces until the process stops; a second call does nothing. Needs a Tokio runtime.
    pub fn export_traces(&self) {
        self.traces.export(&self.shutdown);
    }

    /// Serves `router`, and the probes beside it, on `HTTP_ADDR`. Returns the bound address.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(&self, router: Router) -> std::io::Result<SocketAddr> {
        let server = Server::bind(self.service, self.settings.http_addr, ServerOptions::default()).await?;
        Ok(self.serve_with_probes(server, router))
    }

    /// The same on threads of its own: see [`Server::bind_apart`].
    ///
    /// # Errors
    /// As [`Server::bind_apart`].
    pub async fn serve_apart(&self, router: Router) -> std::io::Result<SocketAddr> {
        let addr = self.settings.http_addr;
        let server = Server::bind_apart(self.service, addr, ServerOptions::default()).await?;
        Ok(self.serve_with_probes(server, router))
    }

    fn serve_with_probes(&self, server: Server, router: Router) -> SocketAddr {
        let addr = server.local_addr();
        // The service's fallback answers unknown paths, hence the order.
        server.serve(
            health::router(self.readiness.clone()).merge(router),
            &self.shutdown,
        );
        addr
    }

    /// Serves `/metrics` (unless `METRICS_ENABLED` is false) and the probes on `METRICS_ADDR`. Returns the bound
    /// address.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve_metrics(&self) -> std::io::Result<SocketAddr> {
        let mut router = health::router(self.readiness.clone());
        if self.settings.metrics_enabled {
            router = router.merge(metrics::router(self.metrics.clone()));
        }
        let server = Server::bind("metrics", self.settings.metrics_addr, ServerOptions::default()).await?;
        let addr = server.local_addr();
        server.serve(router, &self.shutdown);
        Ok(addr)
    }
}
