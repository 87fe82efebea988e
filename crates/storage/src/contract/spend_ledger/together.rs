//! Notices that come at the same time: an adapter may take several in one step.

use super::{Harness, amounts, balances, bid_ref, billing, renew, request, reservation};
use crate::StorageError;
use crate::spend_ledger::{BillVerdict, Reservation, WinVerdict};
use domain::id::{BidderId, CampaignId};

pub async fn notices_at_the_same_time_settle_each_bid_once(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 100)).await;
    let ledger = h.ledger();
    let (one, two) = (billing(&*h, 1, 30, 20), billing(&*h, 2, 30, 30));
    let (first, second, other, won, won_again, other_won) = tokio::join!(
        ledger.bill(&one),
        ledger.bill(&one),
        ledger.bill(&two),
        ledger.win(&one.reservation),
        ledger.win(&one.reservation),
        ledger.win(&two.reservation),
    );
    let charges = |verdict: &Result<BillVerdict, StorageError>| match verdict.as_ref().unwrap() {
        BillVerdict::Charged { charge_nanos, .. } => *charge_nanos,
        BillVerdict::Repeated => 0,
        BillVerdict::OverDelivery { .. } => panic!("{verdict:?}"),
    };
    assert_eq!((charges(&first) + charges(&second), charges(&other)), (20, 30));
    let wins = [won.unwrap(), won_again.unwrap(), other_won.unwrap()];
    assert!(wins[..2].contains(&WinVerdict::Repeated), "{wins:?}");
    let (spent, pending, _) = amounts(&*h).await;
    assert_eq!((spent, pending), (50, 0));
    let outbox = ledger.outbox(h.now_ms(), 10).await.unwrap();
    let mut settled: Vec<(u128, i64)> = outbox.iter().map(|of| (of.bid_id.0, of.charge_nanos)).collect();
    settled.sort_unstable();
    assert_eq!(settled, [(1, 20), (2, 30)]);
    assert_eq!(balances(&*h, "c").await[0].settled_bids, 2);
}

pub async fn notices_of_several_bidders_at_the_same_time_draw_on_their_own_leases(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 600)).await;
    renew(&*h, "b2", request(&*h, "c", 400)).await;
    let of = |bid, bidder: &str| Reservation {
        bidder_id: BidderId::from(bidder),
        ..reservation(&*h, bid, 100)
    };
    let (one, two, three) = (of(1, "b1"), of(2, "b2"), of(3, "b1"));
    let ledger = h.ledger();
    let (one, two, three) = tokio::join!(ledger.win(&one), ledger.win(&two), ledger.win(&three));
    for verdict in [one, two, three] {
        assert!(matches!(verdict, Ok(WinVerdict::Pending(_))), "{verdict:?}");
    }
    assert_eq!(amounts(&*h).await, (0, 300, 700));
    assert_eq!(renew(&*h, "b1", request(&*h, "c", 400)).await.leased_nanos, 400);
    assert_eq!(renew(&*h, "b2", request(&*h, "c", 300)).await.leased_nanos, 300);
}

pub async fn a_notice_that_fails_changes_nothing_and_takes_no_other_with_it(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 0)).await;
    h.ledger()
        .bill(&billing(&*h, 1, i64::MAX, i64::MAX))
        .await
        .unwrap();
    // Over-delivery that 64 bits cannot count; and a bid that is another campaign's.
    let beyond = billing(&*h, 2, i64::MAX, i64::MAX);
    let elsewhere = Reservation {
        campaign_id: CampaignId::from("another"),
        ..reservation(&*h, 1, 10)
    };
    let fine = billing(&*h, 3, 10, 10);
    let ledger = h.ledger();
    let (beyond, elsewhere, fine) =
        tokio::join!(ledger.bill(&beyond), ledger.win(&elsewhere), ledger.bill(&fine));
    assert!(matches!(beyond, Err(StorageError::Corrupt(_))), "{beyond:?}");
    assert!(
        matches!(elsewhere, Err(StorageError::Conflict(_))),
        "{elsewhere:?}"
    );
    assert!(
        matches!(fine, Ok(BillVerdict::Charged { charge_nanos: 10, .. })),
        "{fine:?}"
    );
    assert_eq!(amounts(&*h).await, (10, 0, 0));
    for balance in balances(&*h, "c").await {
        assert_eq!((balance.over_delivery_nanos, balance.settled_bids), (i64::MAX, 2));
    }
    assert_eq!(ledger.settled(&bid_ref(2)).await.unwrap(), None);
}
