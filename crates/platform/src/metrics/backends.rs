//! Whether the backends answer: asked by the process itself, so that a backend nobody needs at the moment is not
//! taken for one that is well.

use std::future::Future;
use std::time::Duration;

use prometheus::IntGaugeVec;

use crate::Shutdown;

const EVERY: Duration = Duration::from_secs(5);
/// Longer than any adapter waits for a server, so that it is the adapter that gives up.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// `backend_up{service,backend}`.
#[derive(Clone, Debug)]
pub(super) struct BackendsUp(pub(super) IntGaugeVec);

impl BackendsUp {
    pub(super) fn watch<Ask, Asking>(
        &self,
        service: &'static str,
        backend: &'static str,
        shutdown: &Shutdown,
        ask: Ask,
    ) where
        Ask: Fn() -> Asking + Send + 'static,
        Asking: Future<Output = bool> + Send,
    {
        let is_up = self.0.with_label_values(&[service, backend]);
        let stopped = shutdown.requested().clone();
        let asking = async move {
            loop {
                let answered = tokio::time::timeout(ANSWER_WITHIN, ask()).await;
                is_up.set(i64::from(answered.unwrap_or(false)));
                tokio::time::sleep(EVERY).await;
            }
        };
        shutdown.spawn(backend, async move {
            tokio::select! {
                () = asking => {}
                () = stopped.cancelled() => {}
            }
        });
    }
}
