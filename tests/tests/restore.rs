//! The database lost and restored to an instant before its loss, and all of Redis lost, alone and together with it, while an
//! exchange trades: what is published follows the restored store, and money is counted once. Prints RPO and RTO.

#![expect(clippy::unwrap_used, reason = "test helpers: a failure is a failed test")]

use adplatform_tests::deployment::Deployment;
use adplatform_tests::eventually;
use adplatform_tests::fixtures::{USD, banner_300x250, banner_request, campaign, only_bid};
use adplatform_tests::trader::{CLEARED_NANOS, Trader};
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const ARCHIVE_SECONDS: u32 = 2;
/// Long enough for the archive to hold something later than the instant.
const AFTER_THE_POINT: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_goes_on_from_a_database_restored_to_before_its_loss() {
    let Some(mut deployment) = Deployment::start_with_archive(ARCHIVE_SECONDS).await else {
        return;
    };
    let old = deployment.platform.live_campaign(2 * USD, 1_000 * USD).await;
    let trader = Trader::start(deployment.bidder_urls(), 2, Duration::from_millis(40));
    more_bids(&trader).await;
    deployment.backends.postgres.back_up();

    let lost = Instant::now();
    deployment.backends.lose_the_ledger().await;
    more_bids(&trader).await;
    println!("all of Redis lost: 100 more bids after {:.1?}", lost.elapsed());

    let before = draft(&deployment, &old.advertiser_id).await;
    let (point, point_at) = (Timestamp::now().to_string(), Instant::now());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let path = format!("/campaigns/{}", old.id);
    deployment
        .platform
        .patch(&path, json!({"name": "renamed later"}))
        .await;
    let late = deployment.platform.live_campaign(5 * USD, 1_000 * USD).await;
    eventually("the late campaign is billed", || async {
        (trader.seen.billed_of(&late.id) > 0).then_some(())
    })
    .await;
    while point_at.elapsed() < AFTER_THE_POINT {
        draft(&deployment, &old.advertiser_id).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let lost = Instant::now();
    println!("restored to {:.1?} before the loss (RPO)", lost - point_at);
    deployment.backends.lose_the_database();
    deployment.backends.lose_the_ledger().await;
    deployment.backends.restore_the_database(&point).await;
    println!("database takes writes {:.1?} after the loss", lost.elapsed());
    let kept = deployment.platform.data_dir.join("kept.jsonl");
    let (done, said) = deployment.adplatform(&["restored", "--keep", kept.to_str().unwrap()]);
    assert!(done, "{said}");
    println!("{}", said.lines().last().unwrap_or_default());
    eventually("bids are the restored store's", || async {
        let (status, body) = deployment
            .platform
            .offer(banner_request("after").to_string())
            .await;
        let response: Value = (status == StatusCode::OK).then(|| serde_json::from_slice(&body).unwrap())?;
        (only_bid(&response)["cid"] == old.id.as_str()).then_some(())
    })
    .await;
    println!(
        "bids follow the restored store {:.1?} after the loss (RTO)",
        lost.elapsed()
    );

    assert_eq!(deployment.platform.get(&path).await["name"], "c");
    assert_eq!(status_of(&deployment, &before).await, StatusCode::OK);
    assert_eq!(status_of(&deployment, &late.id).await, StatusCode::NOT_FOUND);
    let kept = std::fs::read_to_string(kept).unwrap();
    assert!(
        kept.contains(&late.id) && kept.contains("renamed later"),
        "{kept}"
    );

    more_bids(&trader).await;
    let seen = trader.finish().await;
    assert_eq!(seen.unacknowledged.load(Ordering::Relaxed), 0);
    let owed = seen.billed() * CLEARED_NANOS;
    eventually("the report has every billing once", || async {
        let totals = deployment
            .platform
            .report_totals("spend_nanos,over_delivery_nanos")
            .await;
        let counted = totals["spend_nanos"].as_i64()? + totals["over_delivery_nanos"].as_i64()?;
        assert!(counted <= owed, "{counted} nanos of {owed} owed: counted twice");
        (counted == owed).then_some(())
    })
    .await;
    println!(
        "{} billings reported once {:.1?} after the loss",
        seen.billed(),
        lost.elapsed()
    );
    let (agrees, said) = deployment.adplatform(&["reconcile"]);
    println!("{said}");
    assert!(agrees, "{said}");
}

async fn draft(deployment: &Deployment, advertiser_id: &str) -> String {
    let mut body = campaign(advertiser_id, USD, USD);
    body["status"] = "draft".into();
    let created = deployment.platform.create("/campaigns", body).await;
    let id = created["id"].as_str().unwrap().to_owned();
    deployment
        .platform
        .create(&format!("/campaigns/{id}/creatives"), banner_300x250())
        .await;
    id
}

async fn status_of(deployment: &Deployment, id: &str) -> StatusCode {
    let platform = &deployment.platform;
    let url = format!("{}/campaigns/{id}", platform.campaigns);
    let read = platform.client.get(url).bearer_auth(&platform.key).send();
    read.await.unwrap().status()
}

async fn more_bids(trader: &Trader) {
    let bids = || trader.seen.bids.load(Ordering::Relaxed);
    let begun = bids();
    eventually("a hundred more bids", || async {
        (bids() >= begun + 100).then_some(())
    })
    .await;
}
