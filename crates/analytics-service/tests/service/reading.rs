//! Every event once: repeats, restarts, rivals, poison, and a store that comes and goes.

use crate::app::{self, ADMIN_KEY, App, append, eventually, record};
use crate::events::{bid, clicks};
use crate::faulty_store::with_faults;
use axum::http::StatusCode;
use std::sync::atomic::Ordering;
use storage::event_log::Topic;
use storage::{EventLog, ReportStore};

#[tokio::test]
async fn repeats_count_once_within_a_batch_and_across_batches() {
    let app = App::start().await;
    app.append(Topic::Clicks, &[clicks(0..3), clicks(0..3)].concat())
        .await;
    app.caught_up().await;
    app.append(Topic::Clicks, &clicks(1..5)).await;
    app.caught_up().await;
    assert_eq!(app.counted_clicks().await, 5);
    let spend = bid(9, "adv_1", "cmp_1", "2026-11-23T10:00:00Z").spend(1_000);
    app.append(Topic::Spend, &[spend.clone(), spend]).await;
    app.caught_up().await;
    assert_eq!(
        app.report("metrics=spend_nanos").await["totals"]["spend_nanos"],
        1_000
    );
}

#[tokio::test]
async fn a_restart_goes_on_where_the_reports_stand() {
    let first = App::start().await;
    first.append(Topic::Clicks, &clicks(0..10)).await;
    first.caught_up().await;
    let store = first.stop().await;
    append(&store, Topic::Clicks, &clicks(10..15)).await;
    let second = App::on(store);
    second.caught_up().await;
    assert_eq!(second.counted_clicks().await, 15);
    // It read what was new, and nothing else.
    eventually("the counter follows", || async {
        second.metric("events_applied_total{topic=\"clicks\"}").as_deref() == Some("5")
    })
    .await;
    assert_eq!(
        second
            .metric("events_repeated_total{topic=\"clicks\"}")
            .as_deref(),
        Some("0")
    );
}

#[tokio::test]
async fn two_readers_of_one_partition_lose_and_double_nothing() {
    let store = app::store().await;
    let (first, second) = (App::on(store.clone()), App::on(store.clone()));
    for batch in 0..20 {
        append(&store, Topic::Clicks, &clicks(batch * 50..batch * 50 + 60)).await;
    }
    first.caught_up().await;
    assert_eq!(
        (first.counted_clicks().await, second.counted_clicks().await),
        (1_010, 1_010)
    );
    second.stop().await;
    append(&store, Topic::Clicks, &clicks(5_000..5_001)).await;
    first.caught_up().await;
    assert_eq!(first.counted_clicks().await, 1_011);
}

#[tokio::test]
async fn poison_is_set_aside_and_holds_up_nothing() {
    let app = App::start().await;
    let good = serde_json::to_vec(&clicks(0..1)[0]).unwrap();
    let newer = String::from_utf8(good.clone())
        .unwrap()
        .replace("\"schema\":1", "\"schema\":2");
    let records = [b"\xff{".to_vec(), newer.into_bytes(), b"{}".to_vec(), good].map(record);
    app.store
        .append(Topic::Clicks, records.to_vec(), 0)
        .await
        .unwrap();
    app.caught_up().await;
    assert_eq!(app.counted_clicks().await, 1);
    eventually("the counter follows", || async {
        app.metric("events_set_aside_total{topic=\"clicks\"}").as_deref() == Some("3")
    })
    .await;
    let kept = app.store.set_aside(10).await.unwrap();
    let kept: Vec<(i64, &str)> = kept
        .iter()
        .map(|(_, one)| (one.offset, one.reason.as_str()))
        .collect();
    assert_eq!(kept.len(), 3);
    assert!(kept[0].0 == 2 && kept[0].1.contains("missing field"), "{kept:?}");
    assert_eq!(kept[1], (1, "schema 2 is not known here, only 1"));
}

#[tokio::test]
async fn lag_and_freshness_are_told() {
    let app = App::start().await;
    app.append(Topic::Clicks, &clicks(0..3)).await;
    app.caught_up().await;
    let series = "consumer_lag_records{partition=\"0\",topic=\"clicks\"}";
    eventually("the lag is known and gone", || async {
        app.metric(series).as_deref() == Some("0")
    })
    .await;
    eventually("its one partition is counted", || async {
        app.metric("consumer_partitions{topic=\"clicks\"}").as_deref() == Some("1")
    })
    .await;
    eventually("the reports are fresh", || async {
        app.metric("report_freshness_seconds").as_deref() == Some("0")
    })
    .await;
}

#[tokio::test]
async fn it_is_ready_once_the_store_is_reached_and_the_offsets_are_loaded() {
    let (app, _) = with_faults(2, 0).await;
    assert_eq!(
        app.process.readiness.waiting_for(),
        ["report store reached", "offsets loaded"]
    );
    eventually("ready", || async { app.process.readiness.is_ready() }).await;
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_counts_once() {
    let (app, faulty) = with_faults(0, 1).await;
    app.append(Topic::Clicks, &clicks(0..4)).await;
    app.caught_up().await;
    faulty.lost_calls.store(2, Ordering::SeqCst);
    faulty.lost_answers.store(1, Ordering::SeqCst);
    app.append(Topic::Clicks, &clicks(4..9)).await;
    eventually("every fault has happened", || async {
        faulty.lost_calls.load(Ordering::SeqCst) + faulty.lost_answers.load(Ordering::SeqCst) == 0
    })
    .await;
    app.append(Topic::Clicks, &clicks(9..10)).await;
    app.caught_up().await;
    assert_eq!(app.counted_clicks().await, 10);
}

#[tokio::test]
async fn a_store_that_is_away_is_503_and_readiness_stays() {
    let (app, faulty) = with_faults(0, 0).await;
    eventually("ready", || async { app.process.readiness.is_ready() }).await;
    faulty.lost_calls.store(1, Ordering::SeqCst);
    let answer = app.get("/analytics/report", ADMIN_KEY).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after") && !answer.text.contains("away"));
    assert!(app.process.readiness.is_ready());
}

#[tokio::test]
async fn stopping_ends_every_reader_though_the_store_is_away() {
    let (app, _faulty) = with_faults(u32::MAX, 0).await;
    app.process.shutdown.request("test");
    let ended = app.process.shutdown.finished().await;
    assert_eq!(ended, platform::shutdown::Ended::Clean);
}
