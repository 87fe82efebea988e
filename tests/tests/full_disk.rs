//! A disk that fills up: what cannot be kept is refused, what was acknowledged is kept, the process stays up.

use adplatform_tests::Platform;
use adplatform_tests::fixtures::{USD, banner_300x250, banner_request};
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start_on_a_small_disk(folder.path(), 4 * 1024).await;
    let campaign = platform.live_campaign(2 * USD, 100 * USD).await;
    platform.bid_on(&banner_request("before")).await;

    let path = format!("/campaigns/{}/creatives", campaign.id);
    let mut creative = banner_300x250();
    creative["markup"] = json!(format!("<!--{}-->{{CLICK_URL}}", "x".repeat(50_000)));
    let mut kept = Vec::new();
    let refused = loop {
        assert!(kept.len() < 1_000, "the disk never filled up");
        let answer = platform.post(&path, &creative).await;
        if answer.status() != StatusCode::CREATED {
            break answer;
        }
        let creative: serde_json::Value = answer.json().await.unwrap();
        kept.push(creative["id"].as_str().unwrap().to_owned());
    };
    assert!(!kept.is_empty());
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    // It can no longer renew its leases, so it may well not bid; it answers.
    let (status, _) = platform.offer(banner_request("meanwhile").to_string()).await;
    assert!(matches!(status.as_u16(), 200 | 204), "{status}");
    assert_eq!(
        platform.hit(&format!("{}/health/live", platform.bidding)).await,
        StatusCode::OK
    );
    drop(platform);

    let platform = Platform::start_in(folder.path()).await;
    for id in kept {
        platform.get(&format!("/creatives/{id}")).await;
    }
    platform.bid_on(&banner_request("after")).await;
}
