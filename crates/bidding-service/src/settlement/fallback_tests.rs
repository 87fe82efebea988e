//! A notice is safe in the first place that is up, whatever is away, and everything ends where it belongs.

mod house;
mod laws;
mod stores;

use super::*;
use crate::token::LONGEST_LIFE_MS;
use house::{BID_NANOS, House, NOW_MS, token};
use platform::shutdown::Ended;
use platform::{Readiness, Shutdown};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use stores::Line;

#[tokio::test]
async fn with_the_log_away_a_billing_is_safe_in_the_outbox_of_a_ledger_with_a_replica() {
    let house = House::new().await;
    house.ledger.has_replica.store(true, Ordering::Relaxed);
    house.log.line.set(Line::FailsAtOnce);
    let applied = house.settlement().bill(&token(1, "adv_1"), None).await.unwrap();
    assert_eq!((applied, house.spooled()), (Applied::First, 0));
    house.come_to_rest().await;
    assert_eq!(house.reconcile().await, [1]);
}

#[tokio::test]
async fn with_no_replica_a_billing_goes_to_the_spool_and_is_charged_once() {
    let house = House::new().await;
    house.log.line.set(Line::FailsAtOnce);
    let token = token(1, "adv_1");
    let settlement = house.settlement();
    assert_eq!(settlement.bill(&token, None).await.unwrap(), Applied::Spooled);
    assert_eq!(settlement.bill(&token, None).await.unwrap(), Applied::Repeated);
    assert_eq!(house.spooled(), 1, "a repeat takes no room");
    house.come_to_rest().await;
    assert_eq!(house.reconcile().await, [1]);
    assert_eq!(
        house.metrics.billed_nanos.with_label_values(&["USD"]).get(),
        BID_NANOS.cast_unsigned()
    );
}

#[tokio::test]
async fn with_the_ledger_away_notices_are_settled_later_by_their_time_of_arrival() {
    let mut house = House::new().await;
    house.ledger.line.set(Line::FailsAtOnce);
    house.clock.advance(5_000);
    let settlement = house.settlement().clone();
    let token = token(1, "adv_1");
    assert_eq!(
        settlement.win(&token, Some(1_500_000)).await.unwrap(),
        Applied::Spooled
    );
    assert_eq!(
        settlement.bill(&token, Some(1_500_000)).await.unwrap(),
        Applied::Spooled
    );
    drop(settlement);
    house.crash_and_start(&[]);
    house.clock.advance(3_600_000);
    house.come_to_rest().await;
    assert_eq!(house.reconcile().await, [1]);
    let spend = house.spend().await;
    let arrivals: Vec<i64> = spend.values().map(|event| event.at_ms).collect();
    assert_eq!(arrivals, [NOW_MS + 5_000]);
    assert_eq!(house.ledger_says().await.0, 1_500_000);
    let wins = house.events(Topic::Wins).await;
    assert_eq!(
        wins.values().map(|event| event.at_ms).collect::<Vec<_>>(),
        [NOW_MS + 5_000]
    );
}

#[tokio::test]
async fn everything_replayed_twice_changes_nothing() {
    let mut house = House::new().await;
    house.ledger.line.set(Line::FailsAtOnce);
    house.log.line.set(Line::FailsAtOnce);
    for bid in 0..50 {
        let token = token(bid, "adv_1");
        assert_eq!(
            house.settlement().win(&token, None).await.unwrap(),
            Applied::Spooled
        );
        assert_eq!(
            house.settlement().bill(&token, None).await.unwrap(),
            Applied::Spooled
        );
        let shown = house.settlement().impression(&token, None).await.unwrap();
        assert_eq!(shown, Applied::Spooled);
    }
    house.crash_and_start(&[]);
    let segments: Vec<_> = house
        .segments()
        .into_iter()
        .map(|path| (std::fs::read(&path).unwrap(), path))
        .collect();
    house.come_to_rest().await;
    let first = (house.reconcile().await, house.ledger_says().await);
    assert_eq!(first.0.len(), 50);
    assert!(house.segments().is_empty());
    for (bytes, path) in segments {
        std::fs::write(path, bytes).unwrap();
    }
    house.start();
    assert!(house.spooled() >= 150);
    house.come_to_rest().await;
    assert_eq!((house.reconcile().await, house.ledger_says().await), first);
    let state = storage::UserStates::read(&*house.store, "user", house.clock.unix_ms())
        .await
        .unwrap();
    assert_eq!(state.counters[0].1, 50, "each impression is counted once");
}

#[tokio::test]
async fn a_full_spool_refuses() {
    let mut house = House::new().await;
    house.spool_bytes = 2_000;
    house.start();
    house.log.line.set(Line::FailsAtOnce);
    let settlement = house.settlement().clone();
    let mut kept = 0;
    let refused = loop {
        match settlement.bill(&token(kept, "adv_1"), None).await {
            Ok(applied) => assert_eq!(applied, Applied::Spooled),
            Err(error) => break error,
        }
        kept += 1;
    };
    assert!(
        matches!(refused, StorageError::Unavailable(_)) && (1..5).contains(&kept),
        "{refused} {kept}"
    );
    assert!(settlement.click(&token(99, "adv_1")).await.is_err());
    assert_eq!(
        house.metrics.events_dropped.with_label_values(&["clicks"]).get(),
        1
    );
    house.come_to_rest().await;
    // The refused one was settled all the same: the exchange's repeat finds that.
    assert_eq!(house.reconcile().await.len() as u128, kept + 1);
    assert_eq!(
        settlement.bill(&token(kept, "adv_1"), None).await.unwrap(),
        Applied::Repeated
    );
}

#[tokio::test]
async fn a_store_of_user_states_that_is_away_costs_an_impression_nothing() {
    let house = House::new().await;
    house.users.line.set(Line::FailsAtOnce);
    let shown = house
        .settlement()
        .impression(&token(1, "adv_1"), None)
        .await
        .unwrap();
    assert_eq!((shown, house.spooled()), (Applied::First, 1));
    assert_eq!(house.events(Topic::Impressions).await.len(), 1);
    house.come_to_rest().await;
    let state = storage::UserStates::read(&*house.store, "user", house.clock.unix_ms())
        .await
        .unwrap();
    assert_eq!(state.counters[0].1, 1);
}

#[tokio::test]
async fn a_group_of_the_ledger_that_is_being_rebuilt_holds_up_no_other() {
    let house = House::new().await;
    house.ledger.line.set(Line::FailsAtOnce);
    for bid in 0..100 {
        let advertiser = house::ADVERTISERS[(bid % 2) as usize];
        house
            .settlement()
            .bill(&token(bid, advertiser), None)
            .await
            .unwrap();
    }
    house.all_work();
    house.ledger.groups_away.store(1 << 1, Ordering::Relaxed);
    assert_eq!(house.settlement().replay_once().await, 50);
    assert_eq!((house.spooled(), house.ledger_says().await.2), (50, 50));
    house.ledger.groups_away.store(0, Ordering::Relaxed);
    house.come_to_rest().await;
    assert_eq!(house.reconcile().await.len(), 100);
}

#[tokio::test]
async fn what_can_never_be_applied_is_set_aside_and_the_rest_goes_on() {
    let house = House::new().await;
    let settlement = house.settlement();
    house.ledger.line.set(Line::FailsAtOnce);
    // Of the day before yesterday: the ledger would charge it again, had it been settled then.
    let mut forgotten = token(1, "adv_1");
    forgotten.bid_at_ms = NOW_MS - LONGEST_LIFE_MS - 1;
    settlement.bill(&forgotten, None).await.unwrap();
    settlement.bill(&token(2, "adv_2"), None).await.unwrap();
    settlement.bill(&token(3, "adv_1"), None).await.unwrap();
    // Settled meanwhile by another bidder, under another campaign: a contradiction.
    let Work::Bill(other) = Work::bill(&token(2, "adv_1"), None, NOW_MS) else {
        panic!("a billing is one");
    };
    let ledger: &dyn SpendLedger = &*house.store;
    ledger.bill(&other.billing().unwrap()).await.unwrap();
    house.come_to_rest().await;
    assert_eq!(house.metrics.spool.set_aside.get(), 2);
    assert_eq!(house.reconcile().await, [2, 3]);
    let aside = std::fs::read_to_string(house.root.path().join("0/set_aside.ndjson")).unwrap();
    for reason in ["older than", "conflict"] {
        assert!(aside.contains(reason), "{aside}");
    }
}

#[tokio::test]
async fn a_log_that_hangs_is_waited_for_once() {
    let house = House::new().await;
    house.log.line.set(Line::Hangs);
    let settlement = house.settlement();
    settlement.bill(&token(1, "adv_1"), None).await.unwrap();
    let calls = house.log.line.calls.load(Ordering::Relaxed);
    let began = Instant::now();
    for bid in 2..40 {
        assert_eq!(
            settlement.bill(&token(bid, "adv_1"), None).await.unwrap(),
            Applied::Spooled
        );
        assert_eq!(
            settlement.loss(&token(bid, "adv_1"), None).await.unwrap(),
            Applied::Spooled
        );
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(house.log.line.calls.load(Ordering::Relaxed), calls);
    house.come_to_rest().await;
    assert_eq!(house.reconcile().await.len(), 39);
}

#[tokio::test]
async fn a_stopping_process_drains_its_spool_first() {
    let house = House::new().await;
    house.log.line.set(Line::FailsAtOnce);
    for bid in 0..20 {
        house.settlement().bill(&token(bid, "adv_1"), None).await.unwrap();
    }
    house.all_work();
    assert_eq!(stop(&house, Duration::from_secs(20)).await, Ended::Clean);
    assert_eq!(house.spooled(), 0);
    assert_eq!(house.reconcile().await.len(), 20);
}

#[tokio::test]
async fn what_cannot_be_drained_waits_for_the_next_process() {
    let mut house = House::new().await;
    house.log.line.set(Line::FailsAtOnce);
    house.settlement().bill(&token(1, "adv_1"), None).await.unwrap();
    assert_eq!(stop(&house, Duration::from_millis(200)).await, Ended::Clean);
    assert_eq!(house.spooled(), 1);
    house.start();
    house.come_to_rest().await;
    assert_eq!(house.reconcile().await, [1]);
}

async fn stop(house: &House, patience: Duration) -> Ended {
    let shutdown = Shutdown::new(Default::default(), Readiness::new());
    shutdown.request("test");
    let replays = house.settlement().clone().replay(shutdown.clone(), patience);
    shutdown.spawn("spool", replays);
    shutdown.finished().await
}

#[tokio::test]
async fn a_long_outbox_is_swept_to_its_end_when_the_log_is_back() {
    let house = House::new().await;
    house.ledger.has_replica.store(true, Ordering::Relaxed);
    house.log.line.set(Line::FailsAtOnce);
    let settlement = house.settlement();
    let tokens: Vec<_> = (0..1_300).map(|bid| token(bid, "adv_1")).collect();
    for some in tokens.chunks(100) {
        let bills = some.iter().map(|token| settlement.bill(token, None));
        for applied in futures_util::future::join_all(bills).await {
            assert_eq!(applied.unwrap(), Applied::First);
        }
    }
    assert_eq!(house.spooled(), 0);
    house.come_to_rest().await;
    assert_eq!(house.reconcile().await.len(), 1_300);
}
