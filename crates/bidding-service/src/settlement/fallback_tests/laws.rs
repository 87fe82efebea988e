//! Whatever fails in whatever order: what was acknowledged is in the ledger and in the topics, once.

use super::house::{ADVERTISERS, House, token};
use super::stores::Line;
use crate::settlement::Applied;
use crate::token::BidToken;
use domain::exchange::Billing;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use storage::StorageError;
use storage::event_log::Topic;

const BIDS: u8 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Win,
    Bill,
    Impression,
    Loss,
}

type Notice = (u8, Kind);

#[derive(Clone, Debug)]
enum Step {
    Ledger(Line),
    Group(bool),
    Log(Line),
    Users(Line),
    Replica(bool),
    Arrives(Notice),
    Crash(Vec<u8>),
    Replay,
    Sweep,
    Wait(i64),
}

fn line() -> impl Strategy<Value = Line> {
    prop_oneof![
        Just(Line::Works),
        Just(Line::FailsAtOnce),
        Just(Line::LosesAnswers)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        1 => Just(Kind::Win),
        3 => Just(Kind::Bill),
        1 => Just(Kind::Impression),
        1 => Just(Kind::Loss)
    ];
    prop_oneof![
        2 => line().prop_map(Step::Ledger),
        1 => any::<bool>().prop_map(Step::Group),
        2 => line().prop_map(Step::Log),
        1 => line().prop_map(Step::Users),
        1 => any::<bool>().prop_map(Step::Replica),
        12 => (0..BIDS, kind).prop_map(Step::Arrives),
        2 => vec(any::<u8>(), 0..40).prop_map(Step::Crash),
        2 => Just(Step::Replay),
        1 => Just(Step::Sweep),
        1 => (0..20_000_i64).prop_map(Step::Wait),
    ]
}

/// Every third one is billed by its pixel.
fn token_of(bid: u8) -> BidToken {
    let mut token = token(u128::from(bid), ADVERTISERS[usize::from(bid % 2)]);
    if bid % 3 == 2 {
        token.billing = Billing::Pixel;
    }
    token
}

async fn deliver(house: &House, (bid, kind): Notice) -> Result<Applied, StorageError> {
    let token = token_of(bid);
    let settlement = house.settlement();
    match kind {
        Kind::Win => settlement.win(&token, Some(1_000_000)).await,
        // The routes acknowledge it and do nothing.
        Kind::Bill if token.billing == Billing::Pixel => Ok(Applied::First),
        Kind::Bill => settlement.bill(&token, Some(1_000_000)).await,
        Kind::Impression => settlement.impression(&token, Some(1_000_000)).await,
        Kind::Loss => settlement.loss(&token, None).await,
    }
}

async fn obey(
    house: &mut House,
    step: Step,
    acknowledged: &mut BTreeSet<Notice>,
    refused: &mut BTreeSet<Notice>,
) {
    match step {
        Step::Ledger(line) => house.ledger.line.set(line),
        Step::Group(is_away) => house
            .ledger
            .groups_away
            .store(u64::from(is_away) << 1, Ordering::Relaxed),
        Step::Log(line) => house.log.line.set(line),
        Step::Users(line) => house.users.line.set(line),
        Step::Replica(has_replica) => house.ledger.has_replica.store(has_replica, Ordering::Relaxed),
        Step::Arrives(notice) => match deliver(house, notice).await {
            Ok(_) => {
                acknowledged.insert(notice);
                refused.remove(&notice);
            }
            Err(_) if acknowledged.contains(&notice) => {}
            Err(_) => {
                refused.insert(notice);
            }
        },
        Step::Crash(torn) => house.crash_and_start(&torn),
        Step::Replay => {
            house.settlement().replay_once().await;
        }
        Step::Sweep => {
            let _ = house.settlement().sweep_once(false).await;
        }
        Step::Wait(ms) => house.clock.advance(ms),
    }
}

async fn run(steps: Vec<Step>, spool_bytes: u64, budget_bids: i64) {
    let mut house = House::with_budget(budget_bids).await;
    house.spool_bytes = spool_bytes;
    house.start();
    let (mut acknowledged, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for step in steps {
        obey(&mut house, step, &mut acknowledged, &mut refused).await;
    }
    house.ledger.groups_away.store(0, Ordering::Relaxed);
    house.come_to_rest().await;
    // The exchange repeats what was refused.
    for notice in refused {
        deliver(&house, notice).await.unwrap();
        acknowledged.insert(notice);
    }
    house.come_to_rest().await;
    let owed = |of: &&Notice| (of.1 == Kind::Bill) != (token_of(of.0).billing == Billing::Pixel);
    let billed: BTreeSet<u128> = acknowledged
        .iter()
        .filter(|of| matches!(of.1, Kind::Bill | Kind::Impression))
        .filter(owed)
        .map(|of| u128::from(of.0))
        .collect();
    assert_eq!(house.reconcile().await, Vec::from_iter(billed));
    for (kind, topic) in [
        (Kind::Win, Topic::Wins),
        (Kind::Impression, Topic::Impressions),
        (Kind::Loss, Topic::Losses),
    ] {
        let told = house.events(topic).await;
        let told: BTreeSet<u128> = told.values().map(|event| event.bid_id.0).collect();
        let said = acknowledged.iter().filter(|of| of.1 == kind);
        assert_eq!(told, said.map(|of| u128::from(of.0)).collect(), "{kind:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_acknowledged_is_in_ledger_and_topics_once(
        steps in vec(step(), 1..60),
        is_spool_small: bool,
        budget_bids in 1..8_i64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps, if is_spool_small { 3_000 } else { 1 << 20 }, budget_bids));
    }
}
