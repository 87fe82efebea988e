//! Health: liveness that asks nobody, readiness by one-way latches (after linkerd2-proxy's readiness).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

/// Whether this process should get traffic: once every latch is on, until draining turns it off for good.
///
/// A latch never goes off again: a backend that is lost later must not take every replica out of service.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<State>);

#[derive(Debug, Default)]
struct State {
    draining: AtomicBool,
    latches: Mutex<Vec<(String, Arc<AtomicBool>)>>,
}

/// One condition for readiness. Off until [`Latch::set`]; dropping it unset leaves it off.
#[derive(Clone, Debug)]
pub struct Latch(Arc<AtomicBool>);

impl Latch {
    /// Turns the latch on, for good.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Readiness {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a latch; `name` says what is waited for, such as "campaigns caught up". Take all latches before the
    /// server starts, or it may say ready too early.
    pub fn latch(&self, name: &str) -> Latch {
        let on = Arc::new(AtomicBool::new(false));
        self.latches().push((name.to_owned(), on.clone()));
        Latch(on)
    }

    /// Turns readiness off for good.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    pub fn is_ready(&self) -> bool {
        !self.is_draining() && self.waiting_for().is_empty()
    }

    /// The names of the latches that are not on.
    pub fn waiting_for(&self) -> Vec<String> {
        let latches = self.latches();
        latches
            .iter()
            .filter(|(_, on)| !on.load(Ordering::Acquire))
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn latches(&self) -> std::sync::MutexGuard<'_, Vec<(String, Arc<AtomicBool>)>> {
        self.0.latches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both spellings of both probes: `/health`, `/health/live`, `/ready`, `/health/ready`.
///
/// Merge it outside the HTTP stack: probes are neither shed, limited nor counted as traffic.
pub fn router(readiness: Readiness) -> Router {
    let ready = get(move || {
        let readiness = readiness.clone();
        async move { ready(&readiness) }
    });
    Router::new()
        .route("/health", get(live))
        .route("/health/live", get(live))
        .route("/ready", ready.clone())
        .route("/health/ready", ready)
}

async fn live() -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(json!({"status": "live"}))).into_response()
}

fn ready(readiness: &Readiness) -> Response {
    let waiting_for = readiness.waiting_for();
    let (status, word) = match (readiness.is_draining(), waiting_for.is_empty()) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, true) => (StatusCode::OK, "ready"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
    };
    let body = json!({"status": word, "waiting_for": waiting_for});
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_every_latch_is_on() {
        let readiness = Readiness::new();
        let caught_up = readiness.latch("campaigns caught up");
        let reached = readiness.latch("store reached");
        caught_up.set();
        assert!(!readiness.is_ready());
        assert_eq!(readiness.waiting_for(), ["store reached"]);
        reached.set();
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_dropped_latch_keeps_its_place() {
        let readiness = Readiness::new();
        drop(readiness.latch("never reached"));
        assert!(!readiness.is_ready());
    }

    #[test]
    fn draining_is_for_good() {
        let readiness = Readiness::new();
        let latch = readiness.latch("store reached");
        latch.set();
        readiness.drain();
        latch.set();
        assert!(!readiness.is_ready());
        assert_eq!(ready(&readiness).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
