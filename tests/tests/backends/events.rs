//! Events as bidders append them, of bids with the numbers of a range.

use domain::event::{
    BidCount, BidCounts, BidEvent, Dimensions, EventKind, SCHEMA, SpendEvent, quarter_start_ms,
};
use domain::id::BidId;
use domain::money::Terms;
use serde::Serialize;
use std::ops::Range;
use storage::event_log::{NewRecord, Topic};
use storage_kafka::KafkaLog;
use test_servers::kafka::Broker;

pub(crate) const CHARGE_NANOS: i64 = 1_000;
/// Of each record of counts.
pub(crate) const COUNTED_BIDS: u64 = 5;
/// A batch of theirs falls on few rows of the reports.
const CAMPAIGNS: u64 = 20;

/// A click, a settled bid, and a record of counts for each of the bids.
pub(crate) fn of_bids(bids: Range<u64>, now_ms: i64) -> Vec<(Topic, NewRecord)> {
    bids.flat_map(|bid| {
        let bid_id = BidId(u128::from(bid));
        let key = bid_id.to_string();
        [
            (Topic::Clicks, record(&key, &click(bid, bid_id, now_ms))),
            (Topic::Spend, record(&key, &spend(bid, bid_id, now_ms))),
            (Topic::Bids, record(&key, &counts(bid, now_ms))),
        ]
    })
    .collect()
}

/// Records that are no events of the topic that `like` is one of, in the partition of `like`, and what the reason begins with
/// for which each is set aside.
pub(crate) fn unreadable(like: &NewRecord) -> [(NewRecord, &'static str); 4] {
    let event = String::from_utf8(like.value.clone().unwrap()).unwrap();
    let later = event.replacen("\"schema\":1", "\"schema\":2", 1);
    let cut = &event[..event.len() / 2];
    [
        (Some(b"\xff{".to_vec()), "not an event of this topic"),
        (Some(cut.into()), "not an event of this topic"),
        (Some(later.into()), "schema 2 is not known here, only 1"),
        (None, "record has no value"),
    ]
    .map(|(value, reason)| {
        let key = like.key.clone();
        (NewRecord { key, value }, reason)
    })
}

fn record(key: &str, event: &impl Serialize) -> NewRecord {
    NewRecord {
        key: key.to_owned(),
        value: Some(serde_json::to_vec(event).unwrap()),
    }
}

fn dimensions(bid: u64) -> Dimensions {
    Dimensions {
        advertiser: "adv_members".to_owned(),
        campaign: format!("cmp_{}", bid % CAMPAIGNS),
        ..Dimensions::default()
    }
}

fn click(bid: u64, bid_id: BidId, now_ms: i64) -> BidEvent {
    BidEvent {
        schema: SCHEMA,
        event_id: format!("click:{bid_id}"),
        kind: EventKind::Click,
        at_ms: now_ms,
        bid_id,
        bid_at_ms: now_ms,
        dimensions: dimensions(bid),
        loss_reason: None,
        price_cpm_micros: None,
        reservation: None,
        value_micros: None,
        currency: None,
        conversion_type: None,
        order_id: None,
    }
}

fn spend(bid: u64, bid_id: BidId, now_ms: i64) -> SpendEvent {
    let dimensions = dimensions(bid);
    SpendEvent {
        schema: SCHEMA,
        event_id: format!("spend:{bid_id}"),
        at_ms: now_ms,
        bid_id,
        bid_at_ms: now_ms,
        campaign_id: dimensions.campaign.as_str().into(),
        day: "today".to_owned(),
        day_start_ms: now_ms,
        day_end_ms: now_ms + 86_400_000,
        dimensions,
        price_cpm_micros: CHARGE_NANOS,
        bid_currency: "USD".to_owned(),
        currency: "USD".to_owned(),
        terms: Terms::default(),
        media_cost_nanos: CHARGE_NANOS,
        fee_nanos: 0,
        charge_nanos: CHARGE_NANOS,
        over_delivery_nanos: 0,
    }
}

fn counts(bid: u64, now_ms: i64) -> BidCounts {
    BidCounts {
        schema: SCHEMA,
        event_id: format!("bdr_members:{bid}"),
        producer: "bdr_members".into(),
        sequence: bid,
        at_ms: now_ms,
        counts: vec![BidCount {
            quarter_start_ms: quarter_start_ms(now_ms),
            dimensions: dimensions(bid),
            bids: COUNTED_BIDS,
        }],
    }
}

/// With all topics.
pub(crate) async fn log_on(broker: &Broker) -> KafkaLog {
    let log = KafkaLog::new(&storage_kafka::Settings {
        brokers: broker.bootstrap(),
        ..storage_kafka::Settings::default()
    })
    .unwrap();
    log.create_topics(1, 1).await.unwrap();
    log
}
