//! Leases: grants, ends, limits.

use super::{HOLD_MS, Harness, balances, day, group, limits, renew, request, reservation};
use crate::spend_ledger::{LeaseRequest, WinVerdict};
use domain::id::BidderId;
use domain::period::Limits;

pub async fn a_lease_never_exceeds_free(h: Harness) {
    let mut leased = 0;
    for bidder in ["b1", "b2", "b3"] {
        let grant = renew(&*h, bidder, request(&*h, "c", 400)).await;
        leased += grant.leased_nanos;
        assert_eq!(grant.day.leased_nanos, leased);
        assert_eq!(grant.free_nanos, 1_000 - leased);
    }
    assert_eq!(leased, 1_000);
    assert_eq!(renew(&*h, "b4", request(&*h, "c", 10)).await.leased_nanos, 0);
}

pub async fn a_lease_grows_by_whole_bids(h: Harness) {
    let of_bid = |wanted_nanos, bid_nanos| LeaseRequest {
        bid_nanos,
        ..request(&*h, "c", wanted_nanos)
    };
    assert_eq!(renew(&*h, "b1", of_bid(299, 100)).await.leased_nanos, 200);
    // Growth is counted in bids, not the lease: 200 held, 700 more of 799.
    assert_eq!(renew(&*h, "b2", of_bid(50, 50)).await.leased_nanos, 50);
    assert_eq!(renew(&*h, "b1", of_bid(1_000, 100)).await.leased_nanos, 900);
    assert_eq!(renew(&*h, "b3", of_bid(100, 100)).await.leased_nanos, 0);
}

pub async fn a_lease_draws_on_day_and_lifetime(h: Harness) {
    let tight = LeaseRequest {
        limits: limits(1_000, 300),
        ..request(&*h, "c", 500)
    };
    let grant = renew(&*h, "b1", tight).await;
    assert_eq!((grant.leased_nanos, grant.free_nanos), (300, 0));
    assert_eq!((grant.day.leased_nanos, grant.lifetime.leased_nanos), (300, 300));
}

pub async fn days_share_the_lifetime(h: Harness) {
    let on = |n, wanted_nanos| LeaseRequest {
        day: day(&*h, n),
        limits: limits(1_000, 1_200),
        ..request(&*h, "c", wanted_nanos)
    };
    assert_eq!(renew(&*h, "b1", on(0, 900)).await.leased_nanos, 900);
    let tomorrow = renew(&*h, "b1", on(1, 900)).await;
    assert_eq!(tomorrow.leased_nanos, 300);
    assert_eq!(
        (tomorrow.day.leased_nanos, tomorrow.lifetime.leased_nanos),
        (300, 1_200)
    );
}

pub async fn an_account_without_a_limit_does_not_bound(h: Harness) {
    let free = |limits| LeaseRequest {
        limits,
        ..request(&*h, "c", 5_000_000)
    };
    let none = renew(&*h, "b1", free(Limits::default())).await;
    assert_eq!((none.leased_nanos, none.free_nanos), (5_000_000, i64::MAX));
    let daily = Limits {
        daily_nanos: Some(5_000_100),
        total_nanos: None,
    };
    let grant = renew(&*h, "b2", free(daily)).await;
    assert_eq!(grant.leased_nanos, 100);
    assert_eq!(grant.lifetime.limit_nanos, None);
    // More than 64 bits count is asked for: no sum may leave its range.
    let greedy = LeaseRequest {
        limits: Limits::default(),
        ..request(&*h, "greedy", i64::MAX)
    };
    let first = renew(&*h, "b1", greedy.clone()).await.leased_nanos;
    let second = renew(&*h, "b2", greedy).await.leased_nanos;
    assert!(first.checked_add(second).is_some());
}

pub async fn a_smaller_wish_gives_the_rest_back(h: Harness) {
    let before = renew(&*h, "b1", request(&*h, "c", 500)).await;
    let after = renew(&*h, "b1", request(&*h, "c", 123)).await;
    assert_eq!((after.leased_nanos, after.free_nanos), (123, 877));
    assert!(after.sequence > before.sequence);
    assert_eq!(renew(&*h, "b1", request(&*h, "c", -5)).await.leased_nanos, 0);
}

pub async fn a_lease_ends_with_its_hold_and_its_sequence_goes_on(h: Harness) {
    let first = renew(&*h, "b1", request(&*h, "c", 1_000)).await;
    h.advance(HOLD_MS - 1).await;
    assert_eq!(renew(&*h, "b2", request(&*h, "c", 1_000)).await.leased_nanos, 0);
    h.advance(1).await;
    assert_eq!(renew(&*h, "b2", request(&*h, "c", 500)).await.leased_nanos, 500);
    let again = renew(&*h, "b1", request(&*h, "c", 500)).await;
    assert_eq!(again.leased_nanos, 500);
    assert!(
        again.sequence > first.sequence + 1,
        "the end of a lease is a change too"
    );
}

pub async fn a_renewed_lease_lives_on(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 500)).await;
    for _ in 0..3 {
        h.advance(HOLD_MS - 1).await;
        let grant = renew(&*h, "b1", request(&*h, "c", 500)).await;
        assert_eq!((grant.leased_nanos, grant.free_nanos), (500, 500));
    }
}

/// It timed out at its bidder, who has sent another since, and reaches the ledger late.
pub async fn a_renewal_that_was_overtaken_changes_nothing(h: Harness) {
    let numbered = |renewal, wanted_nanos, opportunities| LeaseRequest {
        renewal,
        opportunities,
        ..request(&*h, "c", wanted_nanos)
    };
    renew(&*h, "b1", numbered(6, 100, 1)).await;
    let newer = renew(&*h, "b1", numbered(8, 500, 2)).await;
    h.advance(HOLD_MS / 2).await;
    // The other bidder's numbers are its own.
    assert_eq!(renew(&*h, "b2", numbered(1, 100, 0)).await.leased_nanos, 100);
    for wanted_nanos in [0, 100, 900] {
        let late = LeaseRequest {
            revision: 2,
            limits: limits(2_000, 10_000),
            ..numbered(7, wanted_nanos, 3)
        };
        let late = renew(&*h, "b1", late).await;
        assert_eq!((late.leased_nanos, late.opportunities), (500, 3));
        assert_eq!(late.day.limit_nanos, newer.day.limit_nanos);
    }
    // It was not held longer either.
    h.advance(HOLD_MS / 2).await;
    assert_eq!(renew(&*h, "b2", numbered(2, 100, 0)).await.day.leased_nanos, 100);
    // What has ended is begun anew by whoever comes.
    assert_eq!(renew(&*h, "b1", numbered(7, 200, 0)).await.leased_nanos, 200);
    // A win that drew on the lease leaves its number as it is.
    let drawn = h.ledger().win(&reservation(&*h, 1, 50)).await.unwrap();
    assert!(
        matches!(drawn, WinVerdict::Pending(lease) if lease.leased_nanos == 150),
        "{drawn:?}"
    );
    assert_eq!(renew(&*h, "b1", numbered(6, 10, 0)).await.leased_nanos, 150);
    assert_eq!(renew(&*h, "b1", numbered(7, 10, 0)).await.leased_nanos, 10);
}

pub async fn the_limits_of_the_highest_version_win(h: Harness) {
    let version = |generation, revision, daily_nanos| LeaseRequest {
        generation,
        revision,
        limits: limits(daily_nanos, 10_000),
        ..request(&*h, "c", 0)
    };
    let steps = [
        (version(1, 5, 100), 100),
        (version(1, 4, 900), 100),
        (version(1, 5, 100), 100),
        (version(2, 1, 300), 300),
        (version(1, 9, 900), 300),
    ];
    for (asked, expected) in steps {
        assert_eq!(renew(&*h, "b1", asked).await.day.limit_nanos, Some(expected));
    }
    // A day first seen with an old version gets the limits that are kept.
    let stale_tomorrow = LeaseRequest {
        day: day(&*h, 1),
        ..version(1, 1, 7)
    };
    assert_eq!(renew(&*h, "b1", stale_tomorrow).await.day.limit_nanos, Some(300));
}

pub async fn a_cut_limit_stops_growth_and_takes_nothing_away(h: Harness) {
    renew(&*h, "b1", request(&*h, "c", 600)).await;
    let cut = |wanted_nanos| LeaseRequest {
        revision: 2,
        limits: limits(400, 10_000),
        ..request(&*h, "c", wanted_nanos)
    };
    let after = renew(&*h, "b1", cut(700)).await;
    assert_eq!((after.leased_nanos, after.free_nanos), (600, -200));
    assert_eq!(renew(&*h, "b2", cut(10)).await.leased_nanos, 0);
    assert_eq!(renew(&*h, "b1", cut(390)).await.free_nanos, 10);
    assert_eq!(renew(&*h, "b2", cut(10)).await.leased_nanos, 10);
}

pub async fn grants_tell_who_else_holds_a_lease_and_what_was_seen(h: Harness) {
    let seeing = |opportunities, bids| LeaseRequest {
        opportunities,
        bids,
        ..request(&*h, "c", 100)
    };
    assert_eq!(renew(&*h, "b1", seeing(5, 2)).await.bidders, 1);
    let second = renew(&*h, "b2", seeing(7, 3)).await;
    assert_eq!((second.bidders, second.opportunities, second.bids), (2, 12, 5));
    renew(&*h, "b1", request(&*h, "c", 0)).await;
    assert_eq!(renew(&*h, "b2", seeing(0, 0)).await.bidders, 1);
    let tomorrow = LeaseRequest {
        day: day(&*h, 1),
        ..seeing(1, 1)
    };
    let grant = renew(&*h, "b1", tomorrow).await;
    assert_eq!((grant.bidders, grant.opportunities, grant.bids), (1, 1, 1));
}

pub async fn grants_come_in_the_order_of_their_requests(h: Harness) {
    let requests = [
        request(&*h, "c2", 100),
        request(&*h, "c1", 200),
        LeaseRequest {
            day: day(&*h, 1),
            ..request(&*h, "c2", 300)
        },
    ];
    let bidder = BidderId::from("b1");
    let grants = h
        .ledger()
        .renew(group(&*h), &bidder, HOLD_MS, &requests)
        .await
        .unwrap();
    let found: Vec<(&str, &str, i64)> = grants
        .iter()
        .map(|grant| {
            (
                grant.campaign_id.as_str(),
                grant.date.as_str(),
                grant.leased_nanos,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("c2", "2027-01-15", 100),
            ("c1", "2027-01-15", 200),
            ("c2", "2027-01-16", 300)
        ]
    );
    assert!(
        h.ledger()
            .renew(group(&*h), &bidder, HOLD_MS, &[])
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(balances(&*h, "c2").await[0].account.leased_nanos, 400);
    h.audit().await;
}
