//! Wins, bills, what is remembered of them.

use super::{
    BILLING_WINDOW_MS, HOLD_MS, Harness, advertiser, amounts, balances, bid_ref, billing, day, group, limits,
    renew, request, reservation,
};
use crate::spend_ledger::{BalancesOf, BillVerdict, LeaseNow, LeaseRequest, Reservation, WinVerdict};
use domain::id::{BidderId, CampaignId};

fn charged(charge_nanos: i64, backed: bool) -> BillVerdict {
    BillVerdict::Charged {
        charge_nanos,
        backed,
        lease: None,
    }
}

pub async fn a_win_moves_the_lease_to_pending(h: Harness) {
    let grant = renew(&*h, "b1", request(&*h, "c", 100)).await;
    let verdict = h.ledger().win(&reservation(&*h, 1, 30)).await.unwrap();
    let WinVerdict::Pending(LeaseNow {
        leased_nanos,
        sequence,
    }) = verdict
    else {
        panic!("{verdict:?}");
    };
    assert_eq!(leased_nanos, 70);
    assert!(sequence > grant.sequence);
    assert_eq!(amounts(&*h).await, (0, 30, 70));
}

pub async fn a_win_without_a_lease_is_backed_by_free(h: Harness) {
    renew(&*h, "b2", request(&*h, "c", 100)).await;
    let verdict = h.ledger().win(&reservation(&*h, 1, 30)).await.unwrap();
    assert!(
        matches!(verdict, WinVerdict::Pending(LeaseNow { leased_nanos: 0, .. })),
        "{verdict:?}"
    );
    assert_eq!(amounts(&*h).await, (0, 30, 100));
}

pub async fn a_win_that_nothing_backs_is_unbacked(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 20)).await;
    renew(&*h, "b2", request(&*h, "c", 980)).await;
    let won = reservation(&*h, 1, 30);
    assert_eq!(h.ledger().win(&won).await.unwrap(), WinVerdict::Unbacked);
    assert_eq!(h.ledger().win(&won).await.unwrap(), WinVerdict::Repeated);
    assert_eq!(amounts(&*h).await, (0, 0, 1_000));
    renew(&*h, "b2", request(&*h, "c", 0)).await;
    let verdict = h.ledger().bill(&billing(&*h, 1, 30, 30)).await.unwrap();
    assert_eq!(verdict, charged(30, false));
}

pub async fn a_win_counts_once(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 100)).await;
    let won = reservation(&*h, 1, 30);
    h.ledger().win(&won).await.unwrap();
    assert_eq!(h.ledger().win(&won).await.unwrap(), WinVerdict::Repeated);
    assert_eq!(amounts(&*h).await, (0, 30, 70));
    h.advance(BILLING_WINDOW_MS).await;
    assert_eq!(h.ledger().win(&won).await.unwrap(), WinVerdict::Repeated);
}

pub async fn a_bill_releases_what_the_win_held_beyond_the_charge(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 100)).await;
    h.ledger().win(&reservation(&*h, 1, 30)).await.unwrap();
    let verdict = h.ledger().bill(&billing(&*h, 1, 30, 21)).await.unwrap();
    assert_eq!(verdict, charged(21, true));
    assert_eq!(amounts(&*h).await, (21, 0, 70));
    assert_eq!(renew(&*h, "b1", request(&*h, "c", 70)).await.free_nanos, 909);
}

pub async fn a_bid_is_charged_once_in_any_order(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 100)).await;
    let bill = billing(&*h, 1, 30, 30);
    assert_eq!(h.ledger().bill(&bill).await.unwrap(), charged(30, false));
    assert_eq!(
        h.ledger().win(&bill.reservation).await.unwrap(),
        WinVerdict::Repeated
    );
    assert_eq!(h.ledger().bill(&bill).await.unwrap(), BillVerdict::Repeated);
    h.ledger().appended(&[bid_ref(1)]).await.unwrap();
    h.advance(30 * 24 * 60 * 60 * 1_000).await;
    assert_eq!(h.ledger().bill(&bill).await.unwrap(), BillVerdict::Repeated);
    assert_eq!(
        h.ledger().win(&bill.reservation).await.unwrap(),
        WinVerdict::Repeated
    );
    assert_eq!(amounts(&*h).await, (30, 0, 0));
    assert_eq!(balances(&*h, "c").await[1].settled_bids, 1);
}

pub async fn a_charge_is_cut_to_the_reservation(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 100)).await;
    h.ledger().win(&reservation(&*h, 1, 30)).await.unwrap();
    assert_eq!(
        h.ledger().bill(&billing(&*h, 1, 30, 999)).await.unwrap(),
        charged(30, true)
    );
    assert_eq!(
        h.ledger().bill(&billing(&*h, 2, 30, -9)).await.unwrap(),
        charged(0, false)
    );
    assert_eq!(amounts(&*h).await, (30, 0, 70));
}

pub async fn an_unbilled_win_returns_to_free(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 100)).await;
    h.ledger().win(&reservation(&*h, 1, 100)).await.unwrap();
    h.advance(BILLING_WINDOW_MS - 1).await;
    assert_eq!(renew(&*h, "b1", request(&*h, "c", 0)).await.free_nanos, 900);
    h.advance(1).await;
    assert_eq!(renew(&*h, "b1", request(&*h, "c", 0)).await.free_nanos, 1_000);
    assert_eq!(amounts(&*h).await, (0, 0, 0));
}

pub async fn a_bill_after_the_window_comes_from_free(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 100)).await;
    h.ledger().win(&reservation(&*h, 1, 100)).await.unwrap();
    h.advance(BILLING_WINDOW_MS).await;
    let verdict = h.ledger().bill(&billing(&*h, 1, 100, 60)).await.unwrap();
    assert_eq!(verdict, charged(60, false));
    assert_eq!(amounts(&*h).await, (60, 0, 0));
}

pub async fn a_bill_without_a_win_comes_from_free_before_the_lease(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 900)).await;
    assert_eq!(
        h.ledger().bill(&billing(&*h, 1, 100, 80)).await.unwrap(),
        charged(80, false)
    );
    assert_eq!(amounts(&*h).await, (80, 0, 900));
}

pub async fn a_bill_takes_from_the_lease_when_nothing_is_free(h: Harness) {
    let grant = renew(&*h, "b1", request(&*h, "c", 1_000)).await;
    let verdict = h.ledger().bill(&billing(&*h, 1, 100, 80)).await.unwrap();
    let BillVerdict::Charged {
        charge_nanos: 80,
        backed: true,
        lease: Some(lease),
    } = verdict
    else {
        panic!("{verdict:?}");
    };
    assert_eq!(lease.leased_nanos, 920);
    assert!(lease.sequence > grant.sequence);
    assert_eq!(amounts(&*h).await, (80, 0, 920));
}

pub async fn what_cannot_be_charged_in_full_is_over_delivery(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 20)).await;
    renew(&*h, "b2", request(&*h, "c", 970)).await;
    let bill = billing(&*h, 1, 40, 30);
    let verdict = h.ledger().bill(&bill).await.unwrap();
    assert_eq!(verdict, BillVerdict::OverDelivery { owed_nanos: 30 });
    // The verdict stands, even when there would be money now.
    renew(&*h, "b2", request(&*h, "c", 0)).await;
    assert_eq!(h.ledger().bill(&bill).await.unwrap(), BillVerdict::Repeated);
    assert_eq!(amounts(&*h).await, (0, 0, 20));
    for balance in balances(&*h, "c").await {
        assert_eq!((balance.over_delivery_nanos, balance.settled_bids), (30, 1));
    }
    let settled = h.ledger().settled(&bid_ref(1)).await.unwrap().unwrap();
    assert_eq!((settled.charge_nanos, settled.over_delivery_nanos), (0, 30));
}

pub async fn an_unknown_campaign_has_nothing_free(h: Harness) {
    assert_eq!(
        h.ledger().win(&reservation(&*h, 1, 30)).await.unwrap(),
        WinVerdict::Unbacked
    );
    let verdict = h.ledger().bill(&billing(&*h, 2, 30, 30)).await.unwrap();
    assert_eq!(verdict, BillVerdict::OverDelivery { owed_nanos: 30 });
    // Once its limits are told, even those of the lowest version, they hold.
    let lowest = LeaseRequest {
        generation: 0,
        revision: 0,
        ..request(&*h, "c", 0)
    };
    assert_eq!(renew(&*h, "b1", lowest).await.free_nanos, 1_000);
    // A day that no lease was asked for has the campaign's limit.
    let tomorrow = Reservation {
        day: day(&*h, 1),
        ..reservation(&*h, 3, 1_000)
    };
    assert!(matches!(
        h.ledger().win(&tomorrow).await.unwrap(),
        WinVerdict::Pending(_)
    ));
}

pub async fn a_verdict_stays_in_the_outbox_until_appended(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 100)).await;
    let start_ms = h.now_ms();
    for bid in [3, 1, 2] {
        h.ledger().bill(&billing(&*h, bid, 30, 25)).await.unwrap();
        h.advance(1).await;
    }
    let all = h.ledger().outbox(h.now_ms(), 10).await.unwrap();
    let bids: Vec<u128> = all.iter().map(|settled| settled.bid_id.0).collect();
    assert_eq!(bids, [3, 1, 2]);
    assert_eq!(all[0].context, "{\"bid\":3}");
    assert_eq!(
        (all[0].campaign_id.as_str(), all[0].date.as_str()),
        ("c", "2027-01-15")
    );
    assert_eq!((all[0].charge_nanos, all[0].over_delivery_nanos), (25, 0));
    assert!(all[0].settled_at_ms >= start_ms);
    assert_eq!(
        h.ledger().outbox(all[0].settled_at_ms, 10).await.unwrap(),
        all[..1]
    );
    assert_eq!(h.ledger().outbox(h.now_ms(), 2).await.unwrap(), all[..2]);
    assert_eq!(
        h.ledger().settled(&bid_ref(1)).await.unwrap().as_ref(),
        Some(&all[1])
    );
    h.ledger()
        .appended(&[bid_ref(3), bid_ref(1), bid_ref(77)])
        .await
        .unwrap();
    assert_eq!(h.ledger().outbox(h.now_ms(), 10).await.unwrap(), all[2..]);
    assert_eq!(h.ledger().settled(&bid_ref(1)).await.unwrap(), None);
}

pub async fn a_verdict_is_safe_only_while_the_outbox_has_it(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 100)).await;
    let ledger = h.ledger();
    assert!(!ledger.is_safe(&bid_ref(1)).await.unwrap(), "nothing is settled");
    ledger.win(&reservation(&*h, 1, 30)).await.unwrap();
    assert!(!ledger.is_safe(&bid_ref(1)).await.unwrap(), "a win is no verdict");
    ledger.bill(&billing(&*h, 1, 30, 30)).await.unwrap();
    assert_eq!(
        ledger.is_safe(&bid_ref(1)).await.unwrap(),
        h.outlives_its_machine()
    );
    ledger.appended(&[bid_ref(1)]).await.unwrap();
    assert!(!ledger.is_safe(&bid_ref(1)).await.unwrap());
}

pub async fn balances_read_by_campaign_and_in_pages(h: Harness) {
    for campaign in ["c2", "c1"] {
        for n in [1, 0] {
            let asked = LeaseRequest {
                day: day(&*h, n),
                ..request(&*h, campaign, 100)
            };
            renew(&*h, "b1", asked).await;
        }
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = h
            .ledger()
            .balances(BalancesOf::All { after, limit: 2 })
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        let date = last.day.as_ref().map(|day| day.date.clone()).unwrap_or_default();
        after = Some((last.campaign_id.clone(), date));
        seen.extend(page);
    }
    let named = ["c1", "c2", "missing"].map(|id| (advertiser(), CampaignId::from(id)));
    assert_eq!(
        h.ledger().balances(BalancesOf::Campaigns(&named)).await.unwrap(),
        seen
    );
    let keys: Vec<(&str, Option<i64>)> = seen
        .iter()
        .map(|balance| {
            (
                balance.campaign_id.as_str(),
                balance.day.as_ref().map(|day| day.start_ms),
            )
        })
        .collect();
    let starts = [None, Some(day(&*h, 0).start_ms), Some(day(&*h, 1).start_ms)];
    let expected: Vec<(&str, Option<i64>)> = ["c1", "c2"]
        .iter()
        .flat_map(|campaign| starts.map(|start| (*campaign, start)))
        .collect();
    assert_eq!(keys, expected);
    assert_eq!(seen[0].account.limit_nanos, Some(10_000));
    assert_eq!(seen[1].account.limit_nanos, Some(1_000));
}

pub async fn forgotten_days_and_bids_are_gone_and_lifetimes_stay(h: Harness) {
    let unlimited = LeaseRequest {
        limits: limits(1_000, 10_000),
        ..request(&*h, "c", 100)
    };
    renew(&*h, "b1", unlimited).await;
    let old_day = day(&*h, 0);
    let bill = billing(&*h, 1, 30, 30);
    h.ledger().bill(&bill).await.unwrap();
    h.ledger().forget(h.now_ms()).await.unwrap();
    assert_eq!(balances(&*h, "c").await.len(), 2, "the day has not ended");
    assert_eq!(h.ledger().bill(&bill).await.unwrap(), BillVerdict::Repeated);
    h.advance(48 * 60 * 60 * 1_000).await;
    h.ledger()
        .renew(group(&*h), &BidderId::from("b1"), HOLD_MS, &[])
        .await
        .unwrap();
    h.ledger().forget(old_day.end_ms + 1).await.unwrap();
    let left = balances(&*h, "c").await;
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].day.as_ref(), left[0].account.spent_nanos), (None, 30));
    h.audit().await;
}
