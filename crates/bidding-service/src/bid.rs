//! `POST /openrtb2/bid`: from the arrival of a request to its answer, inside the deadline.
//!
//! admit -> read -> parse -> gather (at most one awaited read of the user's state) -> decide -> answer. Late, shed
//! or nothing to offer is a 204, malformed a 400, and nothing is ever a 5xx. Nothing here logs.

mod think;

use crate::answer::Answerer;
use crate::bid_events::BidEvents;
use crate::bid_traces::{BidTraces, TracedRequest};
use crate::error::Refusal;
use crate::exchange_gate::{ExchangeGate, Proof};
use crate::live::Live;
use crate::metrics::BidMetrics;
use crate::overload::Queue;
use crate::samples::Sampler;
use crate::shading::Shading;
use crate::transport::{self, Encoding};
use arc_swap::ArcSwap;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use platform::Clock;
use platform::server::Arrival;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use storage::UserStates;
use storage::user_states::UserState;
use think::Thought;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// The exchange of `/openrtb2/bid`.
const DEFAULT_EXCHANGE: &str = "default";
const OPENRTB_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-openrtb-version"),
    HeaderValue::from_static("2.6"),
);
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Everything a bid needs.
pub(crate) struct Bidder {
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) user_states: Arc<dyn UserStates>,
    pub(crate) answerer: Answerer,
    pub(crate) events: BidEvents,
    pub(crate) shading: Shading,
    /// Where somebody may ask for forecasts.
    pub(crate) sampler: Option<Sampler>,
    pub(crate) clock: Clock,
    pub(crate) metrics: BidMetrics,
    pub(crate) traces: Option<BidTraces>,
    pub(crate) timing: Timing,
    /// Whoever has waited too long in it is shed.
    pub(crate) queue: Queue,
    /// Bids that wait for a user's state; beyond them requests are shed, since each holds memory.
    pub(crate) in_flight: Semaphore,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// The longest from arrival to answer.
    pub(crate) bid_timeout: Duration,
    /// Of `tmax`, what the network needs.
    pub(crate) network_margin: Duration,
    pub(crate) user_state_timeout: Duration,
    /// Zero, but in benchmarks.
    pub(crate) slower_decision: Duration,
}

/// What became of a request of a known exchange.
enum Answered {
    Bid(Bytes),
    /// With a body only where the exchange wants to know why.
    NoBid(Option<Bytes>),
    Late,
    Shed,
    Malformed,
}

/// What is known of the user.
#[derive(Debug)]
enum Gathered {
    /// Nobody has asked yet.
    Unasked,
    Late {
        user_key: String,
    },
    Known {
        user_key: String,
        state: UserState,
    },
}

pub(crate) async fn default_exchange(State(bidder): State<Arc<Bidder>>, request: Request) -> Response {
    bidder.respond(DEFAULT_EXCHANGE, None, request).await
}

pub(crate) async fn named_exchange(
    State(bidder): State<Arc<Bidder>>,
    exchange: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    match exchange {
        Ok(Path(exchange)) => bidder.respond(&exchange, None, request).await,
        Err(_) => Refusal::UnknownExchange.into_response(),
    }
}

pub(crate) async fn named_exchange_with_secret(
    State(bidder): State<Arc<Bidder>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    match path {
        Ok(Path((exchange, secret))) => bidder.respond(&exchange, Some(&secret), request).await,
        Err(_) => Refusal::UnknownExchange.into_response(),
    }
}

impl Bidder {
    async fn respond(&self, exchange: &str, secret_path: Option<&str>, request: Request) -> Response {
        let arrival = request.extensions().get::<Arrival>();
        let arrived_at = arrival.map_or_else(Instant::now, |arrival| arrival.at);
        let live = self.live.load_full();
        let Some(gate) = live.gates.get(exchange) else {
            self.metrics.unknown_exchange.inc();
            return Refusal::UnknownExchange.into_response();
        };
        let proof = Proof {
            peer: arrival.map(|arrival| arrival.peer.ip()),
            headers: request.headers(),
            secret_path,
        };
        if !gate.admits(proof) {
            gate.metrics.unproven.inc();
            return Refusal::Unproven.into_response();
        }
        let traced = self
            .traces
            .as_ref()
            .and_then(|traces| traces.choose(exchange, request.headers(), arrived_at));
        let monotonic_ms = self.clock.monotonic_ms();
        let is_within_rate = gate.limit.as_ref().is_none_or(|limit| limit.admits(monotonic_ms));
        let others = arrival.map_or(0, |arrival| arrival.waiting);
        let is_in_time = self.queue.admits(arrived_at.elapsed(), others, monotonic_ms);
        let answered = if !is_within_rate {
            // What the exchange agreed to is not ours to make up for: no fault, as `shed` is one.
            self.metrics.qps_limit.inc();
            Answered::NoBid(None)
        } else if is_in_time {
            self.answer_or_catch(&live, exchange, arrived_at, request, traced.as_ref())
                .await
        } else {
            Answered::Shed
        };
        self.metrics.duration_seconds.observe_since(arrived_at.into_std());
        if let Some(traced) = traced {
            traced.end(answered.word());
        }
        answered.into_response(gate)
    }

    /// No input should make it panic; if one does, the exchange sees a no-bid, the panic hook has logged it.
    async fn answer_or_catch(
        &self,
        live: &Live,
        exchange: &str,
        arrived_at: Instant,
        request: Request,
        traced: Option<&TracedRequest>,
    ) -> Answered {
        let answering = self.answer(live, exchange, arrived_at, request, traced);
        AssertUnwindSafe(answering)
            .catch_unwind()
            .await
            .unwrap_or_else(|_panic| {
                self.metrics.panics.inc();
                Answered::NoBid(None)
            })
    }

    async fn answer(
        &self,
        live: &Live,
        exchange: &str,
        arrived_at: Instant,
        request: Request,
        traced: Option<&TracedRequest>,
    ) -> Answered {
        let Ok(encoding) = Encoding::of(request.headers()) else {
            return Answered::Malformed;
        };
        let latest = arrived_at + self.timing.bid_timeout;
        let body = match timeout_at(latest, transport::read(request.into_body(), encoding)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => return Answered::Malformed,
            Err(_elapsed) => return Answered::Late,
        };
        if Instant::now() >= latest {
            return Answered::Late;
        }
        let Ok(body) = encoding.decode(body) else {
            return Answered::Malformed;
        };
        let thought = self.think(live, exchange, arrived_at, &body, &Gathered::Unasked, traced);
        if let Some(sampler) = &self.sampler
            && !matches!(thought, Thought::Done(Answered::Malformed))
        {
            sampler.seen(exchange, &body, arrived_at);
        }
        let Thought::NeedsUser { user_key, deadline } = thought else {
            return thought.into_answered();
        };
        // Not before: a client that is slow with its body holds nobody up.
        let Ok(_permit) = self.in_flight.try_acquire() else {
            return Answered::Shed;
        };
        let began = Instant::now();
        let gathered = self.gather(user_key, deadline).await;
        if let Some(traced) = traced {
            traced.stage("gather", began, Instant::now());
        }
        self.think(live, exchange, arrived_at, &body, &gathered, traced)
            .into_answered()
    }

    /// The one awaited read of the bid path.
    async fn gather(&self, user_key: String, deadline: Instant) -> Gathered {
        let began = Instant::now();
        let until = deadline.min(began + self.timing.user_state_timeout);
        let read = timeout_at(until, self.user_states.read(&user_key, self.clock.unix_ms())).await;
        self.metrics.gather_seconds.observe_since(began.into_std());
        match read {
            // What is shown now counts for whom the key stands for.
            Ok(Ok(mut state)) => Gathered::Known {
                user_key: state.linked_to.take().unwrap_or(user_key),
                state,
            },
            Ok(Err(_)) | Err(_) => Gathered::Late { user_key },
        }
    }
}

impl Answered {
    fn word(&self) -> &'static str {
        match self {
            Self::Bid(_) => "bid",
            Self::NoBid(_) => "no_bid",
            Self::Late => "late",
            Self::Shed => "shed",
            Self::Malformed => "malformed",
        }
    }

    fn into_response(self, gate: &ExchangeGate) -> Response {
        let metrics = &gate.metrics;
        let (counter, body) = match self {
            Self::Malformed => {
                metrics.malformed.inc();
                return Refusal::Malformed.into_response();
            }
            Self::Bid(body) => (&metrics.bid, Some(body)),
            Self::NoBid(body) => (&metrics.no_bid, body),
            Self::Late => (&metrics.late, None),
            Self::Shed => (&metrics.shed, None),
        };
        counter.inc();
        match body {
            Some(body) => ([(CONTENT_TYPE, JSON), OPENRTB_VERSION], body).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        }
    }
}
