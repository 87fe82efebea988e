//! Events that the report store cannot take.

use crate::app::{App, eventually};
use crate::events::{bid, clicks};
use crate::faulty_store::with_faults;
use analytics_service::fold::MAX_AMOUNT;
use domain::event::SpendEvent;
use std::sync::atomic::Ordering;
use storage::ReportStore;
use storage::event_log::Topic;

/// Beyond them a total leaves 64 bits.
const ROOM: u128 = (i64::MAX / MAX_AMOUNT) as u128;

#[tokio::test]
async fn what_leaves_the_range_of_a_total_is_set_aside_with_its_reason_and_holds_up_nothing() {
    const TOO_MANY: u128 = 18;
    let app = App::start().await;
    let absurd: Vec<SpendEvent> = (0..ROOM + TOO_MANY)
        .map(|id| bid(id, "adv_1", "cmp_1", "2026-11-23T10:00:00Z").spend(MAX_AMOUNT))
        .collect();
    let sane = bid(9_999, "adv_2", "cmp_2", "2026-11-23T10:00:00Z").spend(7);
    app.append(Topic::Spend, &absurd).await;
    app.append(Topic::Spend, &[sane]).await;
    app.append(Topic::Clicks, &clicks(0..50)).await;
    app.caught_up().await;
    assert_eq!(app.counted_clicks().await, 50);
    let report = app.report("metrics=spend_nanos&dimensions=campaign").await;
    let spent: Vec<i64> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["spend_nanos"].as_i64().unwrap())
        .collect();
    assert_eq!(spent, [ROOM as i64 * MAX_AMOUNT, 7]);
    let kept = app.store.set_aside(100).await.unwrap();
    assert_eq!(kept.len() as u128, TOO_MANY);
    for (_, one) in &kept {
        assert!(
            one.reason.starts_with("the report store refuses it: "),
            "{}",
            one.reason
        );
        let value = String::from_utf8(one.value.clone()).unwrap();
        assert!(value.contains("\"event_id\":\"spend:"), "{value}");
    }
    let counted = |metric: &str| app.metric(&format!("{metric}{{topic=\"spend\"}}"));
    assert_eq!(counted("events_set_aside_total").as_deref(), Some("18"));
    assert_eq!(counted("events_applied_total"), Some((ROOM + 1).to_string()));
}

/// A damaged store would otherwise have every event set aside, one by one.
#[tokio::test]
async fn a_store_that_refuses_everything_is_waited_for() {
    const SET_ASIDE: i64 = 100;
    let (app, faulty) = with_faults(0, 0).await;
    faulty.refuses.store(true, Ordering::SeqCst);
    app.append(Topic::Clicks, &clicks(0..300)).await;
    let set_aside = || app.metric("events_set_aside_total{topic=\"clicks\"}");
    eventually("it gives up on some of them", || async {
        set_aside().as_deref() == Some("100")
    })
    .await;
    faulty.refuses.store(false, Ordering::SeqCst);
    app.append(Topic::Clicks, &clicks(300..310)).await;
    app.caught_up().await;
    assert_eq!(app.counted_clicks().await, 310 - SET_ASIDE);
    assert_eq!(set_aside().as_deref(), Some("100"), "no more than that");
}
