//! From records of the topics to facts of the ledger.

use domain::event::{BidEvent, SpendEvent};
use domain::id::AdvertiserId;
use domain::period::Day;
use storage::spend_ledger::{BidRef, Fact, Reservation};

/// No day is longer; of events older than the field that tells when their day is.
const LONGEST_DAY_MS: i64 = 25 * 60 * 60 * 1_000;

pub(super) fn settled(event: SpendEvent, counted: bool) -> Fact {
    Fact::Settled {
        day: day_of(&event),
        bid: BidRef {
            advertiser_id: AdvertiserId(event.dimensions.advertiser),
            bid_id: event.bid_id,
        },
        campaign_id: event.campaign_id,
        charge_nanos: event.charge_nanos,
        over_delivery_nanos: event.over_delivery_nanos,
        settled_at_ms: event.at_ms,
        counted,
    }
}

/// At worst longer than the day was: it is only what says when its account may be forgotten.
fn day_of(event: &SpendEvent) -> Day {
    let (start_ms, end_ms) = if event.day_end_ms > 0 {
        (event.day_start_ms, event.day_end_ms)
    } else {
        (
            event.bid_at_ms.saturating_sub(LONGEST_DAY_MS),
            event.bid_at_ms.saturating_add(LONGEST_DAY_MS),
        )
    };
    Day {
        date: event.day.clone(),
        start_ms,
        end_ms,
    }
}

/// `None` when the ledger may have freed it while it still served, which was until `refuses_since_ms` at least: the money
/// may be another's since. Or when nothing was held for it, or the event is older than the field that tells.
pub(super) fn won(event: BidEvent, refuses_since_ms: i64) -> Option<Fact> {
    let won = event.reservation?;
    let held_until_ms = event.at_ms.saturating_add(won.billing_window_ms.max(0));
    (held_until_ms > refuses_since_ms).then(|| Fact::Won {
        reservation: Reservation {
            bid_id: event.bid_id,
            advertiser_id: AdvertiserId(event.dimensions.advertiser),
            campaign_id: event.dimensions.campaign.as_str().into(),
            day: won.day,
            bidder_id: won.bidder_id,
            reserved_nanos: won.reserved_nanos,
            billing_window_ms: won.billing_window_ms,
        },
        won_at_ms: event.at_ms,
    })
}
