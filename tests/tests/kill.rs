//! kill -9 and a new start on the same store: nothing acknowledged is lost, nothing counts twice.

#![expect(clippy::unwrap_used, reason = "test helpers: a failure is a failed test")]

use adplatform_tests::fixtures::{USD, banner_request, notice, only_bid};
use adplatform_tests::{Platform, eventually};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What one client saw acknowledged before the process died.
#[derive(Default)]
struct Acknowledged {
    /// Billing notices answered with 200: 1,500,000 nanos each.
    billed: BTreeSet<String>,
    /// Billing notices sent, answered or not.
    sent: BTreeSet<String>,
    advertisers: BTreeSet<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start_in(folder.path()).await;
    platform.live_campaign(2 * USD, 1_000 * USD).await;
    platform.bid_on(&banner_request("first")).await;

    let seen = Arc::new(Mutex::new(Acknowledged::default()));
    let work = [
        tokio::spawn(trade(platform.bidding.clone(), seen.clone())),
        tokio::spawn(trade(platform.bidding.clone(), seen.clone())),
        tokio::spawn(create(
            platform.campaigns.clone(),
            platform.key.clone(),
            seen.clone(),
        )),
    ];
    eventually("some work is done", || async {
        let seen = seen.lock().unwrap();
        (seen.billed.len() >= 100 && seen.advertisers.len() >= 20).then_some(())
    })
    .await;
    let data_dir = platform.kill_9();
    for task in work {
        task.await.unwrap();
    }

    let platform = Platform::start_in(&data_dir).await;
    let seen = Arc::try_unwrap(seen).ok().unwrap().into_inner().unwrap();
    for id in &seen.advertisers {
        platform.get(&format!("/advertisers/{id}")).await;
    }
    let least = nanos(seen.billed.len());
    let spend = eventually("the report has all that was acknowledged", || async {
        let totals = platform.report_totals("spend_nanos").await;
        totals["spend_nanos"].as_i64().filter(|spend| *spend >= least)
    })
    .await;
    assert!(
        spend <= nanos(seen.sent.len()),
        "{spend} nanos of {} notices",
        seen.sent.len()
    );

    // All of them once more, at the addresses of the new process: what was settled stays, the others settle now.
    for url in &seen.sent {
        let path = url.split_once("/notice/").unwrap().1;
        let again = format!("{}/notice/{path}", platform.bidding);
        assert_eq!(platform.hit(&again).await, StatusCode::OK);
    }
    let all = nanos(seen.sent.len());
    eventually("the report has each bid once", || async {
        let totals = platform.report_totals("spend_nanos,over_delivery_nanos").await;
        let sum = totals["spend_nanos"].as_i64()? + totals["over_delivery_nanos"].as_i64()?;
        assert!(sum <= all, "{sum} nanos of {all}");
        (sum == all).then_some(())
    })
    .await;
}

fn nanos(bids: usize) -> i64 {
    i64::try_from(bids).unwrap() * 1_500_000
}

/// Bids and billing notices until the server is gone.
async fn trade(bidding: String, seen: Arc<Mutex<Acknowledged>>) {
    let client = Client::new();
    loop {
        let offer = client
            .post(format!("{bidding}/openrtb2/bid"))
            .body(banner_request("r").to_string());
        let Ok(answer) = offer.send().await else { return };
        if answer.status() != StatusCode::OK {
            continue;
        }
        let Ok(response) = answer.json::<Value>().await else {
            return;
        };
        let burl = notice(only_bid(&response), "burl", "1.5");
        seen.lock().unwrap().sent.insert(burl.clone());
        let Ok(answer) = client.get(&burl).send().await else {
            return;
        };
        assert_eq!(answer.status(), StatusCode::OK);
        seen.lock().unwrap().billed.insert(burl);
    }
}

/// Advertisers until the server is gone.
async fn create(campaigns: String, key: String, seen: Arc<Mutex<Acknowledged>>) {
    let client = Client::new();
    loop {
        let request = client.post(format!("{campaigns}/advertisers")).bearer_auth(&key);
        let Ok(answer) = request.json(&json!({"name": "a"})).send().await else {
            return;
        };
        assert_eq!(answer.status(), StatusCode::CREATED);
        let Ok(advertiser) = answer.json::<Value>().await else {
            return;
        };
        seen.lock()
            .unwrap()
            .advertisers
            .insert(advertiser["id"].as_str().unwrap().to_owned());
    }
}
