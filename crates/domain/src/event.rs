//! What happened: the values of the event topics. JSON, `schema` inside, additive changes only.
//!
//! Each event has an id of its own, its own time and its bid's; reports go by the bid's, as the
//! ledger's days do.

mod reading;

pub use reading::{BadRecord, MAX_AMOUNT, check_amount, check_time, read};

use crate::id::{AdvertiserId, BidId, BidderId, CampaignId};
use crate::money::Terms;
use crate::period::Day;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub const SCHEMA: u32 = 1;

/// The words a report can be broken down by, fixed when the bid is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Dimensions {
    pub advertiser: String,
    pub campaign: String,
    pub creative: String,
    pub exchange: String,
    /// Empty for the open auction.
    pub deal: String,
    /// ISO 3166-1 alpha-3, or empty.
    pub country: String,
    pub device: String,
    pub os: String,
    pub format: String,
    /// `300x250`, or empty.
    pub size: String,
    /// The kind of place, never `tagid`.
    pub placement: String,
    pub site_or_bundle: String,
}

/// Topic `bids`: how many bids of each combination one bidder made since its last record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BidCounts {
    pub schema: u32,
    /// `{producer}:{sequence}`.
    pub event_id: String,
    pub producer: BidderId,
    /// Counts up from 1 without gaps.
    pub sequence: u64,
    pub at_ms: i64,
    pub counts: Vec<BidCount>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BidCount {
    /// Start of the quarter of an hour in which the bids were made, Unix milliseconds.
    pub quarter_start_ms: i64,
    pub dimensions: Dimensions,
    pub bids: u64,
}

/// Topics `wins`, `losses`, `impressions`, `clicks`, `conversions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BidEvent {
    pub schema: u32,
    /// Unique for what happened, equal for each repeat of its notice: `{kind}:{bid_id}`, more where a kind can happen twice: a
    /// conversion's ends with a hash of type and order.
    pub event_id: String,
    pub kind: EventKind,
    pub at_ms: i64,
    pub bid_id: BidId,
    pub bid_at_ms: i64,
    pub dimensions: Dimensions,
    /// Loss reason of OpenRTB 3.0, AdCOM "Loss Reason Codes".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_reason: Option<i64>,
    /// Clearing price of a win, CPM micros of the bid's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_cpm_micros: Option<i64>,
    /// Wins: what the ledger held for the bid, from which its books can be rebuilt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<WonReservation>,
    /// Conversions: value in micros of `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_micros: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Conversions: the advertiser's own word and order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
}

/// The reservation of a bid that was won.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WonReservation {
    pub day: Day,
    pub bidder_id: BidderId,
    pub reserved_nanos: i64,
    pub billing_window_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Win,
    Loss,
    Impression,
    Click,
    Conversion,
    VideoStart,
    VideoFirstQuartile,
    VideoMidpoint,
    VideoThirdQuartile,
    VideoComplete,
    VideoError,
}

/// Topic `spend`: one settled bid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendEvent {
    pub schema: u32,
    /// `spend:{bid_id}`: a bid is settled once.
    pub event_id: String,
    pub at_ms: i64,
    pub bid_id: BidId,
    pub bid_at_ms: i64,
    pub campaign_id: CampaignId,
    /// Date of the campaign's day that pays.
    pub day: String,
    /// The day's instants, Unix milliseconds; 0 in events older than the fields.
    #[serde(default)]
    pub day_start_ms: i64,
    #[serde(default)]
    pub day_end_ms: i64,
    pub dimensions: Dimensions,
    /// What the exchange said it cleared at, at most the bid; CPM micros of `bid_currency`.
    pub price_cpm_micros: i64,
    pub bid_currency: String,
    pub currency: String,
    pub terms: Terms,
    pub media_cost_nanos: i64,
    pub fee_nanos: i64,
    /// What the campaign pays, nanos of `currency`; 0 for an over-delivery.
    pub charge_nanos: i64,
    /// What was owed and could not be charged: the budget was gone when the notice came.
    pub over_delivery_nanos: i64,
}

/// Topic `ledger_checkpoints`, key campaign id: what the campaign's events of topic `spend` came to, from which the
/// ledger's books can be rebuilt.
///
/// Right by itself: it holds every event of the campaign below its offsets once, and none at or above them, so a reader
/// adds the events at or above. Of two records of a campaign either will do; the later one leaves less to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCheckpoint {
    pub schema: u32,
    pub advertiser_id: AdvertiserId,
    pub campaign_id: CampaignId,
    /// By their start, the last few only: the lifetime holds the others too.
    pub days: Vec<CheckpointDay>,
    pub lifetime: SpentTotals,
    /// The next offset of each partition of `spend`; 0 for a partition that is missing.
    pub offsets: BTreeMap<u32, i64>,
    pub at_ms: i64,
}

/// One day of a campaign. `start_ms` and `end_ms` are 0 where no event told them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointDay {
    #[serde(flatten)]
    pub day: Day,
    #[serde(flatten)]
    pub totals: SpentTotals,
}

/// What settled bids came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpentTotals {
    /// Nanos of the campaign's currency, as are over-deliveries.
    pub spent_nanos: i64,
    pub over_delivery_nanos: i64,
    pub settled_bids: i64,
}

/// Length of a rollup: days begin at :15, :30 and :45 in some zones.
pub const QUARTER_MS: i64 = 15 * 60 * 1_000;

/// Start of the quarter of an hour that holds the instant.
#[must_use]
pub fn quarter_start_ms(instant_ms: i64) -> i64 {
    instant_ms.div_euclid(QUARTER_MS).saturating_mul(QUARTER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_as_it_was_written() {
        let totals = SpentTotals {
            spent_nanos: i64::MAX,
            over_delivery_nanos: 2,
            settled_bids: 3,
        };
        let checkpoint = LedgerCheckpoint {
            schema: SCHEMA,
            advertiser_id: "adv_1".into(),
            campaign_id: "cmp_1".into(),
            days: vec![CheckpointDay {
                day: Day {
                    date: "2026-11-23".to_owned(),
                    start_ms: 1,
                    end_ms: 2,
                },
                totals,
            }],
            lifetime: totals,
            offsets: BTreeMap::from([(0, 7), (23, 0)]),
            at_ms: 9,
        };
        let text = serde_json::to_string(&checkpoint).unwrap();
        assert!(
            text.contains(
                r#""days":[{"date":"2026-11-23","start_ms":1,"end_ms":2,"spent_nanos":9223372036854775807"#
            ),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<LedgerCheckpoint>(&text).unwrap(),
            checkpoint
        );
    }
}
