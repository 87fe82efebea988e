//! Lists in files: of crawlers, data centres, sellers and places.

use crate::mmdb::{Database, map};
use crate::stage::{Setting, Stage, banner, banner_request, campaign, exchange};
use bidding_service::Config;
use platform::Settings;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// As such files should be replaced: in one step.
fn put(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let (path, new) = (folder.join(name), folder.join("new"));
    std::fs::write(&new, content).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn stage(settings: Vec<(&str, String)>, campaigns: Vec<Value>) -> Stage {
    Stage::set(Setting {
        settings,
        exchanges: vec![exchange("default", json!({"wants_no_bid_reason": true}))],
        campaigns,
        tune: |config| config.look_for_lists_every(Duration::from_millis(20)),
        ..Setting::default()
    })
    .await
}

async fn nbr_until(stage: &Stage, request: &Value, nbr: Option<u64>) {
    let give_up = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let answer = stage.bid(request).await.json();
        if answer["nbr"].as_u64() == nbr {
            return;
        }
        assert!(
            std::time::Instant::now() < give_up,
            "{answer}, not {nbr:?}\n{}",
            stage.reasons()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn from(device: Value) -> Value {
    let mut asked = banner_request();
    asked["device"] = device;
    asked
}

#[tokio::test]
async fn crawlers_and_data_centres_are_told_why_and_a_changed_list_is_in_effect_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let crawlers = put(folder.path(), "crawlers", "googlebot\n");
    let centers = put(folder.path(), "centers", "198.51.100.0/24\n");
    let settings = vec![("CRAWLERS_FILE", crawlers), ("DATA_CENTERS_FILE", centers)];
    let stage = stage(settings, vec![campaign("c1", [banner(300, 250)])]).await;
    nbr_until(&stage, &banner_request(), None).await;
    nbr_until(
        &stage,
        &from(json!({"ua": "Mozilla/5.0 (compatible; Googlebot/2.1)"})),
        Some(3),
    )
    .await;
    nbr_until(&stage, &from(json!({"ip": "198.51.100.9"})), Some(5)).await;
    assert_eq!(
        stage.metric("bid_no_bid_reasons_total{reason=\"web_crawler\"}"),
        1.0
    );

    put(folder.path(), "crawlers", "googlebot\nspider\n");
    nbr_until(&stage, &from(json!({"ua": "a spider"})), Some(3)).await;
    assert_eq!(stage.metric("list_entries{list=\"crawlers\"}"), 2.0);
}

#[tokio::test]
async fn a_bad_list_leaves_the_one_before_and_is_tried_once() {
    let folder = tempfile::tempdir().unwrap();
    let crawlers = put(folder.path(), "crawlers", "googlebot\n");
    let stage = stage(
        vec![("CRAWLERS_FILE", crawlers)],
        vec![campaign("c1", [banner(300, 250)])],
    )
    .await;
    put(folder.path(), "crawlers", "googlebot\nx\n");
    let failed = "list_reads_total{list=\"crawlers\",result=\"failed\"}";
    stage.until("refused", |stage| stage.metric(failed) >= 1.0).await;
    nbr_until(&stage, &from(json!({"ua": "Googlebot"})), Some(3)).await;
    std::fs::remove_file(folder.path().join("crawlers")).unwrap();
    stage.until("missing", |stage| stage.metric(failed) >= 2.0).await;
    nbr_until(&stage, &from(json!({"ua": "Googlebot"})), Some(3)).await;
    put(folder.path(), "crawlers", "spider\n");
    nbr_until(&stage, &from(json!({"ua": "Googlebot"})), None).await;
    assert_eq!(stage.metric(failed), 2.0);
}

#[test]
fn a_bad_file_at_the_start_is_a_mistake_of_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    let bad = put(folder.path(), "bad", "no network\n");
    let gone = folder.path().join("gone").to_str().unwrap().to_owned();
    let pairs = [
        ("DATA_CENTERS_FILE", bad.as_str()),
        ("ADS_TXT_FILE", gone.as_str()),
        ("GEOIP_FILE", bad.as_str()),
        ("CRAWLERS_FILE", bad.as_str()),
        ("LISTS_RELOAD_SECONDS", "0"),
    ];
    let mut settings = Settings::from_pairs(pairs);
    let _ = Config::read(&mut settings);
    let mistakes = settings.finish().unwrap_err();
    let mut names: Vec<&str> = mistakes.iter().map(|mistake| mistake.name.as_str()).collect();
    names.sort_unstable();
    // `no network` is a good enough text to look for in user agents.
    assert_eq!(
        names,
        [
            "ADS_TXT_FILE",
            "DATA_CENTERS_FILE",
            "GEOIP_FILE",
            "LISTS_RELOAD_SECONDS"
        ]
    );
    let told = mistakes.to_string();
    assert!(told.contains("line 1: expected a network"), "{told}");
}

#[tokio::test]
async fn sellers_whom_a_publisher_does_not_name_are_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let sites = put(folder.path(), "ads", "news.example, ssp.example, 1, DIRECT\n");
    let stage = stage(
        vec![("ADS_TXT_FILE", sites)],
        vec![campaign("c1", [banner(300, 250)])],
    )
    .await;
    let sold_by = |account: &str, complete: i64| {
        let mut asked = banner_request();
        let node = json!({"asi": "ssp.example", "sid": account, "hp": 1});
        asked["source"] = json!({"ext": {"schain": {"ver": "1.0", "complete": complete, "nodes": [node]}}});
        asked
    };
    nbr_until(&stage, &sold_by("1", 1), None).await;
    nbr_until(&stage, &sold_by("2", 1), Some(12)).await;
    nbr_until(&stage, &sold_by("1", 0), Some(16)).await;
}

/// The country decides who bids, and is what the bid is reported under.
#[tokio::test]
async fn a_device_is_placed_by_its_address_when_the_request_does_not_say_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let in_country = |code: &str| map([("country", map([("iso_code", code.into())]))]);
    let places = |code: &str| Database::of([("192.0.2.0/24", in_country(code))]);
    let file = put(folder.path(), "places.mmdb", places("DE"));
    let mut german = campaign("c1", [banner(300, 250)]);
    german["campaign"]["targeting"] = json!({"geo": {"allow": [{"country": "DEU"}]}});
    let stage = stage(vec![("GEOIP_FILE", file)], vec![german]).await;
    let at = |device: Value| from(device);
    nbr_until(&stage, &at(json!({"ip": "192.0.2.7"})), None).await;
    nbr_until(&stage, &at(json!({"ip": "192.0.3.7"})), Some(0)).await;
    nbr_until(
        &stage,
        &at(json!({"ip": "192.0.2.7", "geo": {"country": "POL"}})),
        Some(0),
    )
    .await;
    put(folder.path(), "places.mmdb", places("FR"));
    nbr_until(&stage, &at(json!({"ip": "192.0.2.7"})), Some(0)).await;
    assert_eq!(
        stage
            .bid(&at(json!({"ip": "192.0.2.7", "geo": {"country": "DEU"}})))
            .await
            .status,
        StatusCode::OK
    );
}
