//! One campaign's leases at one bidder: what to ask for, and what an answer means for the cell.

use super::day_lease::DayLease;
use super::open_bids::Counters;
use super::pacer::Pacer;
use super::standing::epoch_of;
use super::sums::Sums;
use super::{BID_AFTER_RENEWAL_MS, REST_MS};
use bidding_engine::{CampaignRecord, CompiledCampaign, LeaseCell, Now};
use domain::id::CampaignId;
use domain::period::Day;
use std::sync::Arc;
use storage::spend_ledger::{Grant, LeaseNow, LeaseRequest};

/// Without an opportunity for this long, a campaign rests.
const BUSY_MS: i64 = 60_000;
/// A bid decided in the last instant of a day is reserved by then: only afterwards the cell serves the next day.
pub(super) const DAY_TURN_MS: i64 = 250;

/// Who holds the campaign's lease, from the ledger's side and from the bid path's.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) campaign: Arc<CompiledCampaign>,
    /// No bid may be made: paused, ended, archived, gone from the topic, or this process ends.
    pub(super) stopped: bool,
    /// Not served any more: to be forgotten once nothing has the cell.
    pub(super) gone: bool,
    /// Heartbeats leave it alone.
    pub(super) asleep: bool,
    /// The record changed since the ledger was last asked.
    pub(super) changed: bool,
    pub(super) today: Option<DayLease>,
    /// The bids of the day before that can still be won.
    pub(super) yesterday: Option<Box<DayLease>>,
    pacer: Pacer,
    observed_ms: Option<i64>,
    pub(super) observed_opportunities: i64,
    last_opportunity_ms: Option<i64>,
    /// Totals that the ledger has been told of.
    reported_opportunities: i64,
    reported_bids: i64,
    pub(super) asked: Option<Asked>,
    /// A resting campaign's lease lasts until then, by the monotonic clock, its T1 already taken off.
    pub(super) rested_until_ms: i64,
}

/// The renewal under way.
#[derive(Debug)]
pub(super) struct Asked {
    sent: Now,
    quota: i64,
    rests: bool,
    opportunities: i64,
    bids: i64,
}

/// One campaign's part of a heartbeat.
#[derive(Debug, Default)]
pub(super) struct Asks {
    pub(super) today: Option<LeaseRequest>,
    pub(super) yesterday: Option<LeaseRequest>,
    /// `today` is a resting campaign's: renewed rarely, held long.
    pub(super) rests: bool,
}

/// Whether a campaign at rest is named in this heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// No room left.
    Later,
    WhenDue,
    /// Even before it is due: its grant tells whether the ledger has lost its memory.
    Now,
}

impl Account {
    pub(super) fn new(campaign: Arc<CompiledCampaign>) -> Self {
        Self {
            stopped: !campaign.record().is_active,
            gone: false,
            asleep: false,
            campaign,
            changed: true,
            today: None,
            yesterday: None,
            pacer: Pacer::new(),
            observed_ms: None,
            observed_opportunities: 0,
            last_opportunity_ms: None,
            reported_opportunities: 0,
            reported_bids: 0,
            asked: None,
            rested_until_ms: i64::MIN,
        }
    }

    /// The record as it now is. One that forbids bids binds the cell at once. Returns whether anything changed.
    pub(super) fn update(&mut self, campaign: &Arc<CompiledCampaign>, cell: &LeaseCell) -> bool {
        let version = |of: &CompiledCampaign| (of.record().generation, of.record().revision);
        if version(&self.campaign) > version(campaign) {
            return false;
        }
        let is_news = version(&self.campaign) < version(campaign);
        let was_stopped = self.stopped;
        self.campaign = campaign.clone();
        self.gone = false;
        // The engine checks flight and dates for each bid; this is what makes holding money pointless.
        if !campaign.record().is_active {
            self.stop(cell);
        } else if is_news || self.stopped {
            self.stopped = false;
            self.changed = true;
            self.rested_until_ms = i64::MIN;
        }
        is_news || was_stopped != self.stopped
    }

    /// The campaign is not served any more. Returns whether that is news.
    pub(super) fn leave(&mut self, cell: &LeaseCell) -> bool {
        self.stop(cell);
        !std::mem::replace(&mut self.gone, true)
    }

    pub(super) fn stop(&mut self, cell: &LeaseCell) {
        self.stopped = true;
        cell.set_bids_ceiling(i64::MIN);
        cell.set_valid_until_monotonic_ms(i64::MIN);
    }

    /// Nothing open, nothing leased, and no more to come.
    pub(super) fn is_drained(&self) -> bool {
        self.stopped
            && self.asked.is_none()
            && self.yesterday.is_none()
            && self.today.as_ref().is_none_or(DayLease::is_empty)
    }

    /// Its part of the metrics. One that may not bid has no plan.
    pub(super) fn sums(&self, now: Now) -> Sums {
        let leased_nanos = |lease: Option<&DayLease>| lease.map_or(0, DayLease::leased_nanos);
        let day = self.today.as_ref().filter(|_| !self.stopped);
        let (planned_nanos, spent_nanos) = day
            .and_then(|lease| {
                self.pacer
                    .plan_and_spent(self.campaign.record(), lease.day(), now)
            })
            .unwrap_or_default();
        Sums {
            leased_nanos: leased_nanos(self.today.as_ref())
                .saturating_add(leased_nanos(self.yesterday.as_deref())),
            pending_nanos: self.pacer.pending_nanos(),
            planned_nanos,
            spent_nanos,
        }
    }

    /// What to ask the ledger for now. From here on no more is committed than that.
    ///
    /// `random` is uniform in `[0, 1)`.
    pub(super) fn ask(
        &mut self,
        cell: &LeaseCell,
        now: Now,
        win_notice_delay_ms: i64,
        rest: Rest,
        random: f64,
    ) -> Asks {
        let counters = Counters::of(cell);
        self.observe(cell, &counters, now);
        self.turn_day(cell, &counters, now);
        let mut asks = Asks::default();
        if let Some(lease) = &mut self.yesterday {
            lease.renew(now, &counters, win_notice_delay_ms);
            if lease.is_empty() {
                self.yesterday = None;
            } else {
                let open_nanos = lease.commit(0, 0);
                asks.yesterday = Some(request(self.campaign.record(), lease.day(), open_nanos, 1));
            }
        }
        let Some(lease) = &mut self.today else { return asks };
        lease.renew(now, &counters, win_notice_delay_ms);
        let is_busy = !lease.is_over() || self.saw_opportunities_lately(now);
        let may_bid = !self.stopped && self.campaign.record().flight.contains(now.unix_ms);
        asks.rests = !is_busy && may_bid;
        let is_due = if !may_bid {
            !self.today.as_ref().is_none_or(DayLease::is_empty)
        } else if asks.rests {
            let rest_left_ms = self.rested_until_ms.saturating_sub(now.monotonic_ms);
            match rest {
                Rest::Later => false,
                Rest::WhenDue => self.changed || rest_left_ms < REST_MS / 5,
                Rest::Now => true,
            }
        } else {
            true
        };
        if is_due {
            let quota = if may_bid {
                self.quota(now, asks.rests, random)
            } else {
                0
            };
            cell.set_price_lift_ppm(self.pacer.price_lift_ppm());
            let extra_nanos = if may_bid && !self.pacer.is_overdrawn() {
                self.pacer.extra_nanos(self.campaign.record(), quota, asks.rests)
            } else {
                (0, 0)
            };
            asks.today = self.ask_for_today(cell, &counters, now, quota, extra_nanos);
            if let Some(asked) = &mut self.asked {
                asked.rests = asks.rests;
            }
        }
        asks
    }

    fn quota(&mut self, now: Now, rests: bool, random: f64) -> i64 {
        let Some(lease) = &self.today else { return 0 };
        if rests {
            i64::from(self.pacer.may_bid_once(self.campaign.record(), lease.day(), now))
        } else {
            self.pacer.quota(self.campaign.record(), lease.day(), now, random)
        }
    }

    fn ask_for_today(
        &mut self,
        cell: &LeaseCell,
        counters: &Counters,
        now: Now,
        quota: i64,
        (least_nanos, most_nanos): (i64, i64),
    ) -> Option<LeaseRequest> {
        let lease = self.today.as_mut()?;
        let mut wanted_nanos = lease.commit(least_nanos, most_nanos);
        if lease.lower_ceiling(cell, wanted_nanos) {
            // Bids that slipped in before the ceiling fell are committed, so they are asked for.
            wanted_nanos = wanted_nanos.max(lease.open_nanos(cell.reserved_total_nanos()));
        }
        self.asked = Some(Asked {
            sent: now,
            quota,
            rests: false,
            opportunities: counters.opportunities,
            bids: counters.bids,
        });
        self.changed = false;
        let bid_nanos = self.pacer.bid_nanos(self.campaign.record());
        Some(LeaseRequest {
            opportunities: counters.opportunities - self.reported_opportunities,
            bids: (counters.bids - self.reported_bids).max(0),
            ..request(self.campaign.record(), lease.day(), wanted_nanos, bid_nanos)
        })
    }

    fn observe(&mut self, cell: &LeaseCell, counters: &Counters, now: Now) {
        let elapsed_ms = self.observed_ms.map_or(0, |last| now.monotonic_ms - last);
        let seen = counters.opportunities - self.observed_opportunities;
        if seen > 0 {
            self.last_opportunity_ms = Some(now.monotonic_ms);
        }
        self.pacer
            .observe(seen, cell.take_largest_asked_nanos(), elapsed_ms);
        self.observed_ms = Some(now.monotonic_ms);
        self.observed_opportunities = counters.opportunities;
    }

    pub(super) fn saw_opportunities_lately(&self, now: Now) -> bool {
        self.last_opportunity_ms
            .is_some_and(|last| now.monotonic_ms - last < BUSY_MS)
    }

    /// Moves on to the day that `now` lies in.
    fn turn_day(&mut self, cell: &LeaseCell, counters: &Counters, now: Now) {
        if let Some(lease) = &self.today {
            let day = lease.day();
            if day.start_ms <= now.unix_ms && now.unix_ms < day.end_ms.saturating_add(DAY_TURN_MS) {
                return;
            }
        }
        let day = self
            .campaign
            .record()
            .days
            .iter()
            .find(|day| day.contains(now.unix_ms));
        if self.today.is_none() && day.is_none() {
            return;
        }
        cell.set_valid_until_monotonic_ms(i64::MIN);
        cell.set_reserve_ceiling_nanos(i64::MIN);
        self.asked = None;
        self.rested_until_ms = i64::MIN;
        let mut over = self.today.take();
        if let Some(lease) = &mut over {
            lease.close(counters);
        }
        self.yesterday = over.filter(|lease| !lease.is_empty()).map(Box::new);
        self.today = day.map(|day| DayLease::new(day.clone(), now, counters));
    }

    /// The ledger's answer. Counts only for the day that was asked for.
    pub(super) fn granted(&mut self, grant: &Grant, cell: &LeaseCell, now: Now) {
        if let Some(lease) = self
            .yesterday
            .as_mut()
            .filter(|lease| lease.day().date == grant.date)
        {
            lease.granted(grant);
            return;
        }
        let Some(lease) = self.today.as_mut().filter(|lease| lease.day().date == grant.date) else {
            return;
        };
        let Some(asked) = self.asked.take() else { return };
        lease.granted(grant);
        self.pacer.learn(grant, now.monotonic_ms);
        self.reported_opportunities = asked.opportunities;
        self.reported_bids = asked.bids;
        if self.stopped {
            return;
        }
        lease.set_ceiling(cell);
        let quota = if grant.free_nanos < 0 { 0 } else { asked.quota };
        cell.set_bids_ceiling(cell.bids_total().saturating_add(quota));
        self.rested_until_ms = if asked.rests {
            asked.sent.monotonic_ms.saturating_add(REST_MS)
        } else {
            i64::MIN
        };
        self.extend(cell, asked.sent);
    }

    /// The renewal failed: whether it took effect is unknown. The cell runs out by itself.
    pub(super) fn unanswered(&mut self, cell: &LeaseCell) {
        if self.asked.take().is_some()
            && let Some(lease) = &mut self.today
            && !self.stopped
        {
            lease.set_ceiling(cell);
        }
    }

    /// A heartbeat sent at `sent` was answered: a resting campaign, which it did not name, may bid on, unless its lease
    /// was of an epoch before the ledger's present one.
    pub(super) fn rest_on(&mut self, cell: &LeaseCell, sent: Now, epoch: i64) {
        if self.stopped || self.asked.is_some() || self.rested_until_ms <= sent.monotonic_ms {
            return;
        }
        let is_held = |lease: &DayLease| epoch_of(lease.sequence()) >= epoch;
        if self.today.as_ref().is_some_and(is_held) {
            self.extend(cell, sent);
        } else {
            self.rested_until_ms = i64::MIN;
        }
    }

    /// Bids until a little after `sent`, but never beyond the day or what the ledger holds for a resting campaign.
    fn extend(&self, cell: &LeaseCell, sent: Now) {
        let Some(lease) = &self.today else { return };
        let day_left_ms = lease.day().end_ms.saturating_sub(sent.unix_ms);
        let mut until_ms = sent
            .monotonic_ms
            .saturating_add(BID_AFTER_RENEWAL_MS.min(day_left_ms));
        if self.rested_until_ms > i64::MIN {
            until_ms = until_ms.min(self.rested_until_ms);
        }
        cell.set_valid_until_monotonic_ms(until_ms);
    }

    /// A bid that arrived at `bid_at_ms` has ended before its T1.
    pub(super) fn ended(
        &mut self,
        cell: &LeaseCell,
        bid_at_ms: i64,
        nanos: i64,
        lease_now: Option<LeaseNow>,
    ) {
        let is_under_way = self.asked.is_some();
        if let Some(lease) = self
            .today
            .as_mut()
            .filter(|lease| lease.day().contains(bid_at_ms))
        {
            lease.ended(bid_at_ms, nanos, lease_now);
            // While a renewal is under way, what was asked for stays the bound; its answer counts this in.
            if !is_under_way && !self.stopped {
                lease.set_ceiling(cell);
            }
        } else if let Some(lease) = self
            .yesterday
            .as_mut()
            .filter(|lease| lease.day().contains(bid_at_ms))
        {
            lease.ended(bid_at_ms, nanos, lease_now);
        }
    }

    pub(super) fn campaign_id(&self) -> &CampaignId {
        &self.campaign.record().id
    }
}

fn request(campaign: &CampaignRecord, day: &Day, wanted_nanos: i64, bid_nanos: i64) -> LeaseRequest {
    LeaseRequest {
        advertiser_id: campaign.advertiser.id.clone(),
        campaign_id: campaign.id.clone(),
        generation: campaign.generation,
        revision: campaign.revision,
        day: day.clone(),
        limits: campaign.limits,
        wanted_nanos,
        bid_nanos,
        opportunities: 0,
        bids: 0,
        renewal: 0,
    }
}
