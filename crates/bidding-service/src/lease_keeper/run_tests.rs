//! When heartbeats are sent, over a ledger that is slow or fails.

use super::tests::changed;
use super::*;
use crate::metrics::BiddingMetrics;
use crate::testing::compiled;
use async_trait::async_trait;
use domain::id::AdvertiserId;
use domain::serving::ServingCampaign;
use platform::Readiness;
use platform::shutdown::ShutdownTiming;
use std::sync::atomic::AtomicU32;
use storage::StorageError;
use storage::spend_ledger::{
    Balance, BalancesOf, BidRef, BillVerdict, Billing, Fact, Grant, LeaseRequest, Rebuild, Reservation,
    Settled, WinVerdict,
};

/// Answers heartbeats alone, the first `failures` of them with an error.
#[derive(Default)]
struct Heartbeats {
    takes: Duration,
    failures: AtomicU32,
    began: Mutex<Vec<Instant>>,
}

fn not_asked<T>() -> Result<T, StorageError> {
    panic!("a heartbeat only renews")
}

#[async_trait]
impl SpendLedger for Heartbeats {
    fn group_of(&self, _: &AdvertiserId) -> u32 {
        0
    }

    async fn renew(
        &self,
        _group: u32,
        _bidder_id: &BidderId,
        _hold_ms: i64,
        _requests: &[LeaseRequest],
    ) -> Result<Vec<Grant>, StorageError> {
        self.began.lock().unwrap().push(Instant::now());
        tokio::time::sleep(self.takes).await;
        let left = |failures: u32| failures.checked_sub(1);
        match self
            .failures
            .try_update(Ordering::Relaxed, Ordering::Relaxed, left)
        {
            Ok(_) => Err(StorageError::Unavailable("scripted".to_owned())),
            Err(_) => Ok(Vec::new()),
        }
    }

    async fn win(&self, _reservation: &Reservation) -> Result<WinVerdict, StorageError> {
        not_asked()
    }

    async fn bill(&self, _billing: &Billing) -> Result<BillVerdict, StorageError> {
        not_asked()
    }

    async fn outbox(&self, _settled_before_ms: i64, _limit: u32) -> Result<Vec<Settled>, StorageError> {
        not_asked()
    }

    async fn settled(&self, _bid: &BidRef) -> Result<Option<Settled>, StorageError> {
        not_asked()
    }

    async fn is_safe(&self, _bid: &BidRef) -> Result<bool, StorageError> {
        not_asked()
    }

    async fn appended(&self, _bids: &[BidRef]) -> Result<(), StorageError> {
        not_asked()
    }

    async fn balances(&self, _of: BalancesOf<'_>) -> Result<Vec<Balance>, StorageError> {
        not_asked()
    }

    async fn forget(&self, _before_ms: i64) -> Result<(), StorageError> {
        not_asked()
    }

    async fn rebuilds(&self, _: &BidderId, _: i64) -> Result<Vec<Rebuild>, StorageError> {
        not_asked()
    }

    async fn restore(&self, _: &Rebuild, _: &BidderId, _: &[Fact]) -> Result<(), StorageError> {
        not_asked()
    }

    async fn rebuilt(&self, _: &Rebuild, _: &BidderId) -> Result<(), StorageError> {
        not_asked()
    }
}

/// At `unix_ms`, with one campaign, whose cell somebody has.
fn keeper(ledger: &Arc<Heartbeats>, unix_ms: i64) -> (Arc<LeaseKeeper>, Vec<Arc<LeaseCell>>) {
    let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
    let keeper = Arc::new(LeaseKeeper::new(
        ledger.clone(),
        BidderId::from("bdr_1"),
        Clock::manual(unix_ms),
        Arc::new(AtomicI64::new(5_000)),
        metrics.money,
        1,
    ));
    let cells = keeper.cells_for(&[compiled(&super::tests::campaign(1_000))]);
    (keeper, cells)
}

#[tokio::test(start_paused = true)]
async fn a_slow_ledger_does_not_stretch_the_second_between_heartbeats() {
    let ledger = Arc::new(Heartbeats {
        takes: Duration::from_millis(600),
        ..Heartbeats::default()
    });
    let shutdown = Shutdown::new(ShutdownTiming::default(), Readiness::new());
    let (keeper, _cells) = keeper(&ledger, 0);
    let running = tokio::spawn(keeper.run(shutdown.clone()));
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    running.abort();
    let began = ledger.began.lock().unwrap();
    let pauses: Vec<u128> = began
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_millis() / 100)
        .collect();
    assert_eq!(pauses, [10; 4], "tenths of a second from start to start");
}

#[tokio::test(start_paused = true)]
async fn a_stopping_process_tries_again_to_give_its_leases_back_but_not_for_ever() {
    for (failures, tries) in [(2, 3), (u32::MAX, 5)] {
        let ledger = Arc::new(Heartbeats {
            failures: AtomicU32::new(failures),
            ..Heartbeats::default()
        });
        let (keeper, _cells) = keeper(&ledger, 0);
        keeper.give_back().await;
        assert_eq!(ledger.began.lock().unwrap().len(), tries);
    }
}

/// A keeper with `count` campaigns that was never asked for a bid.
fn keeper_of(count: usize) -> Arc<LeaseKeeper> {
    let (keeper, _cell) = keeper(&Arc::default(), super::tests::START_MS);
    let one = super::tests::campaign(1_000);
    let campaigns = (1..count).map(|number| {
        let mut campaign = ServingCampaign::clone(&one);
        campaign.campaign.id = CampaignId(format!("cmp_{}", number + 1));
        compiled(&campaign)
    });
    let mut campaigns: Vec<_> = campaigns.collect();
    campaigns.push(compiled(&one));
    keeper.cells_for(&campaigns);
    keeper
}

#[tokio::test]
async fn a_heartbeat_over_many_campaigns_lets_bids_in_between() {
    const CAMPAIGNS: usize = 40_000;
    let keeper = keeper_of(CAMPAIGNS);
    let mut turns = 0;
    let others = async {
        loop {
            turns += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        beaten = keeper.beat() => beaten.unwrap(),
        () = others => {}
    }
    assert!(turns > CAMPAIGNS / 5_000, "{turns} turns of others");
}

#[tokio::test]
async fn campaigns_that_nobody_asks_for_sleep() {
    let keeper = keeper_of(2_000);
    keeper.beat().await.unwrap();
    let heartbeats = keeper.heartbeats.lock().await;
    let group = heartbeats.groups.get(&0).unwrap();
    // This ledger answers without a grant, so that those it was asked about wait for it.
    assert_eq!((group.awake.len(), group.sleeping()), (500, 1_500));
}

/// Whom nobody has asked for yet is not left waiting for a second.
#[tokio::test(start_paused = true)]
async fn a_new_campaign_is_leased_before_the_next_heartbeat() {
    let ledger = Arc::new(Heartbeats::default());
    let shutdown = Shutdown::new(ShutdownTiming::default(), Readiness::new());
    let (keeper, _cells) = keeper(&ledger, 0);
    let running = tokio::spawn(keeper.clone().run(shutdown.clone()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ledger.began.lock().unwrap().len(), 1);
    let mut other = ServingCampaign::clone(&super::tests::campaign(1_000));
    other.campaign.id = CampaignId::from("cmp_2");
    let _cell = keeper.serves(&compiled(&other));
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let began = ledger.began.lock().unwrap().clone();
    let after_ms: Vec<u128> = began.iter().map(|at| (*at - began[0]).as_millis()).collect();
    // At once and each second; 0.1 s after the campaign came; the one at 1 s is not moved by it.
    assert_eq!(after_ms[0], 0);
    assert!(
        (400..450).contains(&after_ms[1]) && (1_000..1_050).contains(&after_ms[2]),
        "{after_ms:?}"
    );
    // One that is awake, and changes: looked at again as soon.
    keeper.serves(&compiled(&changed(&other, |campaign| {
        campaign.limits.daily_nanos = Some(1);
    })));
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(ledger.began.lock().unwrap().len(), 4);
    shutdown.background().cancel();
    running.await.unwrap();
}
