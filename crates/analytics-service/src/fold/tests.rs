use super::*;
use serde_json::{Value, json};

const BID_AT_MS: i64 = 1_800_000_000_000;

fn fold_json(topic: Topic, event: &Value) -> Result<Folded, Poison> {
    fold(
        topic,
        Some(event.to_string().as_bytes()),
        &mut KnownDimensions::default(),
    )
}

fn click() -> Value {
    json!({
        "schema": 1, "event_id": "click:1", "kind": "click", "at_ms": BID_AT_MS + 86_400_000, "bid_id": "01",
        "bid_at_ms": BID_AT_MS + 1, "dimensions": {"campaign": "cmp_1"}, "some_later_field": true,
    })
}

fn spend() -> Value {
    json!({
        "schema": 1, "event_id": "spend:1", "at_ms": BID_AT_MS, "bid_id": "01", "bid_at_ms": BID_AT_MS,
        "campaign_id": "cmp_1", "day": "2027-01-15", "dimensions": {}, "price_cpm_micros": 10,
        "bid_currency": "USD", "currency": "USD",
        "terms": {"rate_e9": 1_000_000_000, "multiplier_micros": 1_000_000, "fee_ppm": 0},
        "media_cost_nanos": 10, "fee_nanos": 1, "charge_nanos": 11, "over_delivery_nanos": 0,
    })
}

fn with(mut event: Value, name: &str, value: Value) -> Value {
    event[name] = value;
    event
}

#[test]
fn an_event_counts_in_the_quarter_of_its_bid() {
    let folded = fold_json(Topic::Clicks, &click()).unwrap();
    assert_eq!(folded.at_ms, BID_AT_MS + 86_400_000);
    let contribution = folded.contribution.unwrap();
    let (quarter_start, dimensions, totals) = &contribution.rows[0];
    assert_eq!(
        (contribution.event_id.as_str(), *quarter_start),
        ("click:1", BID_AT_MS)
    );
    assert_eq!((dimensions.campaign.as_str(), totals.clicks), ("cmp_1", 1));
}

#[test]
fn spend_is_what_the_campaign_pays() {
    let rows = fold_json(Topic::Spend, &spend())
        .unwrap()
        .contribution
        .unwrap()
        .rows;
    assert_eq!((rows[0].2.spend_nanos, rows[0].2.media_cost_nanos), (11, 10));
}

#[test]
fn bid_counts_keep_their_quarters_apart() {
    let record = json!({
        "schema": 1, "event_id": "bdr_1:1", "producer": "bdr_1", "sequence": 1, "at_ms": BID_AT_MS,
        "counts": [
            {"quarter_start_ms": BID_AT_MS, "dimensions": {}, "bids": 3},
            {"quarter_start_ms": BID_AT_MS + 900_000, "dimensions": {}, "bids": 4},
        ],
    });
    let rows = fold_json(Topic::Bids, &record)
        .unwrap()
        .contribution
        .unwrap()
        .rows;
    assert_eq!(rows.iter().map(|row| row.2.bids).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn a_video_s_quartiles_are_understood_and_not_counted() {
    let event = with(click(), "kind", json!("video_midpoint"));
    assert_eq!(fold_json(Topic::Impressions, &event).unwrap().contribution, None);
}

#[test]
fn a_conversion_carries_its_value() {
    let event = with(
        with(click(), "kind", json!("conversion")),
        "value_micros",
        json!(25_000_000),
    );
    let rows = fold_json(Topic::Conversions, &event)
        .unwrap()
        .contribution
        .unwrap()
        .rows;
    assert_eq!(
        (rows[0].2.conversions, rows[0].2.conversion_value_micros),
        (1, 25_000_000)
    );
}

#[test]
fn what_cannot_be_read_is_poison_and_says_why() {
    let reason = |topic, event: &Value| fold_json(topic, event).unwrap_err().to_string();
    let cases = [
        (
            reason(Topic::Clicks, &with(click(), "schema", json!(2))),
            "schema 2 is not known here",
        ),
        (reason(Topic::Clicks, &json!({"schema": 1})), "missing field"),
        (
            reason(Topic::Clicks, &with(click(), "kind", json!("hover"))),
            "unknown variant",
        ),
        (
            reason(Topic::Clicks, &with(click(), "event_id", json!(""))),
            "event id is empty",
        ),
        (
            reason(Topic::Clicks, &with(click(), "bid_at_ms", json!(-1))),
            "time of the bid is out of range",
        ),
        (
            reason(Topic::Spend, &with(spend(), "charge_nanos", json!(-1))),
            "charge_nanos is out of range",
        ),
        (
            reason(Topic::Spend, &with(spend(), "charge_nanos", json!(i64::MAX))),
            "charge_nanos is out of range",
        ),
        (reason(Topic::Spend, &click()), "missing field"),
        (reason(Topic::Status, &click()), "holds no events"),
        (
            fold(Topic::Wins, None, &mut KnownDimensions::default())
                .unwrap_err()
                .to_string(),
            "no value",
        ),
        (
            fold(Topic::Wins, Some(b"\xff\x00"), &mut KnownDimensions::default())
                .unwrap_err()
                .to_string(),
            "not an event",
        ),
    ];
    for (reason, expected) in cases {
        assert!(reason.contains(expected), "{reason:?} should say {expected:?}");
    }
}
