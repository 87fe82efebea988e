use super::*;
use crate::answer::Answerer;
use crate::bid::Timing;
use crate::bid_events::BidEvents;
use crate::exchange_gate::ExchangeGate;
use crate::markup::PreparedCreative;
use crate::metrics::BiddingMetrics;
use crate::overload::Queue;
use crate::samples::Sampler;
use crate::shading::Shading;
use crate::testing;
use crate::token::TokenSealer;
use arc_swap::ArcSwap;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use bidding_engine::{LeaseCell, Leases, Snapshot};
use domain::exchange::{Exchange, ExchangeSpec};
use domain::id::{BidderId, ExchangeId};
use domain::serving::{SCHEMA, ServingCampaign, ServingExchange};
use jiff::Timestamp;
use platform::{Clock, Readiness, Shutdown};
use serde_json::json;
use std::sync::Arc;
use storage_sqlite::SqliteStore;
use tokio::sync::Semaphore;

const REQUEST: &[u8] = br#"{"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}],
                            "site": {"domain": "news.example"}}"#;

fn serving() -> ServingCampaign {
    let mut serving = testing::campaign("cmp_1");
    serving.creatives = vec![testing::creative(json!({
        "format": "banner", "width": 300, "height": 250, "markup": "<a href=\"{CLICK_URL}\">x</a>",
    }))];
    let flight = &serving.campaign.spec.flight;
    serving.days = domain::period::days(flight, Timestamp::now(), 2);
    serving
}

fn exchange() -> ServingExchange {
    let now = Timestamp::now();
    ServingExchange {
        schema: SCHEMA,
        generation: 1,
        revision: 1,
        exchange: Exchange {
            id: ExchangeId::from("default"),
            spec: ExchangeSpec::default(),
            created_at: now,
            updated_at: now,
        },
    }
}

/// One campaign, whose lease covers more than is bid here.
fn live(cell: Arc<LeaseCell>) -> Live {
    cell.set_bids_ceiling(100);
    cell.set_reserve_ceiling_nanos(i64::MAX / 2);
    cell.set_valid_until_monotonic_ms(i64::MAX);
    let serving = serving();
    let creatives = serving.creatives.iter().map(PreparedCreative::new);
    Live {
        prepared: std::iter::once(Some(creatives.collect())).collect(),
        leases: Leases {
            cells: std::iter::once(cell).collect(),
        },
        snapshot: Snapshot::build([serving], &[exchange()]),
        ..Live::default()
    }
}

async fn bidder() -> Bidder {
    let clock = Clock::system();
    let store = SqliteStore::open("sqlite::memory:", Arc::new(|| 0))
        .await
        .unwrap();
    let ports = crate::wiring::embedded(Arc::new(store));
    let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
    let shutdown = Shutdown::new(Default::default(), Readiness::new());
    let sealer = Arc::new(TokenSealer::new(&[("k1", [7_u8; 32])]).unwrap());
    let id = BidderId("bdr_1".into());
    Bidder {
        traces: None,
        live: Arc::default(),
        user_states: ports.user_states,
        answerer: Answerer::new(sealer, "https://b.example".into(), id.clone(), 1),
        events: BidEvents::start(
            ports.event_log,
            id,
            clock.clone(),
            metrics.bids.bid_events_dropped.clone(),
            &shutdown,
        ),
        sampler: None,
        shading: Shading::start(
            BidderId("bdr_1".into()),
            metrics.bids.bid_events_dropped.clone(),
            &shutdown,
        ),
        clock,
        timing: Timing {
            bid_timeout: Duration::from_secs(3_600),
            network_margin: Duration::ZERO,
            user_state_timeout: Duration::ZERO,
            slower_decision: Duration::ZERO,
        },
        queue: Queue::new(Duration::from_secs(3_600)),
        in_flight: Semaphore::new(1),
        metrics: metrics.bids,
    }
}

fn thinking<'a>(bidder: &'a Bidder, live: &'a Live, arrived_at: Instant) -> Thinking<'a> {
    Thinking {
        traced: None,
        bidder,
        live,
        exchange_id: "default",
        arrived_at,
        gathered: &Gathered::Unasked,
    }
}

/// Anything that owns memory and is put into the arena would be kept here, since an arena drops nothing.
#[tokio::test]
async fn a_bid_keeps_no_memory() {
    let (bidder, live) = (bidder().await, live(Arc::default()));
    let thinking = thinking(&bidder, &live, Instant::now());
    // A test's bid goes the whole way, and is not queued to be counted.
    let asked = String::from_utf8_lossy(REQUEST).replace("\"imp\"", "\"test\": 1, \"imp\"");
    let bid = || {
        let arena = Bump::new();
        let thought = thinking.parse(asked.as_bytes(), &arena, &mut Buffers::default());
        assert!(matches!(thought, Thought::Done(Answered::Bid(_))));
    };
    bid();
    let kept = allocation_counter::measure(bid);
    assert!(kept.count_total > 0);
    assert_eq!((kept.count_current, kept.bytes_current), (0, 0));
}

#[tokio::test]
async fn a_bid_that_turns_out_late_gives_its_reservation_back() {
    let (bidder, cell, arena) = (bidder().await, Arc::new(LeaseCell::default()), Bump::new());
    let live = live(cell.clone());
    let now = Instant::now();
    let thinking = thinking(&bidder, &live, now);
    let request = openrtb::read_request(REQUEST, &arena).unwrap();
    let decide = |deadline| thinking.decide(&request, deadline, &arena, &mut Buffers::default());

    let in_time = decide(now + Duration::from_secs(3_600));
    assert!(matches!(in_time, Answered::Bid(_)));
    let reserved_nanos = cell.reserved_total_nanos();
    assert!(reserved_nanos > 0);
    assert_eq!((cell.bids_total(), cell.cancelled_total_nanos()), (1, 0));

    let late = decide(now);
    assert_eq!(cell.reserved_total_nanos(), reserved_nanos);
    assert_eq!(
        (cell.bids_total(), cell.cancelled_total_nanos()),
        (1, reserved_nanos)
    );
    assert_eq!(bidder.metrics.bids.get(), 1);

    let metrics = bidder.metrics.of_exchange("default");
    let gate = ExchangeGate::new(&ExchangeSpec::default(), false, metrics.clone(), None);
    assert_eq!(late.into_response(&gate).status(), StatusCode::NO_CONTENT);
    assert_eq!(metrics.late.get(), 1);
}

/// An answer after the budget is no answer, whatever it says.
#[tokio::test]
async fn a_no_bid_that_turns_out_late_is_late() {
    let (bidder, arena) = (bidder().await, Bump::new());
    let live = Live {
        snapshot: Snapshot::build([], &[exchange()]),
        ..Live::default()
    };
    let now = Instant::now();
    let thinking = thinking(&bidder, &live, now);
    let request = openrtb::read_request(REQUEST, &arena).unwrap();
    let decide = |deadline| thinking.decide(&request, deadline, &arena, &mut Buffers::default());
    assert!(matches!(
        decide(now + Duration::from_secs(3_600)),
        Answered::NoBid(None)
    ));
    assert!(matches!(decide(now), Answered::Late));
}

#[tokio::test]
async fn what_cannot_be_read_is_no_request_to_a_sample() {
    let mut bidder = bidder().await;
    let live = Arc::new(ArcSwap::from_pointee(live(Arc::default())));
    let shutdown = Shutdown::new(Default::default(), Readiness::new());
    let (user_states, clock) = (bidder.user_states.clone(), bidder.clock.clone());
    let (sampler, samples) = Sampler::start(live.clone(), user_states, clock, &shutdown);
    bidder.sampler = Some(sampler);
    let (live, at) = (live.load_full(), Instant::now());
    for body in [&b"{"[..], b"{}", REQUEST] {
        let request = Request::new(Body::from(body));
        bidder.answer(&live, "default", at, request, None).await;
    }
    let sampled = async {
        while samples.all(at).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), sampled)
        .await
        .unwrap();
    let weights: Vec<u64> = samples.all(at).iter().map(|sample| sample.weight).collect();
    assert_eq!(weights, [1]);
    shutdown.background().cancel();
}
