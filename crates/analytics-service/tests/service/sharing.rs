//! Replicas of the service share the partitions of one log.

use crate::app::{self, App, eventually};
use crate::events;
use crate::shared_log::{PARTITIONS, SharedLog};
use analytics_service::fold::TOPICS;
use analytics_service::{Ports, wiring};
use domain::event::BidEvent;
use std::sync::Arc;
use storage::ReportStore;
use storage::event_log::Topic;
use storage_sqlite::SqliteStore;

fn replica(store: &Arc<SqliteStore>, log: &Arc<SharedLog>) -> App {
    let ports = Ports {
        events: log.clone(),
        ..wiring::embedded(store.clone())
    };
    App::with(store.clone(), ports)
}

fn clicks(ids: std::ops::Range<u128>) -> Vec<(u128, BidEvent)> {
    ids.clone().zip(events::clicks(ids)).collect()
}

async fn all_is_applied(store: &SqliteStore, log: &SharedLog) {
    let (of, ends): (Vec<_>, Vec<i64>) = log.ends(Topic::Clicks).into_iter().unzip();
    eventually("everything is applied", || async {
        store.offsets(&of).await.unwrap() == ends
    })
    .await;
}

/// Partitions that the replica has told the lag of.
fn held(app: &App) -> usize {
    let text = app.process.metrics.encode().unwrap();
    let series = text
        .lines()
        .filter(|line| line.starts_with("consumer_lag_records{"));
    series.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_partitions_and_one_takes_over_when_the_other_leaves() {
    let (store, log) = (app::store().await, SharedLog::new());
    let all = TOPICS.len() * PARTITIONS as usize;
    let first = replica(&store, &log);
    eventually("the first holds all", || async { held(&first) == all }).await;
    let second = replica(&store, &log);
    eventually("each holds half", || async {
        (held(&first), held(&second)) == (all / 2, all / 2)
    })
    .await;
    log.append_of_bids(Topic::Clicks, &clicks(0..400));
    all_is_applied(&store, &log).await;
    for app in [&first, &second] {
        eventually("each has applied its half", || async {
            app.metric("events_applied_total{topic=\"clicks\"}").as_deref() == Some("200")
        })
        .await;
    }
    second.stop().await;
    log.append_of_bids(Topic::Clicks, &clicks(400..500));
    all_is_applied(&store, &log).await;
    eventually("the first holds all again", || async { held(&first) == all }).await;
    assert_eq!(first.counted_clicks().await, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_killed_within_its_batch_loses_and_doubles_nothing() {
    let (store, log) = (app::store().await, SharedLog::new());
    let survivor = replica(&store, &log);
    for round in 0..6_u128 {
        // A runtime of its own: ended like this, its tasks stop where they happen to wait.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let killed = {
            let _within = runtime.enter();
            replica(&store, &log)
        };
        let ids = round * 1_000..(round + 1) * 1_000;
        for _twice in 0..2 {
            for start in ids.clone().step_by(100) {
                log.append_of_bids(Topic::Clicks, &clicks(start..start + 100));
                tokio::task::yield_now().await;
            }
        }
        eventually("it reads", || async {
            killed
                .metric("events_applied_total{topic=\"clicks\"}")
                .is_some_and(|applied| applied != "0")
                || round % 2 == 1
        })
        .await;
        runtime.shutdown_background();
        drop(killed);
    }
    all_is_applied(&store, &log).await;
    assert_eq!(survivor.counted_clicks().await, 6_000);
}
