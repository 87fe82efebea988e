use super::ring::{MOST, MOST_BYTES, OLDEST};
use super::*;
use std::time::Duration;

fn body() -> Bytes {
    Bytes::from_static(br#"{"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}]}"#)
}

fn sample(body: Bytes, weight: u64, since: Instant, at: Instant) -> Sample {
    Sample {
        exchange: "default".into(),
        body,
        user: Arc::new(KnownUser::Nobody),
        weight,
        since,
        at,
        unix_ms: 0,
    }
}

fn weights<'a>(samples: impl Iterator<Item = &'a Sample>) -> u64 {
    samples.map(|sample| sample.weight).sum()
}

#[test]
fn each_sample_stands_for_what_was_seen_since_the_one_before() {
    let began = Instant::now();
    let (sampler, mut taken) = Sampler::new(began);
    for ms in [0, 10, 20, 99, 100, 150, 480] {
        sampler.seen("default", &body(), began + Duration::from_millis(ms));
    }
    let mut weights = Vec::new();
    while let Ok(taken) = taken.try_recv() {
        weights.push((taken.weight, (taken.at - began).as_millis()));
    }
    assert_eq!(weights, [(1, 0), (4, 100), (2, 480)]);
}

#[test]
fn what_finds_the_queue_full_counts_for_the_next_one() {
    let began = Instant::now();
    let (sampler, mut taken) = Sampler::new(began);
    let at = |tenths: u32| began + EVERY * tenths;
    let requests = u32::try_from(QUEUE).unwrap() + 5;
    (0..requests).for_each(|tenths| sampler.seen("default", &body(), at(tenths)));
    let in_queue: u64 = std::iter::from_fn(|| taken.try_recv().ok())
        .map(|taken| taken.weight)
        .sum();
    assert_eq!(in_queue, QUEUE as u64);
    sampler.seen("default", &body(), at(requests));
    assert_eq!(taken.try_recv().unwrap().weight, 6);
}

#[test]
fn a_taken_body_is_the_requests_own_and_no_copy() {
    let began = Instant::now();
    let (sampler, mut taken) = Sampler::new(began);
    let body = Bytes::from(vec![b'x'; 1_000]);
    sampler.seen("default", &body, began);
    assert_eq!(taken.try_recv().unwrap().body.as_ptr(), body.as_ptr());
}

#[test]
fn however_many_come_memory_is_bounded_and_the_weights_are_the_requests_seen() {
    let began = Instant::now();
    let mut ring = Ring::default();
    let (mut last, mut seen) = (began, 0);
    for number in 0..20_000_u64 {
        let at = last + Duration::from_millis(1);
        let weight = 1 + number % 7;
        seen += weight;
        ring.add(sample(Bytes::from(vec![b'x'; 10_000]), weight, last, at));
        last = at;
        assert!(ring.bytes() <= MOST_BYTES && ring.iter().count() <= MOST);
    }
    assert!(ring.iter().count() >= MOST_BYTES / 10_300 / 2);
    assert_eq!(weights(ring.iter()), seen);
    let first = ring.iter().next().unwrap();
    assert_eq!(first.since, began);
    assert!(ring.iter().is_sorted_by_key(|sample| sample.at));
}

#[test]
fn thinned_samples_stand_for_their_kind_in_its_share() {
    let began = Instant::now();
    let mut ring = Ring::default();
    let (rare, common) = (Bytes::from_static(b"rare"), Bytes::from_static(b"common"));
    let most = u32::try_from(MOST).unwrap();
    for number in 0..=most {
        let at = began + EVERY * number;
        let (body, weight) = if number % 10 == 0 {
            (&rare, 3)
        } else {
            (&common, 1)
        };
        ring.add(sample(body.clone(), weight, at, at));
    }
    let of_rare = weights(ring.iter().filter(|sample| sample.body == rare));
    assert!(ring.iter().count() <= MOST / 2 + 1);
    // One in ten, each for three; the deviation of their sum is 37.
    assert!((1_160..1_600).contains(&of_rare), "{of_rare} of about 1,380");
}

#[test]
fn at_most_an_hour_is_kept_and_the_samples_last_for_it() {
    let began = Instant::now();
    let mut ring = Ring::default();
    let mut at = began;
    while at < began + OLDEST * 3 {
        at += ring.add(sample(body(), 1, at, at));
    }
    let (first, last) = (ring.iter().next().unwrap(), ring.iter().last().unwrap());
    let spanned = last.at - first.at;
    assert!(
        spanned <= OLDEST && spanned + Duration::from_secs(5) > OLDEST,
        "{spanned:?}"
    );
    ring.forget(last.at + OLDEST + Duration::from_millis(1));
    assert_eq!((ring.iter().count(), ring.bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn tests_and_requests_of_unknown_exchanges_are_not_kept() {
    let (began, clock) = (Instant::now(), Clock::manual(1_000));
    let exchange = serde_json::from_value(serde_json::json!({
        "schema": 1, "generation": 1, "revision": 1,
        "exchange": {"id": "default", "name": "d", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"},
    }))
    .unwrap();
    let live = Live {
        snapshot: bidding_engine::Snapshot::build([], &[exchange]),
        ..Live::default()
    };
    let store = storage_sqlite::SqliteStore::open("sqlite::memory:", Arc::new(|| 0))
        .await
        .unwrap();
    let shutdown = Shutdown::new(Default::default(), platform::Readiness::new());
    let live = Arc::new(ArcSwap::from_pointee(live));
    let (sampler, samples) = Sampler::start(live, Arc::new(store), clock, &shutdown);
    let test = Bytes::from_static(
        br#"{"id": "t", "test": 1, "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}]}"#,
    );
    for (exchange, body) in [
        ("default", body()),
        ("default", test),
        ("gone", body()),
        ("default", body()),
    ] {
        sampler.seen(exchange, &body, Instant::now());
        tokio::time::advance(EVERY).await;
        tokio::task::yield_now().await;
    }
    let kept = samples.all(Instant::now());
    let told: Vec<(u64, Duration, i64)> = kept
        .iter()
        .map(|sample| (sample.weight, sample.since - began, sample.unix_ms))
        .collect();
    assert_eq!(told, [(1, Duration::ZERO, 1_000), (1, EVERY * 2, 1_000)]);
    shutdown.background().cancel();
}
