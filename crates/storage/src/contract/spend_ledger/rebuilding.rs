//! Rebuilding: what a ledger refuses after its server failed, and how it comes back.

use super::{
    BILLING_WINDOW_MS, HOLD_MS, Harness, LedgerHarness, Loss, advertiser, amounts, balances, bid_ref,
    billing, day, group, limits, renew, request, reservation,
};
use crate::StorageError;
use crate::spend_ledger::{BillVerdict, Fact, LeaseRequest, Rebuild, Reservation, WinVerdict};
use domain::id::{AdvertiserId, BidderId, CampaignId};

/// Of the restore at the latest; a claim without one lapses.
const CLAIM_MS: i64 = 10_000;

fn rebuilder() -> BidderId {
    BidderId::from("b9")
}

/// What is claimable of the laws' group.
async fn claim(h: &dyn LedgerHarness, bidder: &BidderId) -> Option<Rebuild> {
    let found = h.ledger().rebuilds(bidder, HOLD_MS).await.unwrap();
    found.into_iter().find(|rebuild| rebuild.group == group(h))
}

/// The ledger learns that it cannot trust its books, waits, and is claimed.
async fn claimed_after(h: &dyn LedgerHarness, loss: Loss) -> Rebuild {
    h.lose(loss).await;
    assert_eq!(claim(h, &rebuilder()).await, None, "old leases have not ended");
    h.advance(HOLD_MS).await;
    claim(h, &rebuilder()).await.expect("the wait is over")
}

async fn restore(h: &dyn LedgerHarness, rebuild: &Rebuild, facts: &[Fact]) {
    h.ledger().restore(rebuild, &rebuilder(), facts).await.unwrap();
}

async fn finish(h: &dyn LedgerHarness, rebuild: &Rebuild) {
    h.ledger().rebuilt(rebuild, &rebuilder()).await.unwrap();
}

fn settled(h: &dyn LedgerHarness, bid: u128, charge_nanos: i64, counted: bool) -> Fact {
    Fact::Settled {
        bid: bid_ref(bid),
        campaign_id: CampaignId::from("c"),
        day: day(h, 0),
        charge_nanos,
        over_delivery_nanos: 0,
        settled_at_ms: h.now_ms(),
        counted,
    }
}

fn won(h: &dyn LedgerHarness, bid: u128, nanos: i64) -> Fact {
    Fact::Won {
        reservation: reservation(h, bid, nanos),
        won_at_ms: h.now_ms(),
    }
}

fn checkpoint(h: &dyn LedgerHarness, is_lifetime: bool, spent_nanos: i64) -> Fact {
    Fact::Checkpoint {
        advertiser_id: advertiser(),
        campaign_id: CampaignId::from("c"),
        day: (!is_lifetime).then(|| day(h, 0)),
        spent_nanos,
        over_delivery_nanos: 5,
        settled_bids: 3,
    }
}

fn is_unavailable<T>(answer: &Result<T, StorageError>) -> bool {
    matches!(answer, Err(StorageError::Unavailable(_)))
}

pub async fn a_group_not_trusted_refuses_until_rebuilt(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 100)).await;
    h.lose(Loss::Trust).await;
    let ledger = h.ledger();
    let asked = [request(&*h, "c", 100)];
    let renewed = ledger
        .renew(group(&*h), &BidderId::from("b1"), HOLD_MS, &asked)
        .await;
    assert!(is_unavailable(&renewed), "{renewed:?}");
    assert!(is_unavailable(&ledger.win(&reservation(&*h, 1, 10)).await));
    assert!(is_unavailable(&ledger.bill(&billing(&*h, 1, 10, 10)).await));
    h.advance(HOLD_MS).await;
    let rebuild = claim(&*h, &rebuilder())
        .await
        .expect("the refused renewal began the wait");
    assert!(is_unavailable(&ledger.bill(&billing(&*h, 1, 10, 10)).await));
    finish(&*h, &rebuild).await;
    assert_eq!(claim(&*h, &rebuilder()).await, None);
    assert_eq!(renew(&*h, "b1", request(&*h, "c", 100)).await.leased_nanos, 100);
}

pub async fn a_group_waits_until_old_leases_have_ended(h: Harness) {
    h.lose(Loss::Trust).await;
    for _ in 0..2 {
        assert_eq!(claim(&*h, &rebuilder()).await, None);
        h.advance(HOLD_MS / 2 - 1).await;
    }
    assert_eq!(claim(&*h, &rebuilder()).await, None);
    h.advance(2).await;
    assert!(claim(&*h, &rebuilder()).await.is_some());
}

pub async fn a_claim_is_one_bidder_s_until_it_lapses(h: Harness) {
    let rebuild = claimed_after(&*h, Loss::Trust).await;
    let other = BidderId::from("b8");
    assert_eq!(claim(&*h, &other).await, None);
    h.advance(CLAIM_MS - 1).await;
    restore(&*h, &rebuild, &[]).await;
    h.advance(CLAIM_MS - 1).await;
    assert_eq!(claim(&*h, &other).await, None, "a restore renews the claim");
    h.advance(1).await;
    let again = claim(&*h, &other).await.expect("the claim has lapsed");
    let late = h.ledger().restore(&rebuild, &rebuilder(), &[]).await;
    assert!(matches!(late, Err(StorageError::Conflict(_))), "{late:?}");
    let late = h.ledger().rebuilt(&rebuild, &rebuilder()).await;
    assert!(matches!(late, Err(StorageError::Conflict(_))), "{late:?}");
    h.ledger().rebuilt(&again, &other).await.unwrap();
}

pub async fn kept_books_are_completed_by_facts_and_lose_their_leases(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 500)).await;
    h.ledger().win(&reservation(&*h, 1, 30)).await.unwrap();
    h.ledger().bill(&billing(&*h, 2, 40, 40)).await.unwrap();
    let before_ms = h.now_ms();
    let rebuild = claimed_after(&*h, Loss::Trust).await;
    let complete_until_ms = rebuild.complete_until_ms.expect("the books are there");
    assert!(complete_until_ms < before_ms);
    // The second was known, the third and fourth were not.
    let facts = [
        settled(&*h, 2, 40, false),
        settled(&*h, 3, 7, false),
        won(&*h, 1, 30),
        won(&*h, 4, 20),
    ];
    restore(&*h, &rebuild, &facts).await;
    finish(&*h, &rebuild).await;
    assert_eq!(amounts(&*h).await, (47, 50, 0));
    assert_eq!(balances(&*h, "c").await[0].settled_bids, 2);
    let again = h.ledger().bill(&billing(&*h, 3, 7, 7)).await.unwrap();
    assert_eq!(again, BillVerdict::Repeated);
    let pending = h.ledger().bill(&billing(&*h, 4, 20, 20)).await.unwrap();
    assert!(
        matches!(pending, BillVerdict::Charged { backed: true, .. }),
        "{pending:?}"
    );
}

pub async fn lost_books_are_restored_from_checkpoint_and_facts(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 500)).await;
    h.ledger().bill(&billing(&*h, 1, 40, 40)).await.unwrap();
    let rebuild = claimed_after(&*h, Loss::Books).await;
    assert_eq!(rebuild.complete_until_ms, None);
    let facts = [
        checkpoint(&*h, true, 300),
        checkpoint(&*h, false, 100),
        settled(&*h, 1, 40, true),
        settled(&*h, 2, 25, false),
        won(&*h, 3, 30),
        won(&*h, 2, 25),
    ];
    restore(&*h, &rebuild, &facts).await;
    finish(&*h, &rebuild).await;
    let found = balances(&*h, "c").await;
    let amounts: Vec<_> = found
        .iter()
        .map(|of| {
            (
                of.account.spent_nanos,
                of.account.pending_nanos,
                of.over_delivery_nanos,
                of.settled_bids,
            )
        })
        .collect();
    assert_eq!(amounts, [(325, 30, 5, 4), (125, 30, 5, 4)]);
    assert_eq!(found[1].day, Some(day(&*h, 0)));
    for bid in [1, 2] {
        let verdict = h.ledger().bill(&billing(&*h, bid, 40, 40)).await.unwrap();
        assert_eq!(verdict, BillVerdict::Repeated, "bid {bid}");
    }
    assert_eq!(
        h.ledger().win(&reservation(&*h, 3, 30)).await.unwrap(),
        WinVerdict::Repeated
    );
    // A win put back ends like any other.
    h.advance(BILLING_WINDOW_MS).await;
    let grant = renew(&*h, "b1", request(&*h, "c", 0)).await;
    assert_eq!((grant.day.pending_nanos, grant.free_nanos), (0, 875));
}

pub async fn facts_applied_twice_change_nothing(h: Harness) {
    let rebuild = claimed_after(&*h, Loss::Books).await;
    let facts = [
        checkpoint(&*h, true, 100),
        checkpoint(&*h, false, 100),
        settled(&*h, 2, 25, false),
        won(&*h, 3, 30),
    ];
    for _ in 0..3 {
        restore(&*h, &rebuild, &facts).await;
    }
    finish(&*h, &rebuild).await;
    assert_eq!(amounts(&*h).await, (125, 30, 0));
}

/// So whoever restores finds the one that is refused by restoring all of them one by one.
pub async fn a_fact_that_takes_a_sum_out_of_its_range_is_refused_and_no_other(h: Harness) {
    let rebuild = claimed_after(&*h, Loss::Books).await;
    let facts = [
        checkpoint(&*h, true, i64::MAX - 10),
        checkpoint(&*h, false, 100),
        settled(&*h, 1, 10, false),
        won(&*h, 2, i64::MAX),
        settled(&*h, 3, 25, false),
        settled(&*h, 4, 25, true),
    ];
    let (ledger, bidder) = (h.ledger(), rebuilder());
    let is_refused = |said: Result<(), StorageError>| matches!(said, Err(StorageError::Corrupt(_)));
    assert!(is_refused(ledger.restore(&rebuild, &bidder, &facts).await));
    let mut refused = Vec::new();
    for fact in &facts {
        let said = ledger
            .restore(&rebuild, &bidder, std::slice::from_ref(fact))
            .await;
        refused.push(is_refused(said));
    }
    assert_eq!(refused, [false, false, false, false, true, false]);
    finish(&*h, &rebuild).await;
    let found = balances(&*h, "c").await;
    assert_eq!(
        (found[0].account.spent_nanos, found[0].settled_bids),
        (i64::MAX, 4)
    );
}

pub async fn a_half_done_rebuild_begins_again_for_another(h: Harness) {
    let half = claimed_after(&*h, Loss::Books).await;
    let facts = [
        checkpoint(&*h, true, 100),
        checkpoint(&*h, false, 100),
        settled(&*h, 2, 25, false),
    ];
    restore(&*h, &half, &facts).await;
    h.advance(CLAIM_MS).await;
    let rebuild = claim(&*h, &rebuilder()).await.expect("the claim has lapsed");
    // Meanwhile the checkpoint has taken in the bid.
    let facts = [
        checkpoint(&*h, true, 125),
        checkpoint(&*h, false, 125),
        settled(&*h, 2, 25, true),
    ];
    restore(&*h, &rebuild, &facts).await;
    finish(&*h, &rebuild).await;
    assert_eq!(amounts(&*h).await, (125, 0, 0));
}

pub async fn the_outbox_outlives_lost_trust(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 500)).await;
    h.ledger().bill(&billing(&*h, 1, 40, 40)).await.unwrap();
    h.lose(Loss::Trust).await;
    let ledger = h.ledger();
    assert_eq!(ledger.outbox(i64::MAX, 10).await.unwrap().len(), 1);
    assert!(ledger.settled(&bid_ref(1)).await.unwrap().is_some());
    ledger.appended(&[bid_ref(1)]).await.unwrap();
    assert_eq!(ledger.outbox(i64::MAX, 10).await.unwrap(), []);
}

pub async fn a_restored_win_charges_no_more_than_the_limit(h: Harness) {
    let rebuild = claimed_after(&*h, Loss::Books).await;
    // Nobody can tell any more that the second was never backed.
    restore(&*h, &rebuild, &[won(&*h, 1, 90), won(&*h, 2, 90)]).await;
    finish(&*h, &rebuild).await;
    let tight = LeaseRequest {
        limits: limits(100, 10_000),
        ..request(&*h, "c", 0)
    };
    renew(&*h, "b1", tight).await;
    let first = h.ledger().bill(&billing(&*h, 1, 90, 90)).await.unwrap();
    let second = h.ledger().bill(&billing(&*h, 2, 90, 90)).await.unwrap();
    let charged: i64 = [&first, &second]
        .iter()
        .map(|verdict| match verdict {
            BillVerdict::Charged { charge_nanos, .. } => *charge_nanos,
            _ => 0,
        })
        .sum();
    assert!(charged <= 100, "{first:?}, {second:?}");
    let found = balances(&*h, "c").await;
    assert_eq!(found[1].account.spent_nanos + found[1].over_delivery_nanos, 180);
}

pub async fn sequences_go_on_across_a_rebuild(h: Harness) {
    let before = renew(&*h, "b1", request(&*h, "c", 100)).await.sequence;
    let rebuild = claimed_after(&*h, Loss::Books).await;
    finish(&*h, &rebuild).await;
    assert!(renew(&*h, "b1", request(&*h, "c", 100)).await.sequence > before);
}

pub async fn a_fact_is_of_its_own_group(h: Harness) {
    let elsewhere = (0..).map(|n| AdvertiserId(format!("adv_{n}")));
    let mut elsewhere = elsewhere.filter(|id| h.ledger().group_of(id) != group(&*h));
    let advertiser_id = elsewhere.next().expect("a ledger of several groups");
    let rebuild = claimed_after(&*h, Loss::Trust).await;
    let reservation = Reservation {
        advertiser_id,
        ..reservation(&*h, 1, 10)
    };
    let fact = Fact::Won {
        reservation,
        won_at_ms: h.now_ms(),
    };
    let refused = h.ledger().restore(&rebuild, &rebuilder(), &[fact]).await;
    assert!(matches!(refused, Err(StorageError::Corrupt(_))), "{refused:?}");
    assert_eq!(balances_after(&*h, &rebuild).await, 0);
}

async fn balances_after(h: &dyn LedgerHarness, rebuild: &Rebuild) -> usize {
    finish(h, rebuild).await;
    balances(h, "c").await.len()
}
