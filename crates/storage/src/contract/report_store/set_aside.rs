//! Records that can never be applied.

use super::NOW_MS;
use crate::event_log::Topic;
use crate::report_store::{Advance, ReportBatch, SetAside};
use crate::{ReportStore, StorageError};
use std::sync::Arc;

fn record(offset: i64) -> SetAside {
    SetAside {
        topic: Topic::Clicks,
        partition: 7,
        offset,
        reason: format!("reason \u{0}{offset}"),
        value: vec![0xff; SetAside::VALUE_BYTES],
    }
}

async fn set_aside(reports: &dyn ReportStore, from_offset: i64, to_offset: i64) -> Result<(), StorageError> {
    let batch = ReportBatch {
        advances: vec![Advance {
            topic: Topic::Clicks,
            partition: 7,
            from_offset,
            to_offset,
        }],
        contributions: Vec::new(),
        set_aside: (from_offset..to_offset).map(record).collect(),
    };
    reports
        .apply(Arc::new(batch), NOW_MS + from_offset)
        .await
        .map(|_| ())
}

async fn offsets(reports: &dyn ReportStore, limit: u32) -> Vec<i64> {
    let found = reports.set_aside(limit).await.unwrap();
    found.iter().map(|(_, one)| one.offset).collect()
}

pub(super) async fn the_latest_records_are_kept_with_their_reasons(reports: Arc<dyn ReportStore>) {
    let reports = &*reports;
    set_aside(reports, 0, 3).await.unwrap();
    let again = set_aside(reports, 0, 3).await;
    assert!(matches!(again, Err(StorageError::Conflict(_))), "{again:?}");
    assert_eq!(offsets(reports, 10).await, [2, 1, 0]);
    set_aside(reports, 3, 4).await.unwrap();
    assert_eq!(offsets(reports, 2).await, [3, 2]);
    let (at_ms, last) = reports.set_aside(1).await.unwrap().remove(0);
    assert_eq!(
        (at_ms, last.value, last.partition),
        (NOW_MS + 3, vec![0xff; 1_024], 7)
    );
    assert!(
        last.reason.starts_with("reason ") && last.reason.ends_with('3'),
        "{}",
        last.reason
    );
    let flood = i64::from(SetAside::KEPT) + 5;
    set_aside(reports, 4, 4 + flood).await.unwrap();
    let kept = offsets(reports, u32::MAX / 2).await;
    assert_eq!((kept.len(), kept[0]), (SetAside::KEPT as usize, 3 + flood));
    reports.forget_event_ids(NOW_MS + 5).await.unwrap();
    assert_eq!(offsets(reports, 10).await, Vec::<i64>::new());
}
