//! The law of folding, on the real store: neither order, nor batches, nor repeats change a report.

use crate::app::store;
use crate::events::bid;
use analytics_service::fold::{KnownDimensions, fold};
use domain::event::EventKind;
use proptest::prelude::*;
use std::sync::Arc;
use storage::ReportStore;
use storage::event_log::Topic;
use storage::report_store::{Advance, Dimension, ReportBatch, ReportQuery, ReportRow};

const QUARTER_MS: i64 = 900_000;
const START: &str = "2026-11-23T00:00:00Z";

/// A record of any topic, from a handful of bids in a handful of quarters, so that many meet in one row.
fn record() -> impl Strategy<Value = (Topic, Vec<u8>)> {
    (0..6_u128, 0..9_usize, 1..1_000_000_i64).prop_map(|(id, what, amount)| {
        let mut bid = bid(id, "adv_1", &format!("cmp_{}", id % 2), START);
        bid.at_ms += i64::try_from(id).unwrap() * QUARTER_MS / 2;
        let event = |kind| serde_json::to_vec(&bid.event(kind)).unwrap();
        match what {
            0 => (
                Topic::Bids,
                serde_json::to_vec(&bid.counted(1 + u64::try_from(id).unwrap(), 7)).unwrap(),
            ),
            // A bid is settled once: a repeat is the same to the nano.
            1 | 2 => (
                Topic::Spend,
                serde_json::to_vec(&bid.spend(1_000 * i64::try_from(id + 1).unwrap())).unwrap(),
            ),
            3 => (Topic::Wins, event(EventKind::Win)),
            4 => (Topic::Losses, event(EventKind::Loss)),
            5 => (Topic::Impressions, event(EventKind::Impression)),
            6 => (Topic::Impressions, event(EventKind::VideoMidpoint)),
            7 => (Topic::Clicks, event(EventKind::Click)),
            _ => (Topic::Clicks, format!("poison {amount}").into_bytes()),
        }
    })
}

async fn reported(batches: &[&[(Topic, Vec<u8>)]]) -> Vec<ReportRow> {
    let store = store().await;
    let mut known = KnownDimensions::default();
    for (from_offset, records) in (0..).zip(batches) {
        let contributions = records
            .iter()
            .filter_map(|(topic, value)| fold(*topic, Some(value), &mut known).ok()?.contribution)
            .collect();
        let advance = Advance {
            topic: Topic::Wins,
            partition: 0,
            from_offset,
            to_offset: from_offset + 1,
        };
        let batch = ReportBatch {
            advances: vec![advance],
            contributions,
            set_aside: Vec::new(),
        };
        store.apply(Arc::new(batch), 0).await.unwrap();
    }
    let start_ms = bid(0, "", "", START).at_ms;
    let query = ReportQuery {
        buckets: (0..8)
            .map(|quarter| {
                (
                    start_ms + quarter * QUARTER_MS,
                    start_ms + (quarter + 1) * QUARTER_MS,
                )
            })
            .collect(),
        dimensions: Dimension::ALL.to_vec(),
        filters: Vec::new(),
        offset: 0,
        limit: 1_000,
    };
    store.query(&query).await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn neither_order_nor_batches_nor_repeats_change_a_report(
        (records, shuffled) in prop::collection::vec(record(), 1..40)
            .prop_flat_map(|records| {
                let twice = [records.clone(), records.clone()].concat();
                (Just(records), Just(twice).prop_shuffle())
            }),
        batch in 1..20_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let once = reported(&[&records]).await;
            let batches: Vec<_> = shuffled.chunks(batch).collect();
            prop_assert_eq!(once, reported(&batches).await);
            Ok(())
        })?;
    }
}
