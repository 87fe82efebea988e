//! A random walk over the ledger beside its model: renewals, wins and bills, early, late, twice and out of
//! order, by several bidders, with limits that change and a clock that ends things.
#![expect(clippy::unwrap_used, reason = "test code: a walk that fails panics")]

use super::dice::Dice;
use super::ledger_model::{Bill, Model, Terms, Win};
use super::spend_ledger::LedgerHarness;
use crate::spend_ledger::{
    AccountBalance, BalancesOf, BillVerdict, Billing, Grant, LeaseRequest, Reservation, WinVerdict,
};
use domain::id::{AdvertiserId, BidId, BidderId, CampaignId};
use domain::period::{Day, Limits};

const CAMPAIGN: &str = "cmp_walk";
const ADVERTISER: &str = "adv_walk";
const DATES: [&str; 2] = ["2027-01-15", "2027-01-16"];
const BIDDERS: u64 = 4;
/// Holds no lease; its renewals read the accounts after everything that ended has been freed.
const OBSERVER: u64 = BIDDERS;

/// One walk of `steps` steps for each seed. A failing seed is printed, and walks the same way again.
pub async fn walk<F: AsyncFn() -> Box<dyn LedgerHarness>>(fresh: F, seeds: std::ops::Range<u64>, steps: u32) {
    for seed in seeds {
        let announce = FailingSeed(seed);
        let harness = fresh().await;
        let mut walk = Walk::new(&*harness, seed);
        // Tells the ledger of the limits.
        walk.check().await;
        for _ in 0..steps {
            walk.step().await;
            walk.check().await;
        }
        walk.check_outbox().await;
        drop(announce);
    }
}

/// Prints the seed when its walk panics.
struct FailingSeed(u64);

impl Drop for FailingSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("failing seed: {}", self.0);
        }
    }
}

struct Walk<'a> {
    harness: &'a dyn LedgerHarness,
    dice: Dice,
    model: Model,
    bids: Vec<Terms>,
    revision: i64,
    /// Renewals sent so far.
    renewals: i64,
    limits: Limits,
    /// Spent + pending + leased of each day and the lifetime, after the last step.
    used: [i64; 3],
    /// The highest sequence seen of each lease.
    sequences: std::collections::HashMap<(usize, u64), i64>,
    charged: i64,
}

impl<'a> Walk<'a> {
    fn new(harness: &'a dyn LedgerHarness, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut model = Model::default();
        model.now_ms = harness.now_ms();
        Self {
            limits: random_limits(&mut dice),
            harness,
            dice,
            model,
            bids: Vec::new(),
            revision: 1,
            renewals: 0,
            used: [0; 3],
            sequences: std::collections::HashMap::new(),
            charged: 0,
        }
    }

    async fn step(&mut self) {
        match self.dice.roll(20) {
            0..=6 => self.renew_randomly().await,
            7..=10 => self.win().await,
            11..=15 => self.bill().await,
            16..=17 => {
                // Mostly moments; now and then past leases, or past billing windows.
                let at_most_ms = [500, 9_000, 70_000][self.dice.roll(10) as usize / 4];
                let ms = 1 + self.dice.nanos(at_most_ms);
                self.harness.advance(ms).await;
                self.model.now_ms += ms;
            }
            18 => {
                self.revision += 1;
                self.limits = random_limits(&mut self.dice);
            }
            _ => self.bids.truncate(self.bids.len() / 2),
        }
    }

    async fn renew_randomly(&mut self) {
        let day = self.dice.roll(2) as usize;
        let bidder = self.dice.roll(BIDDERS);
        let wanted = self.dice.nanos(600);
        let bid = 1 + self.dice.nanos(40);
        // Some renewals come from a bidder that has not heard of the last change.
        let stale = self.revision > 1 && self.dice.roll(8) == 0;
        let version = (1, self.revision - i64::from(stale));
        // Others were overtaken on their way.
        let late = if self.dice.roll(6) == 0 {
            self.dice.nanos(20)
        } else {
            0
        };
        self.renew((day, bidder), version, (wanted, bid), late).await;
    }

    async fn renew(
        &mut self,
        (day, bidder): (usize, u64),
        version: (i64, i64),
        (wanted, bid): (i64, i64),
        late: i64,
    ) -> Grant {
        const HOLD_MS: i64 = 8_000;
        self.renewals += 1;
        let renewal = (self.renewals - late).max(0);
        let request = LeaseRequest {
            advertiser_id: AdvertiserId::from(ADVERTISER),
            campaign_id: CampaignId::from(CAMPAIGN),
            generation: version.0,
            revision: version.1,
            day: walk_day(day),
            limits: self.limits,
            wanted_nanos: wanted,
            bid_nanos: bid,
            opportunities: 1,
            bids: 1,
            renewal,
        };
        let bidder_id = bidder_id(bidder);
        let ledger = self.harness.ledger();
        let group = ledger.group_of(&request.advertiser_id);
        let grants = ledger
            .renew(group, &bidder_id, HOLD_MS, &[request])
            .await
            .unwrap();
        let expected = self.model.renew(
            (day, bidder),
            (version, self.limits),
            (wanted, bid, HOLD_MS),
            renewal,
        );
        let grant = grants.into_iter().next().unwrap();
        assert_eq!(
            grant.leased_nanos, expected,
            "lease of bidder {bidder} on day {day}"
        );
        self.saw_sequence((day, bidder), grant.sequence);
        grant
    }

    fn saw_sequence(&mut self, lease: (usize, u64), sequence: i64) {
        let highest = self.sequences.entry(lease).or_default();
        assert!(
            sequence >= *highest,
            "a sequence went back from {highest} to {sequence}"
        );
        *highest = sequence;
    }

    /// A bid seen before, three times in four, or a new one.
    fn pick_bid(&mut self) -> Terms {
        let known = self.bids.len() as u64;
        if known > 0 && self.dice.roll(4) > 0 {
            let index = self.dice.roll(known) as usize;
            return self.bids[index];
        }
        let terms = Terms {
            bid: u128::from(self.dice.roll(u64::MAX)),
            day: self.dice.roll(2) as usize,
            bidder: self.dice.roll(BIDDERS),
            reserved: self.dice.nanos(60),
            window_ms: 1 + self.dice.nanos(60_000),
        };
        self.bids.push(terms);
        terms
    }

    async fn win(&mut self) {
        let terms = self.pick_bid();
        let verdict = self.harness.ledger().win(&reservation(terms)).await.unwrap();
        let found = match verdict {
            WinVerdict::Pending(lease) => {
                self.saw_sequence((terms.day, terms.bidder), lease.sequence);
                Win::Pending
            }
            WinVerdict::Unbacked => Win::Unbacked,
            WinVerdict::Repeated => Win::Repeated,
        };
        assert_eq!(found, self.model.win(terms), "{terms:?}");
    }

    async fn bill(&mut self) {
        let terms = self.pick_bid();
        let asked = self.dice.nanos(80);
        let billing = Billing {
            reservation: reservation(terms),
            charge_nanos: asked,
            context: "{}".to_owned(),
        };
        let found = match self.harness.ledger().bill(&billing).await.unwrap() {
            BillVerdict::Charged {
                charge_nanos,
                backed,
                lease,
            } => {
                if let Some(lease) = lease {
                    self.saw_sequence((terms.day, terms.bidder), lease.sequence);
                }
                self.charged += charge_nanos;
                Bill::Charged {
                    nanos: charge_nanos,
                    backed,
                }
            }
            BillVerdict::OverDelivery { owed_nanos } => Bill::OverDelivery(owed_nanos),
            BillVerdict::Repeated => Bill::Repeated,
        };
        assert_eq!(found, self.model.bill(terms, asked), "{terms:?}");
    }

    /// The accounts equal the model's, and none grew beyond its limit.
    async fn check(&mut self) {
        for day in 0..2 {
            let grant = self.renew((day, OBSERVER), (1, self.revision), (0, 1), 0).await;
            assert_eq!(grant.day, self.model.account(Some(day)), "day {day}");
            assert_eq!(grant.lifetime, self.model.account(None), "lifetime");
            self.check_cap(day, grant.day);
            self.check_cap(2, grant.lifetime);
        }
        assert_eq!(self.model.account(None).spent_nanos, self.charged);
        self.harness.audit().await;
    }

    /// What is above its limit, after a cut, may only fall.
    fn check_cap(&mut self, account: usize, balance: AccountBalance) {
        let used = balance.spent_nanos + balance.pending_nanos + balance.leased_nanos;
        let cap = balance.limit_nanos.unwrap_or(i64::MAX).max(self.used[account]);
        assert!(used <= cap, "account {account} uses {used} of {cap}: {balance:?}");
        self.used[account] = used;
    }

    /// Verdicts, outbox and accounts say the same.
    async fn check_outbox(&self) {
        let ledger = self.harness.ledger();
        let settled = ledger.outbox(i64::MAX, u32::MAX).await.unwrap();
        let charged: i64 = settled.iter().map(|verdict| verdict.charge_nanos).sum();
        assert_eq!(charged, self.charged);
        let campaign = [(AdvertiserId::from(ADVERTISER), CampaignId::from(CAMPAIGN))];
        let balances = ledger.balances(BalancesOf::Campaigns(&campaign)).await.unwrap();
        let lifetime = &balances[0];
        let over_delivered: i64 = settled.iter().map(|verdict| verdict.over_delivery_nanos).sum();
        assert_eq!(lifetime.over_delivery_nanos, over_delivered);
        assert_eq!(lifetime.settled_bids, i64::try_from(settled.len()).unwrap());
        for day in 0..2 {
            let balance = &balances[1 + day];
            assert_eq!(balance.over_delivery_nanos, self.model.over_delivered[day]);
            assert_eq!(balance.settled_bids, self.model.settled[day]);
        }
    }
}

fn reservation(terms: Terms) -> Reservation {
    Reservation {
        bid_id: BidId(terms.bid),
        advertiser_id: AdvertiserId::from(ADVERTISER),
        campaign_id: CampaignId::from(CAMPAIGN),
        day: walk_day(terms.day),
        bidder_id: bidder_id(terms.bidder),
        reserved_nanos: terms.reserved,
        billing_window_ms: terms.window_ms,
    }
}

fn walk_day(n: usize) -> Day {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    const FIRST_MS: i64 = 1_799_971_200_000;
    let start_ms = FIRST_MS + i64::try_from(n).unwrap() * DAY_MS;
    Day {
        date: DATES[n].to_owned(),
        start_ms,
        end_ms: start_ms + DAY_MS,
    }
}

fn bidder_id(bidder: u64) -> BidderId {
    BidderId(format!("bdr_{bidder}"))
}

fn random_limits(dice: &mut Dice) -> Limits {
    let mut limit = |below| (dice.roll(8) > 0).then(|| dice.nanos(below));
    Limits {
        daily_nanos: limit(2_000),
        total_nanos: limit(3_000),
    }
}
