//! What a notice asks for: all that is needed to do it, now or, from the spool, when the stores are back.
//!
//! It is written as JSON, so that the next version of this program reads what this one kept: fields are only added.

use super::events;
use crate::token::BidToken;
use domain::event::{BidEvent, EventKind, SpendEvent};
use domain::id::{AdvertiserId, BidId, BidderId, CampaignId};
use domain::money::Charge;
use domain::period::Day;
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use storage::StorageError;
use storage::event_log::Topic;
use storage::spend_ledger::{BidRef, Billing, Reservation};
use storage::user_states::CounterKey;

/// A win that was kept still holds its price this long: its billing may have been kept too.
const SHORTEST_HOLD_MS: i64 = 60_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Work {
    Win(Win),
    Bill(Bill),
    Record(BidEvent),
    Count(Count),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Win {
    pub(super) campaign_id: CampaignId,
    /// With its reservation.
    pub(super) event: BidEvent,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bill {
    /// All but the ledger's verdict.
    pub(super) draft: SpendEvent,
    pub(super) bidder_id: BidderId,
    pub(super) reserved_nanos: i64,
    pub(super) billing_window_ms: i64,
    /// What it cleared at.
    pub(super) charge_nanos: i64,
}

/// An impression for the user's frequency caps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) event_id: String,
    pub(super) bid_id: BidId,
    pub(super) bid_at_ms: i64,
    pub(super) at_ms: i64,
    pub(super) user_key: String,
    pub(super) counters: Vec<Counter>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Counter {
    scope_id: String,
    window_ms: i64,
}

/// What this process need not do twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Happened {
    Billed,
    Counted,
    Recorded(EventKind),
    /// By a hash of the event's id: a bid may lead to many.
    Converted(u64),
}

impl Work {
    pub(super) fn win(token: &BidToken, cleared_cpm_micros: Option<i64>, at_ms: i64) -> Self {
        Self::Win(Win {
            campaign_id: token.campaign_id.clone(),
            event: BidEvent {
                price_cpm_micros: Some(cleared_at_most_bid(token, cleared_cpm_micros)),
                reservation: Some(events::won(token)),
                ..events::of(token, EventKind::Win, at_ms)
            },
        })
    }

    pub(super) fn bill(token: &BidToken, cleared_cpm_micros: Option<i64>, at_ms: i64) -> Self {
        let price_cpm_micros = cleared_at_most_bid(token, cleared_cpm_micros);
        // What does not fit in 64 bits is cut to the reservation, as everything above it is.
        let charge = token
            .terms
            .charge(price_cpm_micros, token.reserved_nanos)
            .unwrap_or(Charge {
                media_cost_nanos: token.reserved_nanos,
                fee_nanos: 0,
                charge_nanos: token.reserved_nanos,
            });
        let reservation = token.reservation();
        Self::Bill(Bill {
            draft: events::draft_of_spend(token, price_cpm_micros, charge, at_ms),
            bidder_id: reservation.bidder_id,
            reserved_nanos: reservation.reserved_nanos,
            billing_window_ms: reservation.billing_window_ms,
            charge_nanos: charge.charge_nanos,
        })
    }

    /// `None`: there is nobody to count for, or nothing to count.
    pub(super) fn count(token: &BidToken, event: &BidEvent) -> Option<Self> {
        let user_key = token.user_key.clone().filter(|_| !token.counters.is_empty())?;
        let counters = token.counters.iter().map(|key| Counter {
            scope_id: key.scope_id.clone(),
            window_ms: key.window_ms,
        });
        Some(Self::Count(Count {
            event_id: event.event_id.clone(),
            bid_id: token.bid_id,
            bid_at_ms: token.bid_at_ms,
            at_ms: event.at_ms,
            user_key,
            counters: counters.collect(),
        }))
    }

    pub(super) fn happened(&self) -> (Happened, BidId) {
        match self {
            Self::Win(win) => (Happened::Recorded(EventKind::Win), win.event.bid_id),
            Self::Bill(bill) => (Happened::Billed, bill.draft.bid_id),
            Self::Record(event) if event.kind == EventKind::Conversion => {
                (Happened::Converted(hash(&event.event_id)), event.bid_id)
            }
            Self::Record(event) => (Happened::Recorded(event.kind), event.bid_id),
            Self::Count(count) => (Happened::Counted, count.bid_id),
        }
    }

    /// When the notice arrived, Unix milliseconds.
    pub(super) fn at_ms(&self) -> i64 {
        match self {
            Self::Win(win) => win.event.at_ms,
            Self::Bill(bill) => bill.draft.at_ms,
            Self::Record(event) => event.at_ms,
            Self::Count(count) => count.at_ms,
        }
    }

    pub(super) fn bid_at_ms(&self) -> i64 {
        match self {
            Self::Win(win) => win.event.bid_at_ms,
            Self::Bill(bill) => bill.draft.bid_at_ms,
            Self::Record(event) => event.bid_at_ms,
            Self::Count(count) => count.bid_at_ms,
        }
    }

    /// Without which the ledger's books would be wrong.
    pub(super) fn is_money(&self) -> bool {
        matches!(self, Self::Win(_) | Self::Bill(_))
    }

    /// Whose group of the ledger it needs.
    pub(super) fn ledger_advertiser(&self) -> Option<AdvertiserId> {
        match self {
            Self::Win(win) => Some(AdvertiserId(win.event.dimensions.advertiser.clone())),
            Self::Bill(bill) => Some(AdvertiserId(bill.draft.dimensions.advertiser.clone())),
            Self::Record(_) | Self::Count(_) => None,
        }
    }
}

impl Win {
    /// With what is left of the billing window.
    ///
    /// # Errors
    /// `Corrupt`: a win without its reservation.
    pub(super) fn reservation(&self, now_ms: i64) -> Result<Reservation, StorageError> {
        let Some(won) = self.event.reservation.clone() else {
            return Err(StorageError::Corrupt("a win without a reservation".to_owned()));
        };
        let window_ms = won.billing_window_ms;
        let waited_ms = now_ms.saturating_sub(self.event.at_ms).max(0);
        Ok(Reservation {
            bid_id: self.event.bid_id,
            advertiser_id: AdvertiserId(self.event.dimensions.advertiser.clone()),
            campaign_id: self.campaign_id.clone(),
            day: won.day,
            bidder_id: won.bidder_id,
            reserved_nanos: won.reserved_nanos,
            billing_window_ms: (window_ms.saturating_sub(waited_ms)).max(window_ms.min(SHORTEST_HOLD_MS)),
        })
    }
}

impl Bill {
    pub(super) fn bid_ref(&self) -> BidRef {
        BidRef {
            advertiser_id: AdvertiserId(self.draft.dimensions.advertiser.clone()),
            bid_id: self.draft.bid_id,
        }
    }

    pub(super) fn billing(&self) -> Result<Billing, StorageError> {
        let draft = &self.draft;
        Ok(Billing {
            reservation: Reservation {
                bid_id: draft.bid_id,
                advertiser_id: AdvertiserId(draft.dimensions.advertiser.clone()),
                campaign_id: draft.campaign_id.clone(),
                day: Day {
                    date: draft.day.clone(),
                    start_ms: draft.day_start_ms,
                    end_ms: draft.day_end_ms,
                },
                bidder_id: self.bidder_id.clone(),
                reserved_nanos: self.reserved_nanos,
                billing_window_ms: self.billing_window_ms,
            },
            charge_nanos: self.charge_nanos,
            context: serde_json::to_string(draft)?,
        })
    }
}

impl Count {
    /// Those whose window, begun by this impression, is not over.
    pub(super) fn counters(&self, now_ms: i64) -> Vec<CounterKey> {
        let is_running = |of: &&Counter| self.at_ms.saturating_add(of.window_ms) > now_ms;
        self.counters
            .iter()
            .filter(is_running)
            .map(|of| CounterKey {
                scope_id: of.scope_id.clone(),
                window_ms: of.window_ms,
            })
            .collect()
    }
}

/// Of this process alone.
fn hash(event_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    event_id.hash(&mut hasher);
    hasher.finish()
}

pub(super) fn topic_of(kind: EventKind) -> Topic {
    match kind {
        EventKind::Win => Topic::Wins,
        EventKind::Loss => Topic::Losses,
        EventKind::Click => Topic::Clicks,
        EventKind::Conversion => Topic::Conversions,
        EventKind::Impression
        | EventKind::VideoStart
        | EventKind::VideoFirstQuartile
        | EventKind::VideoMidpoint
        | EventKind::VideoThirdQuartile
        | EventKind::VideoComplete
        | EventKind::VideoError => Topic::Impressions,
    }
}

/// An exchange never gets more than was bid, and a price that cannot be read is the bid's.
fn cleared_at_most_bid(token: &BidToken, cleared_cpm_micros: Option<i64>) -> i64 {
    cleared_cpm_micros.map_or(token.price_cpm_micros, |cleared| {
        cleared.clamp(0, token.price_cpm_micros.max(0))
    })
}
