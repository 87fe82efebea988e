//! Events to append.

use domain::event::{
    BidCount, BidCounts, BidEvent, Dimensions, EventKind, SCHEMA, SpendEvent, quarter_start_ms,
};
use domain::id::BidId;
use domain::money::Terms;

/// 2026-11-23T00:00:00Z.
pub(crate) const DAY_START_MS: i64 = 1_795_392_000_000;

/// A bid that everything else happens to.
#[derive(Clone, Debug)]
pub(crate) struct Bid {
    pub(crate) id: u128,
    pub(crate) at_ms: i64,
    pub(crate) dimensions: Dimensions,
}

/// The `id`th bid of a campaign of an advertiser, at an RFC 3339 instant.
pub(crate) fn bid(id: u128, advertiser: &str, campaign: &str, at: &str) -> Bid {
    Bid {
        id,
        at_ms: at.parse::<jiff::Timestamp>().unwrap().as_millisecond(),
        dimensions: Dimensions {
            advertiser: advertiser.to_owned(),
            campaign: campaign.to_owned(),
            country: "USA".to_owned(),
            ..Dimensions::default()
        },
    }
}

/// One each of these bids, of one campaign.
pub(crate) fn clicks(ids: std::ops::Range<u128>) -> Vec<BidEvent> {
    ids.map(|id| bid(id, "adv_1", "cmp_1", "2026-11-23T10:00:00Z").event(EventKind::Click))
        .collect()
}

impl Bid {
    pub(crate) fn event(&self, kind: EventKind) -> BidEvent {
        BidEvent {
            schema: SCHEMA,
            event_id: format!("{kind:?}:{}", BidId(self.id)),
            kind,
            at_ms: self.at_ms + 2_000,
            bid_id: BidId(self.id),
            bid_at_ms: self.at_ms,
            dimensions: self.dimensions.clone(),
            loss_reason: None,
            reservation: None,
            price_cpm_micros: None,
            value_micros: None,
            currency: None,
            conversion_type: None,
            order_id: None,
        }
    }

    pub(crate) fn spend(&self, charge_nanos: i64) -> SpendEvent {
        SpendEvent {
            schema: SCHEMA,
            event_id: format!("spend:{}", BidId(self.id)),
            at_ms: self.at_ms + 3_000,
            bid_id: BidId(self.id),
            bid_at_ms: self.at_ms,
            campaign_id: self.dimensions.campaign.as_str().into(),
            day: "2026-11-23".to_owned(),
            day_start_ms: DAY_START_MS,
            day_end_ms: DAY_START_MS + 24 * 60 * 60 * 1_000,
            dimensions: self.dimensions.clone(),
            price_cpm_micros: charge_nanos,
            bid_currency: "USD".to_owned(),
            currency: "USD".to_owned(),
            terms: Terms::default(),
            media_cost_nanos: charge_nanos,
            fee_nanos: 0,
            charge_nanos,
            over_delivery_nanos: 0,
        }
    }

    /// A bidder's `sequence`th record, counting `bids` like this one.
    pub(crate) fn counted(&self, sequence: u64, bids: u64) -> BidCounts {
        BidCounts {
            schema: SCHEMA,
            event_id: format!("bdr_1:{sequence}"),
            producer: "bdr_1".into(),
            sequence,
            at_ms: self.at_ms,
            counts: vec![BidCount {
                quarter_start_ms: quarter_start_ms(self.at_ms),
                dimensions: self.dimensions.clone(),
                bids,
            }],
        }
    }
}
