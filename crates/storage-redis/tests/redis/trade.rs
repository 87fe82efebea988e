//! A bidder's day at the ledger, against the servers' own clock.

use crate::harness::{make_ready, settings};
use domain::id::{AdvertiserId, BidId, BidderId, CampaignId};
use domain::period::{Day, Limits};
use std::time::{Duration, Instant};
use storage::spend_ledger::{
    BalancesOf, BidRef, BillVerdict, Billing, Grant, LeaseRequest, Rebuild, Reservation, WinVerdict,
};
use storage::{SpendLedger, StorageError};
use storage_redis::RedisLedger;
use test_servers::redis::Cluster;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const HOLD_MS: i64 = 500;

pub(crate) fn advertiser() -> AdvertiserId {
    AdvertiserId::from("adv_laws")
}

pub(crate) fn bidder() -> BidderId {
    BidderId::from("b1")
}

pub(crate) fn ledger(nodes: Vec<String>) -> RedisLedger {
    RedisLedger::new(&settings(nodes)).unwrap()
}

pub(crate) fn day() -> Day {
    Day {
        date: "2027-01-15".to_owned(),
        start_ms: 1_799_971_200_000,
        end_ms: 1_800_057_600_000,
    }
}

pub(crate) async fn renew(ledger: &RedisLedger, wanted_nanos: i64) -> Result<Grant, StorageError> {
    renew_as(ledger, 0, wanted_nanos).await
}

/// The bidder's heartbeat of that number.
pub(crate) async fn renew_as(
    ledger: &RedisLedger,
    renewal: i64,
    wanted_nanos: i64,
) -> Result<Grant, StorageError> {
    let request = LeaseRequest {
        advertiser_id: advertiser(),
        campaign_id: CampaignId::from("c"),
        generation: 1,
        revision: 1,
        day: day(),
        limits: Limits {
            daily_nanos: Some(1_000),
            total_nanos: Some(1_000),
        },
        wanted_nanos,
        bid_nanos: 10,
        opportunities: 0,
        bids: 0,
        renewal,
    };
    let group = ledger.group_of(&advertiser());
    let grants = ledger.renew(group, &bidder(), HOLD_MS, &[request]).await?;
    Ok(grants.into_iter().next().unwrap())
}

fn reservation(bid: u128, reserved_nanos: i64) -> Reservation {
    Reservation {
        bid_id: BidId(bid),
        advertiser_id: advertiser(),
        campaign_id: CampaignId::from("c"),
        day: day(),
        bidder_id: bidder(),
        reserved_nanos,
        billing_window_ms: 60_000,
    }
}

pub(crate) async fn win(ledger: &RedisLedger, bid: u128, nanos: i64) -> Result<WinVerdict, StorageError> {
    ledger.win(&reservation(bid, nanos)).await
}

pub(crate) async fn bill(ledger: &RedisLedger, bid: u128, nanos: i64) -> Result<BillVerdict, StorageError> {
    let billing = Billing {
        reservation: reservation(bid, nanos),
        charge_nanos: nanos,
        context: "{}".to_owned(),
    };
    ledger.bill(&billing).await
}

/// Spent by the lifetime.
pub(crate) async fn spent(ledger: &RedisLedger) -> i64 {
    let of = [(advertiser(), CampaignId::from("c"))];
    let balances = ledger.balances(BalancesOf::Campaigns(&of)).await.unwrap();
    balances[0].account.spent_nanos
}

/// Until the ledger says that the laws' group must be rebuilt, and lets this bidder do it.
pub(crate) async fn claim(ledger: &RedisLedger) -> Rebuild {
    let group = ledger.group_of(&advertiser());
    let deadline = Instant::now() + DEADLINE;
    loop {
        let found = ledger.rebuilds(&bidder(), HOLD_MS).await.unwrap_or_default();
        if let Some(rebuild) = found.into_iter().find(|rebuild| rebuild.group == group) {
            return rebuild;
        }
        assert!(Instant::now() < deadline, "the group is never to be rebuilt");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The books are as they were: nothing is granted or settled until they have been rebuilt, and then it goes on.
pub(crate) async fn comes_back(ledger: &RedisLedger) {
    let rebuild = claim(ledger).await;
    assert!(rebuild.complete_until_ms.is_some(), "{rebuild:?}");
    let refused = bill(ledger, 1, 40).await;
    assert!(
        matches!(refused, Err(StorageError::Unavailable(_))),
        "{refused:?}"
    );
    ledger.rebuilt(&rebuild, &bidder()).await.unwrap();
    assert_eq!(bill(ledger, 1, 40).await.unwrap(), BillVerdict::Repeated);
    assert_eq!(spent(ledger).await, 40);
    let grant = granted_in_the_end(ledger, 100).await;
    assert_eq!((grant.leased_nanos, grant.lifetime.spent_nanos), (100, 40));
}

/// The connection of before the restart has to be found broken, and a promoted replica may be waiting for its own replica.
pub(crate) async fn granted_in_the_end(ledger: &RedisLedger, wanted_nanos: i64) -> Grant {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match renew(ledger, wanted_nanos).await {
            Ok(grant) => return grant,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A lease of 500, and 40 spent.
pub(crate) async fn busy(ledger: &RedisLedger) {
    make_ready(ledger).await;
    assert_eq!(renew(ledger, 500).await.unwrap().leased_nanos, 500);
    bill(ledger, 1, 40).await.unwrap();
}

pub(crate) async fn master(cluster: &Cluster, ledger: &RedisLedger) -> (u16, usize) {
    let slot = cluster
        .slot_of(&format!("{{g{:02}}}:head", ledger.group_of(&advertiser())))
        .await;
    (slot, cluster.master_of(slot).await)
}

pub(crate) fn bid_ref(bid: u128) -> BidRef {
    BidRef {
        advertiser_id: advertiser(),
        bid_id: BidId(bid),
    }
}

pub(crate) fn is_unavailable<T>(answer: &Result<T, StorageError>) -> bool {
    matches!(answer, Err(StorageError::Unavailable(_)))
}
