//! Money: leases, wins, settlement.
//!
//! The ledger keeps, for each campaign, an account of each day and one of its lifetime: `limit`, `spent`,
//! `pending`, `leased`. Invariant, at every instant, under any crash, for each account:
//! **spent + pending + leased <= max(limit, what was already spent, pending or leased when the limit was cut)**.
//!
//! A day is named by its date in the campaign's zone and carried as instants; the ledger never computes
//! days. Each amount counts in the day's account and in the lifetime's. Amounts are nanos of the
//! campaign's currency. *Free* is the least of `limit - spent - pending - leased` over both accounts; an account without a limit
//! does not bound it.

use crate::error::StorageError;
use async_trait::async_trait;
use domain::id::{AdvertiserId, BidId, BidderId, CampaignId};
use domain::period::{Day, Limits};
use std::sync::Arc;

/// The ledger's own clock, Unix milliseconds. Ends of leases and of pending wins follow it alone: a bidder's wrong wall
/// clock must not free another's money. (Redis uses `TIME`; the embedded ledger is given one.)
pub type LedgerClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What one bidder asks for one campaign's day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    pub advertiser_id: AdvertiserId,
    pub campaign_id: CampaignId,
    /// (generation, revision) of the campaign's record: the ledger keeps the limits of the highest.
    pub generation: i64,
    pub revision: i64,
    pub day: Day,
    pub limits: Limits,
    /// The lease the bidder wants to hold from now on, what its open bids have reserved included. Less than it holds gives the
    /// rest back; the bidder must not commit more than this from the moment it sends the request.
    pub wanted_nanos: i64,
    /// Grants are in whole bids: the growth is a multiple of this (positive).
    pub bid_nanos: i64,
    /// Seen since the last renewal; the ledger adds them up for pacing and reports them.
    pub opportunities: i64,
    pub bids: i64,
    /// Counts up with each heartbeat of this bidder (not negative). A lease in force keeps that of its last renewal: a renewal
    /// with a lower one was overtaken on its way, as by the one after a time-out. It changes nothing (a lease that it shrank
    /// or ended sooner would be bid on and granted to another), and its grant says what is.
    pub renewal: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub campaign_id: CampaignId,
    pub date: String,
    /// What the bidder's lease now is.
    pub leased_nanos: i64,
    /// Raised with every change to this lease by anyone: of two answers the one with the higher sequence is the truth.
    pub sequence: i64,
    /// May be negative after a cut: then the bidder stops bidding at once and gives back what is not reserved.
    pub free_nanos: i64,
    pub day: AccountBalance,
    pub lifetime: AccountBalance,
    /// Bidders that hold a lease on this campaign's day, this one included.
    pub bidders: u32,
    /// Sums over all bidders of what they reported for this day.
    pub opportunities: i64,
    pub bids: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountBalance {
    pub limit_nanos: Option<i64>,
    pub spent_nanos: i64,
    pub pending_nanos: i64,
    pub leased_nanos: i64,
}

impl AccountBalance {
    /// Left to grant; `i64::MAX` without a limit.
    #[must_use]
    pub fn free_nanos(&self) -> i64 {
        self.limit_nanos.map_or(i64::MAX, |limit| {
            limit
                .saturating_sub(self.spent_nanos)
                .saturating_sub(self.pending_nanos)
                .saturating_sub(self.leased_nanos)
        })
    }
}

/// A reservation as the sealed token of a notice carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    pub bid_id: BidId,
    pub advertiser_id: AdvertiserId,
    pub campaign_id: CampaignId,
    pub day: Day,
    /// Whose lease it was taken from.
    pub bidder_id: BidderId,
    pub reserved_nanos: i64,
    /// The bid was won but its billing did not come: after this long, by the ledger's clock, the pending amount is free again (T2).
    pub billing_window_ms: i64,
}

/// The lease of the reservation's bidder after an operation that may have changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseNow {
    pub leased_nanos: i64,
    pub sequence: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WinVerdict {
    /// The price moved from lease or free to pending.
    Pending(LeaseNow),
    /// Neither had it: the bid's billing will find what it finds.
    Unbacked,
    /// Seen before, or billed already.
    Repeated,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billing {
    pub reservation: Reservation,
    /// What the bid cleared at, at most `reserved_nanos` (more is cut to it).
    pub charge_nanos: i64,
    /// The rest of the spend event as JSON, opaque to the ledger: it stays with the verdict in the outbox.
    pub context: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillVerdict {
    /// Charged in full; `backed` says whether a pending win or its own lease had it set aside.
    Charged {
        charge_nanos: i64,
        backed: bool,
        lease: Option<LeaseNow>,
    },
    /// Nothing was left: the whole amount is over-delivery, recorded and never charged.
    OverDelivery { owed_nanos: i64 },
    /// Settled before; the verdict of then stands.
    Repeated,
}

/// A verdict not yet in topic `spend`. Written in the same step as the verdict itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub bid_id: BidId,
    pub campaign_id: CampaignId,
    pub date: String,
    /// By the ledger's clock.
    pub settled_at_ms: i64,
    pub charge_nanos: i64,
    pub over_delivery_nanos: i64,
    pub context: String,
}

/// A bid, with what says where the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BidRef {
    pub advertiser_id: AdvertiserId,
    pub bid_id: BidId,
}

/// A group whose books must be made good from the topics before it grants or settles again: the node that serves it
/// is new, was restarted or was promoted, and may lack what the last one acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    pub group: u32,
    /// The ledger refuses steps of any other.
    pub epoch: i64,
    /// The books hold everything up to this instant (Unix milliseconds, margin included); `None`: nothing is left of them, and
    /// they begin with the checkpoints.
    pub complete_until_ms: Option<i64>,
}

/// What the topics say of a group that is being rebuilt. Applying one twice changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An account as of a checkpoint; `day` `None`: the lifetime. Comes before every other fact of its campaign, and only
    /// where nothing is left of the books.
    Checkpoint {
        advertiser_id: AdvertiserId,
        campaign_id: CampaignId,
        day: Option<Day>,
        spent_nanos: i64,
        over_delivery_nanos: i64,
        settled_bids: i64,
    },
    /// A verdict of topic `spend`. `counted`: the checkpoint holds it already, only the bid is remembered.
    Settled {
        bid: BidRef,
        campaign_id: CampaignId,
        day: Day,
        charge_nanos: i64,
        over_delivery_nanos: i64,
        settled_at_ms: i64,
        counted: bool,
    },
    /// A win of topic `wins`: pending, unless the bid is settled, for what is left of its billing window and at least a minute
    /// (its billing may wait in a spool).
    Won {
        reservation: Reservation,
        won_at_ms: i64,
    },
}

/// One account, for readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    pub campaign_id: CampaignId,
    /// `None`: the lifetime.
    pub day: Option<Day>,
    pub account: AccountBalance,
    pub over_delivery_nanos: i64,
    /// Billings charged or over-delivered.
    pub settled_bids: i64,
}

#[async_trait]
pub trait SpendLedger: Send + Sync {
    /// Where an advertiser's campaigns are kept. Groups fail one by one; 0 for a ledger that knows no groups.
    fn group_of(&self, advertiser_id: &AdvertiserId) -> u32;

    /// One bidder's heartbeat in one group, also without requests: renews, grows and shrinks its leases, each for `hold_ms` from now by the ledger's clock. One grant a
    /// request, in their order. Leases and pending wins whose time is over return to free before anything is granted.
    ///
    /// Precondition: the requests are of advertisers of `group`.
    async fn renew(
        &self,
        group: u32,
        bidder_id: &BidderId,
        hold_ms: i64,
        requests: &[LeaseRequest],
    ) -> Result<Vec<Grant>, StorageError>;

    /// A win notice, at any replica, in any order, any number of times.
    async fn win(&self, reservation: &Reservation) -> Result<WinVerdict, StorageError>;

    /// A billing notice, at any replica, in any order, any number of times. The amount comes from the bid's pending win, else
    /// from free, else from the bid's lease, else it is over-delivery. Whatever the pending win held beyond the charge returns to free.
    async fn bill(&self, billing: &Billing) -> Result<BillVerdict, StorageError>;

    /// Verdicts not yet appended, oldest first, settled at or before `settled_before_ms`: what a crash left behind.
    async fn outbox(&self, settled_before_ms: i64, limit: u32) -> Result<Vec<Settled>, StorageError>;

    /// The verdict of one bid while it is in the outbox.
    async fn settled(&self, bid: &BidRef) -> Result<Option<Settled>, StorageError>;

    /// Whether the bid's verdict is in the outbox and would outlive the loss of the machine it was written on: so it may be
    /// acknowledged although the topic cannot be reached.
    async fn is_safe(&self, bid: &BidRef) -> Result<bool, StorageError>;

    /// Forgets verdicts that are in the topic.
    async fn appended(&self, bids: &[BidRef]) -> Result<(), StorageError>;

    /// Accounts of the campaigns named, or of all after (`after`: campaign id, date or empty for the lifetime) in that order.
    async fn balances(&self, of: BalancesOf<'_>) -> Result<Vec<Balance>, StorageError>;

    /// Forgets bids settled or expired, and days ended, before the instant: later than any notice of theirs can come.
    async fn forget(&self, before_ms: i64) -> Result<(), StorageError>;

    /// Groups that must be rebuilt and may be now: `hold_ms` (the longest a lease of before can be bid on and won) has passed
    /// since the ledger learned of it. Each is claimed for this bidder, until it goes on with [`SpendLedger::restore`] no
    /// more. Until they are rebuilt every other operation on them is [`StorageError::Unavailable`], but for the outbox's.
    async fn rebuilds(&self, bidder_id: &BidderId, hold_ms: i64) -> Result<Vec<Rebuild>, StorageError>;

    /// Adds facts to a group's books and renews the claim. `Conflict`: another bidder or another epoch goes on.
    async fn restore(
        &self,
        rebuild: &Rebuild,
        bidder_id: &BidderId,
        facts: &[Fact],
    ) -> Result<(), StorageError>;

    /// The group's books are good: it grants and settles again.
    async fn rebuilt(&self, rebuild: &Rebuild, bidder_id: &BidderId) -> Result<(), StorageError>;
}

#[derive(Clone, Debug)]
pub enum BalancesOf<'a> {
    Campaigns(&'a [(AdvertiserId, CampaignId)]),
    All {
        after: Option<(CampaignId, String)>,
        limit: u32,
    },
}
