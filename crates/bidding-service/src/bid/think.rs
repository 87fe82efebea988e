//! The synchronous part of a bid: parse, decide, answer, in the buffers of the thread.
//!
//! When the user's state is wanted it stops after parsing, since nothing that lies in a thread's arena may live
//! across an await; it then begins again with the state. Parsing twice costs microseconds, a round trip to a
//! store a hundred times as much.

use super::{Answered, Bidder, Gathered};
use crate::answer::{self, Asked};
use crate::bid_traces::TracedRequest;
use crate::live::Live;
use crate::user_key::user_key;
use bidding_engine::{Counter, Decision, Now, Outcome, Scratch, UserView};
use bumpalo::Bump;
use bytes::Bytes;
use domain::event::Dimensions;
use openrtb::BidRequest;
use openrtb::codes::no_bid_reason;
use std::cell::RefCell;
use std::time::Duration;
use tokio::time::Instant;

/// One large request must not keep its memory for ever.
const ARENA_KEPT_BYTES: usize = 4 << 20;

pub(super) enum Thought {
    NeedsUser { user_key: String, deadline: Instant },
    Done(Answered),
}

impl Thought {
    pub(super) fn into_answered(self) -> Answered {
        match self {
            Self::Done(answered) => answered,
            // Asked once and answered either way: it is not asked again.
            Self::NeedsUser { .. } => Answered::Late,
        }
    }
}

/// Buffers of one thread, kept from request to request.
#[derive(Default)]
struct Workspace {
    arena: Bump,
    buffers: Buffers,
}

#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    decisions: Vec<Decision>,
    out: Vec<u8>,
    made: Vec<Dimensions>,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}

/// One request on its way through.
struct Thinking<'a> {
    bidder: &'a Bidder,
    live: &'a Live,
    exchange_id: &'a str,
    arrived_at: Instant,
    gathered: &'a Gathered,
    traced: Option<&'a TracedRequest>,
}

impl Bidder {
    pub(super) fn think(
        &self,
        live: &Live,
        exchange_id: &str,
        arrived_at: Instant,
        body: &[u8],
        gathered: &Gathered,
        traced: Option<&TracedRequest>,
    ) -> Thought {
        let thinking = Thinking {
            bidder: self,
            live,
            exchange_id,
            arrived_at,
            gathered,
            traced,
        };
        WORKSPACE.with_borrow_mut(|workspace| {
            let thought = thinking.parse(body, &workspace.arena, &mut workspace.buffers);
            if workspace.arena.allocated_bytes() > ARENA_KEPT_BYTES {
                workspace.arena = Bump::new();
            }
            workspace.arena.reset();
            thought
        })
    }
}

impl Thinking<'_> {
    fn parse(&self, body: &[u8], arena: &Bump, buffers: &mut Buffers) -> Thought {
        let metrics = &self.bidder.metrics;
        let began = Instant::now();
        let request = openrtb::read_request(body, arena);
        let parsed_at = Instant::now();
        metrics.parse_seconds.observe((parsed_at - began).as_secs_f64());
        self.trace("parse", began, parsed_at);
        let Ok(mut request) = request else {
            return Thought::Done(Answered::Malformed);
        };
        let Some(deadline) = self.deadline(&request) else {
            metrics.insufficient_time.inc();
            return Thought::Done(self.no_bid(&request, no_bid_reason::INSUFFICIENT_AUCTION_TIME, buffers));
        };
        if parsed_at >= deadline {
            return Thought::Done(Answered::Late);
        }
        let asks_for_user =
            self.live.snapshot.needs_user_state() && matches!(self.gathered, Gathered::Unasked);
        match asks_for_user
            .then(|| self.live.snapshot.exchange(self.exchange_id))
            .flatten()
            .and_then(|exchange| user_key(&request, &exchange.serving().exchange))
        {
            Some(user_key) => Thought::NeedsUser { user_key, deadline },
            None => {
                if let Some(locations) = &self.live.locations {
                    locations.locate(&mut request, arena);
                }
                Thought::Done(self.decide(&request, deadline, arena, buffers))
            }
        }
    }

    /// `None`: `tmax` leaves nothing once the network has had its share.
    fn deadline(&self, request: &BidRequest<'_>) -> Option<Instant> {
        let timing = self.bidder.timing;
        let budget = match request.tmax_ms {
            // Some exchanges send 0 for "not said".
            None | Some(0) => timing.bid_timeout,
            Some(tmax_ms) => Duration::from_millis(u64::from(tmax_ms))
                .checked_sub(timing.network_margin)
                .filter(|left| !left.is_zero())?
                .min(timing.bid_timeout),
        };
        Some(self.arrived_at + budget)
    }

    fn decide(
        &self,
        request: &BidRequest<'_>,
        deadline: Instant,
        arena: &Bump,
        buffers: &mut Buffers,
    ) -> Answered {
        let bidder = self.bidder;
        let Some(exchange) = self.live.snapshot.exchange(self.exchange_id) else {
            return Answered::NoBid(None);
        };
        let began = Instant::now();
        let (counters, user_key);
        let user = match self.gathered {
            Gathered::Unasked => {
                user_key = None;
                UserView::Unidentified
            }
            Gathered::Late { user_key: key } => {
                user_key = Some(key.as_str());
                UserView::Unavailable
            }
            Gathered::Known { user_key: key, state } => {
                user_key = Some(key.as_str());
                counters =
                    arena.alloc_slice_fill_iter(state.counters.iter().map(|(counter, impressions)| {
                        Counter {
                            scope_id: &counter.scope_id,
                            window_ms: counter.window_ms,
                            impressions: *impressions,
                        }
                    }));
                UserView::Known {
                    counters,
                    audiences: &state.audiences,
                }
            }
        };
        let now = Now {
            unix_ms: bidder.clock.unix_ms(),
            monotonic_ms: bidder.clock.monotonic_ms(),
        };
        let outcome = bidding_engine::bid(
            &self.live.snapshot,
            exchange,
            &self.live.leases,
            &user,
            now,
            request,
            &mut buffers.scratch,
            &mut buffers.decisions,
        );
        let mut decided_at = Instant::now();
        while decided_at < began + bidder.timing.slower_decision {
            decided_at = Instant::now();
        }
        bidder
            .metrics
            .decide_seconds
            .observe((decided_at - began).as_secs_f64());
        self.trace("decide", began, decided_at);
        self.count_reasons(&buffers.scratch, outcome);
        match outcome {
            Outcome::NoBid(_) if decided_at >= deadline => Answered::Late,
            Outcome::NoBid(reason) => self.no_bid(request, reason.nbr(), buffers),
            Outcome::Bid => {
                let asked = Asked {
                    request,
                    exchange: &exchange.serving().exchange,
                    live: self.live,
                    user_key,
                    at_ms: now.unix_ms,
                    traced: self.traced.map(|traced| traced.number),
                };
                self.bid(asked, decided_at, deadline, arena, buffers)
            }
        }
    }

    fn bid(
        &self,
        asked: Asked<'_>,
        decided_at: Instant,
        deadline: Instant,
        arena: &Bump,
        buffers: &mut Buffers,
    ) -> Answered {
        let bidder = self.bidder;
        buffers.out.clear();
        buffers.made.clear();
        bidder.answerer.write_bids(
            asked,
            &buffers.decisions,
            arena,
            &mut buffers.out,
            &mut buffers.made,
        );
        let answered_at = Instant::now();
        bidder
            .metrics
            .answer_seconds
            .observe((answered_at - decided_at).as_secs_f64());
        self.trace("answer", decided_at, answered_at);
        if answered_at >= deadline {
            self.take_back(&buffers.decisions);
            return Answered::Late;
        }
        bidder.metrics.bids.inc_by(buffers.made.len() as u64);
        for decision in buffers.decisions.iter().filter(|decision| !decision.test) {
            if let Some(market) = decision.market {
                bidder.shading.bid_made(market, decision.price_cpm_micros);
            }
        }
        for dimensions in buffers.made.iter().filter(|_| !asked.request.test) {
            bidder.events.bid_made(asked.at_ms, dimensions);
        }
        Answered::Bid(Bytes::copy_from_slice(&buffers.out))
    }

    fn trace(&self, stage: &'static str, began: Instant, ended: Instant) {
        if let Some(traced) = self.traced {
            traced.stage(stage, began, ended);
        }
    }

    /// The bids never left: what they reserved is free again.
    fn take_back(&self, decisions: &[Decision]) {
        for decision in decisions.iter().filter(|decision| !decision.test) {
            if let Some(cell) = self.live.leases.cells.get(decision.campaign) {
                cell.cancel(decision.reserved_nanos);
            }
        }
    }

    fn no_bid(&self, request: &BidRequest<'_>, nbr: u16, buffers: &mut Buffers) -> Answered {
        let exchange = self.live.snapshot.exchange(self.exchange_id);
        let is_wanted = exchange.is_some_and(|exchange| exchange.serving().exchange.spec.wants_no_bid_reason);
        if !is_wanted && !request.test {
            return Answered::NoBid(None);
        }
        buffers.out.clear();
        answer::write_no_bid(request.id, nbr, &mut buffers.out);
        Answered::NoBid(Some(Bytes::copy_from_slice(&buffers.out)))
    }

    fn count_reasons(&self, scratch: &Scratch, outcome: Outcome) {
        let metrics = &self.bidder.metrics;
        let mut per_imp = scratch.reasons().iter().flatten().peekable();
        if let (None, Outcome::NoBid(reason)) = (per_imp.peek(), outcome) {
            metrics.count_reason(reason);
        }
        per_imp.for_each(|reason| metrics.count_reason(*reason));
    }
}

#[cfg(test)]
mod tests;
