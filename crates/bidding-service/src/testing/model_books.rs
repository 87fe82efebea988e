//! The books of one group of a ledger, as plainly as the rules can be said; a copy is a snapshot.

use domain::id::{BidId, BidderId, CampaignId};
use domain::period::{Day, Limits};
use std::collections::BTreeMap;
use storage::spend_ledger::{
    AccountBalance, Balance, BillVerdict, Billing, Fact, Grant, LeaseNow, LeaseRequest, Reservation, Settled,
    WinVerdict,
};

/// A campaign and one of its days; the empty date is its lifetime.
type AccountKey = (CampaignId, String);

#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    accounts: BTreeMap<AccountKey, Account>,
    limits: BTreeMap<CampaignId, ((i64, i64), Limits)>,
    leases: BTreeMap<(CampaignId, String, BidderId), Lease>,
    bids: BTreeMap<BidId, Bid>,
    outbox: BTreeMap<BidId, Settled>,
    /// When it was last renewed.
    pub(super) alive_ms: i64,
}

#[derive(Clone, Debug, Default)]
struct Account {
    day: Option<Day>,
    limit_nanos: Option<i64>,
    spent_nanos: i64,
    pending_nanos: i64,
    over_delivery_nanos: i64,
    settled_bids: i64,
    is_of_checkpoint: bool,
    opportunities: i64,
    bids: i64,
}

#[derive(Clone, Debug, Default)]
struct Lease {
    nanos: i64,
    changes: i64,
    ends_ms: i64,
    renewal: i64,
}

#[derive(Clone, Debug)]
enum Bid {
    Pending {
        key: AccountKey,
        nanos: i64,
        until_ms: i64,
    },
    Seen,
    Settled,
}

impl Books {
    /// Leases and pending wins whose time is over return to free.
    pub(super) fn end_what_is_over(&mut self, now_ms: i64) {
        for lease in self.leases.values_mut() {
            if lease.ends_ms <= now_ms && lease.nanos > 0 {
                lease.nanos = 0;
                lease.changes += 1;
            }
        }
        let is_over = |bid: &Bid| matches!(bid, Bid::Pending { until_ms, .. } if *until_ms <= now_ms);
        let over: Vec<BidId> = self
            .bids
            .iter()
            .filter(|(_, bid)| is_over(bid))
            .map(|(id, _)| *id)
            .collect();
        for bid in over {
            self.end_pending(bid);
            self.bids.insert(bid, Bid::Seen);
        }
    }

    pub(super) fn end_leases(&mut self) {
        self.leases.clear();
    }

    /// All but the outbox.
    pub(super) fn wipe(&mut self) {
        let outbox = std::mem::take(&mut self.outbox);
        *self = Self {
            outbox,
            ..Self::default()
        };
    }

    fn pair(&mut self, campaign_id: &CampaignId, day: &Day) -> [AccountKey; 2] {
        let keys = [
            (campaign_id.clone(), day.date.clone()),
            (campaign_id.clone(), String::new()),
        ];
        let known = self
            .limits
            .get(campaign_id)
            .map_or_else(no_limits_known, |(_, limits)| *limits);
        self.accounts.entry(keys[0].clone()).or_insert_with(|| Account {
            day: Some(day.clone()),
            limit_nanos: known.daily_nanos,
            ..Account::default()
        });
        self.accounts.entry(keys[1].clone()).or_insert_with(|| Account {
            limit_nanos: known.total_nanos,
            ..Account::default()
        });
        keys
    }

    fn leased_nanos(&self, (campaign_id, date): &AccountKey) -> i64 {
        let is_of =
            |of: &(CampaignId, String, BidderId)| of.0 == *campaign_id && (date.is_empty() || of.1 == *date);
        self.leases
            .iter()
            .filter(|(of, _)| is_of(of))
            .map(|(_, lease)| lease.nanos)
            .sum()
    }

    fn balance(&self, key: &AccountKey) -> AccountBalance {
        let account = &self.accounts[key];
        AccountBalance {
            limit_nanos: account.limit_nanos,
            spent_nanos: account.spent_nanos,
            pending_nanos: account.pending_nanos,
            leased_nanos: self.leased_nanos(key),
        }
    }

    fn free_nanos(&self, keys: &[AccountKey; 2]) -> i64 {
        let free = keys.iter().map(|key| self.balance(key).free_nanos());
        free.min().unwrap_or(0)
    }

    fn each(&mut self, keys: &[AccountKey], change: impl Fn(&mut Account)) {
        for key in keys {
            self.accounts.get_mut(key).into_iter().for_each(&change);
        }
    }

    pub(super) fn renew(
        &mut self,
        request: &LeaseRequest,
        bidder_id: &BidderId,
        ends_ms: i64,
        epoch: i64,
    ) -> Grant {
        let keys = self.pair(&request.campaign_id, &request.day);
        let lease = self.lease_mut(&keys, bidder_id);
        if lease.nanos == 0 || request.renewal >= lease.renewal {
            self.renew_lease(request, bidder_id, ends_ms, &keys);
        }
        self.grant(request, bidder_id, epoch, &keys)
    }

    fn renew_lease(
        &mut self,
        request: &LeaseRequest,
        bidder_id: &BidderId,
        ends_ms: i64,
        keys: &[AccountKey; 2],
    ) {
        let version = (request.generation, request.revision);
        let known = self
            .limits
            .entry(request.campaign_id.clone())
            .or_insert((version, request.limits));
        if version >= known.0 {
            *known = (version, request.limits);
        }
        let limits = known.1;
        self.each(&keys[..1], |day| {
            day.limit_nanos = limits.daily_nanos;
        });
        self.each(&keys[1..], |lifetime| {
            lifetime.limit_nanos = limits.total_nanos;
        });
        let day = self.accounts.get_mut(&keys[0]).unwrap();
        day.opportunities += request.opportunities;
        day.bids += request.bids;
        let free = self.free_nanos(keys).max(0);
        let lease = self.lease_mut(keys, bidder_id);
        lease.nanos = if request.wanted_nanos <= lease.nanos {
            request.wanted_nanos
        } else {
            let growth = (request.wanted_nanos - lease.nanos).min(free);
            lease.nanos + growth / request.bid_nanos * request.bid_nanos
        };
        lease.changes += 1;
        lease.ends_ms = ends_ms;
        lease.renewal = request.renewal;
    }

    fn grant(
        &mut self,
        request: &LeaseRequest,
        bidder_id: &BidderId,
        epoch: i64,
        keys: &[AccountKey; 2],
    ) -> Grant {
        let now = self.lease_mut(keys, bidder_id).now(epoch);
        let day = &self.accounts[&keys[0]];
        let (opportunities, bids) = (day.opportunities, day.bids);
        let held = self.leases.iter().filter(|((campaign_id, date, _), lease)| {
            *campaign_id == keys[0].0 && *date == keys[0].1 && lease.nanos > 0
        });
        Grant {
            campaign_id: request.campaign_id.clone(),
            date: request.day.date.clone(),
            leased_nanos: now.leased_nanos,
            sequence: now.sequence,
            free_nanos: self.free_nanos(keys),
            day: self.balance(&keys[0]),
            lifetime: self.balance(&keys[1]),
            bidders: u32::try_from(held.count()).unwrap().max(1),
            opportunities,
            bids,
        }
    }

    fn lease_mut(&mut self, [day, _]: &[AccountKey; 2], bidder_id: &BidderId) -> &mut Lease {
        let key = (day.0.clone(), day.1.clone(), bidder_id.clone());
        self.leases.entry(key).or_default()
    }

    fn lease_of(&mut self, reservation: &Reservation) -> &mut Lease {
        let key = (
            reservation.campaign_id.clone(),
            reservation.day.date.clone(),
            reservation.bidder_id.clone(),
        );
        self.leases.entry(key).or_default()
    }

    pub(super) fn win(&mut self, reservation: &Reservation, now_ms: i64, epoch: i64) -> WinVerdict {
        if self.bids.contains_key(&reservation.bid_id) {
            return WinVerdict::Repeated;
        }
        let keys = self.pair(&reservation.campaign_id, &reservation.day);
        let (nanos, free) = (reservation.reserved_nanos, self.free_nanos(&keys));
        let lease = self.lease_of(reservation);
        if lease.nanos >= nanos {
            lease.nanos -= nanos;
            lease.changes += 1;
        } else if free < nanos {
            self.bids.insert(reservation.bid_id, Bid::Seen);
            return WinVerdict::Unbacked;
        }
        let now = lease.now(epoch);
        self.hold(reservation, now_ms + reservation.billing_window_ms);
        WinVerdict::Pending(now)
    }

    fn hold(&mut self, reservation: &Reservation, until_ms: i64) {
        let keys = self.pair(&reservation.campaign_id, &reservation.day);
        let nanos = reservation.reserved_nanos;
        self.each(&keys, |account| account.pending_nanos += nanos);
        let [key, _] = keys;
        let bid = Bid::Pending { key, nanos, until_ms };
        self.bids.insert(reservation.bid_id, bid);
    }

    /// True when the bid was pending.
    fn end_pending(&mut self, bid: BidId) -> bool {
        let Some(Bid::Pending { key, nanos, .. }) = self.bids.get(&bid).cloned() else {
            return false;
        };
        let lifetime = (key.0.clone(), String::new());
        self.each(&[key, lifetime], |account| account.pending_nanos -= nanos);
        true
    }

    pub(super) fn bill(&mut self, billing: &Billing, now_ms: i64, epoch: i64) -> BillVerdict {
        let reservation = &billing.reservation;
        if matches!(self.bids.get(&reservation.bid_id), Some(Bid::Settled)) {
            return BillVerdict::Repeated;
        }
        let keys = self.pair(&reservation.campaign_id, &reservation.day);
        let nanos = billing.charge_nanos.clamp(0, reservation.reserved_nanos);
        let was_pending = self.end_pending(reservation.bid_id);
        let free = self.free_nanos(&keys);
        let lease = self.lease_of(reservation);
        let mut drawn = None;
        let is_charged = was_pending || free >= nanos || lease.nanos >= nanos;
        if is_charged && !was_pending && free < nanos {
            lease.nanos -= nanos;
            lease.changes += 1;
            drawn = Some(lease.now(epoch));
        }
        let (charge_nanos, owed_nanos) = if is_charged { (nanos, 0) } else { (0, nanos) };
        self.settle(&keys, reservation.bid_id, charge_nanos, owed_nanos);
        let settled = Settled {
            bid_id: reservation.bid_id,
            campaign_id: reservation.campaign_id.clone(),
            date: reservation.day.date.clone(),
            settled_at_ms: now_ms,
            charge_nanos,
            over_delivery_nanos: owed_nanos,
            context: billing.context.clone(),
        };
        self.outbox.insert(reservation.bid_id, settled);
        if is_charged {
            BillVerdict::Charged {
                charge_nanos,
                backed: was_pending || drawn.is_some(),
                lease: drawn,
            }
        } else {
            BillVerdict::OverDelivery { owed_nanos }
        }
    }

    fn settle(&mut self, keys: &[AccountKey; 2], bid: BidId, charge_nanos: i64, owed_nanos: i64) {
        self.bids.insert(bid, Bid::Settled);
        self.each(keys, |account| {
            account.spent_nanos += charge_nanos;
            account.over_delivery_nanos += owed_nanos;
            account.settled_bids += 1;
        });
    }

    /// Whether a sum of the campaign would leave 64 bits: not by what is taken already.
    pub(super) fn is_beyond_range(&self, fact: &Fact) -> bool {
        let lifetime = |of: &CampaignId| self.accounts.get(&(of.clone(), String::new()));
        let fits = |one: i64, other: i64| one.checked_add(other).is_some();
        match fact {
            Fact::Settled {
                campaign_id,
                bid,
                charge_nanos,
                over_delivery_nanos,
                counted,
                ..
            } if !counted && !matches!(self.bids.get(&bid.bid_id), Some(Bid::Settled)) => {
                lifetime(campaign_id).is_some_and(|of| {
                    !fits(of.spent_nanos, *charge_nanos)
                        || !fits(of.over_delivery_nanos, *over_delivery_nanos)
                })
            }
            Fact::Won { reservation, .. }
                if matches!(self.bids.get(&reservation.bid_id), None | Some(Bid::Seen)) =>
            {
                lifetime(&reservation.campaign_id)
                    .is_some_and(|of| !fits(of.pending_nanos, reservation.reserved_nanos))
            }
            _ => false,
        }
    }

    pub(super) fn restore(&mut self, fact: &Fact, now_ms: i64) {
        match fact {
            Fact::Checkpoint {
                campaign_id,
                day,
                spent_nanos,
                over_delivery_nanos,
                settled_bids,
                ..
            } => {
                let date = day.as_ref().map_or_else(String::new, |day| day.date.clone());
                let known = no_limits_known();
                let account = Account {
                    limit_nanos: known.total_nanos,
                    day: day.clone(),
                    spent_nanos: *spent_nanos,
                    over_delivery_nanos: *over_delivery_nanos,
                    settled_bids: *settled_bids,
                    is_of_checkpoint: true,
                    ..Account::default()
                };
                let key = (campaign_id.clone(), date);
                if let Some(before) = self.accounts.get(&key) {
                    assert!(
                        before.is_of_checkpoint,
                        "a checkpoint after another fact of its account"
                    );
                    return;
                }
                self.accounts.insert(key, account);
            }
            Fact::Settled {
                bid,
                campaign_id,
                day,
                charge_nanos,
                over_delivery_nanos,
                counted,
                ..
            } => {
                if matches!(self.bids.get(&bid.bid_id), Some(Bid::Settled)) {
                    return;
                }
                self.end_pending(bid.bid_id);
                if *counted {
                    self.bids.insert(bid.bid_id, Bid::Settled);
                    return;
                }
                let keys = self.pair(campaign_id, day);
                self.settle(&keys, bid.bid_id, *charge_nanos, *over_delivery_nanos);
            }
            Fact::Won {
                reservation,
                won_at_ms,
            } => {
                let known = self.bids.get(&reservation.bid_id);
                if !matches!(known, Some(Bid::Settled | Bid::Pending { .. })) {
                    let until_ms = (won_at_ms + reservation.billing_window_ms).max(now_ms + 60_000);
                    self.hold(reservation, until_ms);
                }
            }
        }
    }

    pub(super) fn outbox(&self) -> impl Iterator<Item = &Settled> {
        self.outbox.values()
    }

    pub(super) fn appended(&mut self, bid: BidId) {
        self.outbox.remove(&bid);
    }

    pub(super) fn balances(&self) -> Vec<Balance> {
        let balance = |(key, account): (&AccountKey, &Account)| Balance {
            campaign_id: key.0.clone(),
            day: account.day.clone(),
            account: self.balance(key),
            over_delivery_nanos: account.over_delivery_nanos,
            settled_bids: account.settled_bids,
        };
        self.accounts.iter().map(balance).collect()
    }
}

impl Lease {
    fn now(&self, epoch: i64) -> LeaseNow {
        LeaseNow {
            leased_nanos: self.nanos,
            sequence: (epoch << 32) + self.changes,
        }
    }
}

/// Of a campaign that nobody has renewed yet: nothing is free.
fn no_limits_known() -> Limits {
    Limits {
        daily_nanos: Some(0),
        total_nanos: Some(0),
    }
}
