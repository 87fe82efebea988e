//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::Service;

use super::activity::{Activity, ObservedStream, Phase};
use super::turn::Waiting;
use super::{Arrival, ServerOptions};
use crate::shutdown::Shutdown;

pub(super) struct Connection {
    peer: SocketAddr,
    options: ServerOptions,
    shutdown: Shutdown,
    activity: Arc<Activity>,
    waiting: Arc<Waiting>,
}

/// What the timer found.
enum Verdict {
    /// Look again then.
    Until(Instant),
    /// Too slow or too idle.
    Cut,
    /// Let hyper finish what it is at, then close.
    Finish,
}

impl Connection {
    pub(super) fn new(
        peer: SocketAddr,
        options: ServerOptions,
        shutdown: Shutdown,
        waiting: Arc<Waiting>,
    ) -> Self {
        Self {
            peer,
            options,
            shutdown,
            activity: Arc::new(Activity::new()),
            waiting,
        }
    }

    /// Serves until either end closes, a bound is broken, or a shutdown has been carried out.
    pub(super) async fn serve(self, stream: TcpStream, router: Router) {
        let io = TokioIo::new(ObservedStream::new(
            stream,
            self.activity.clone(),
            self.waiting.clone(),
        ));
        let service = service_fn(|request| self.answer(request, router.clone()));
        let mut http = pin!(
            http1::Builder::new()
                .header_read_timeout(None)
                .serve_connection(io, service)
        );
        let mut timer = pin!(tokio::time::sleep(self.options.head_timeout));
        // A token of its own: the shared one's lock would be taken by every connection at every wake.
        let mut end = self.shutdown.closing().child_token();
        let mut closing_since = None;
        let mut finishing = false;
        loop {
            tokio::select! {
                biased;
                // An error here is a client that broke off or spoke no HTTP, to whom hyper has said 400.
                _ = http.as_mut() => return,
                () = end.cancelled() => {
                    if closing_since.is_some() {
                        return;
                    }
                    closing_since = Some(Instant::now());
                    end = self.shutdown.hard().child_token();
                    timer.as_mut().reset(Instant::now() + self.options.linger);
                }
                () = timer.as_mut(), if !finishing => match self.verdict(Instant::now(), closing_since) {
                    Verdict::Until(then) => timer.as_mut().reset(then),
                    Verdict::Cut => return,
                    Verdict::Finish => {
                        http.as_mut().graceful_shutdown();
                        finishing = true;
                    }
                },
            }
        }
    }

    fn verdict(&self, now: Instant, closing_since: Option<Instant>) -> Verdict {
        let since = self.activity.since();
        match (self.activity.phase(), closing_since) {
            (Phase::Head, _) => self.bounded(now, since + self.options.head_timeout),
            (Phase::Busy, None) => Verdict::Until(now + self.options.head_timeout),
            (Phase::Waiting, None) => self.bounded(now, since + self.options.idle_timeout),
            // hyper would wait for a first request.
            (Phase::Waiting, Some(_)) if !self.activity.has_served() => Verdict::Cut,
            // Idle connections have lingered by now; a response that is still being written is finished.
            (Phase::Busy | Phase::Waiting, Some(_)) => Verdict::Finish,
        }
    }

    /// Cut at the deadline; until then look again at least every head timeout, since a head may begin any time.
    fn bounded(&self, now: Instant, deadline: Instant) -> Verdict {
        if now >= deadline {
            Verdict::Cut
        } else {
            Verdict::Until(deadline.min(now + self.options.head_timeout))
        }
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        mut router: Router,
    ) -> Result<Response, Infallible> {
        let arrival = Arrival {
            at: self.activity.head_complete(),
            peer: self.peer,
            waiting: self.waiting.count(),
        };
        request.extensions_mut().insert(arrival);
        let mut response = router.call(request.map(Body::new)).await?;
        self.activity.answered();
        // From the first signal on, answers send their clients to another replica.
        if self.shutdown.is_requested() {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}
