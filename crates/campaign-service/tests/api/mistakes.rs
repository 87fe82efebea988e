use crate::app::{TestApp, banner, campaign_of};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn every_mistake_of_a_campaign_is_told_at_once_with_its_pointer() {
    let app = TestApp::start().await;
    let body = json!({
        "id": "cmp_mine",
        "advertiser_id": "adv_nobody",
        "name": "",
        "status": "live",
        "flight": {"start": "2026-12-01T00:00:00Z", "end": "2026-11-01T00:00:00Z", "time_zone": "Mars/Olympus"},
        "budget": {"currency": "usd", "daily_micros": 10, "total_micros": 5},
        "pacing": 7,
        "bid": {"strategy": "max_cpm", "max_cpm_micros": 0, "a/b": 1},
        "targeting": {
            "geo": {"allow": [{"country": "us"}, {}]},
            "devices": {"allow": ["phone", "toaster"]},
            "sizes": {"block": ["300 x 250"]},
            "day_parts": [{"days": ["monday", "monday"], "start_minute": 600, "end_minute": 600}],
        },
        "frequency_caps": [{"impressions": 0, "window": "year"}],
        "fee_ppm": 1.5,
        "colour": "red",
    });
    let reply = app
        .admin()
        .post("/campaigns", body)
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert!(reply.body["request_id"].is_string());
    assert_eq!(
        reply.mistakes(),
        [
            "/advertiser_id not_found",
            "/name too_short",
            "/status unknown_value",
            "/flight/time_zone invalid_value",
            "/flight/end too_small",
            "/budget/currency invalid_value",
            "/budget/total_micros too_small",
            "/pacing invalid_type",
            "/bid/max_cpm_micros too_small",
            "/bid/a~1b unknown_field",
            "/targeting/geo/allow/0/country invalid_value",
            "/targeting/geo/allow/1 required",
            "/targeting/devices/allow/1 unknown_value",
            "/targeting/sizes/block/0 invalid_value",
            "/targeting/day_parts/0/days/1 duplicate",
            "/targeting/day_parts/0/end_minute too_small",
            "/frequency_caps/0/impressions too_small",
            "/frequency_caps/0/window unknown_value",
            "/fee_ppm invalid_type",
            "/colour unknown_field",
            "/id read_only",
        ]
    );
}

#[tokio::test]
async fn an_empty_campaign_lacks_all_that_is_required() {
    let app = TestApp::start().await;
    let reply = app
        .admin()
        .post("/campaigns", json!({}))
        .await
        .expect(StatusCode::BAD_REQUEST);
    let expected =
        ["/advertiser_id", "/name", "/flight", "/budget", "/bid"].map(|at| format!("{at} required"));
    assert_eq!(reply.mistakes(), expected);
    let reply = app
        .admin()
        .post("/campaigns", json!([1]))
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(reply.mistakes(), [" invalid_type"]);
}

#[tokio::test]
async fn what_belongs_in_a_creative_depends_on_its_format() {
    let app = TestApp::start().await;
    let path = format!("/campaigns/{}/creatives", app.campaign().await);
    let video = json!({
        "name": "Spot", "format": "video", "markup": "<VAST/>", "vast_url": "ftp://x", "width": 640,
        "click_url": "shop.example", "adomain": [], "assets": [], "weight": 0,
    });
    let reply = app
        .admin()
        .post(&path, video)
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(
        reply.mistakes(),
        [
            "/vast_url invalid_value",
            "/vast_url not_allowed",
            "/duration_ms required",
            "/assets not_allowed",
            "/height required",
            "/click_url invalid_value",
            "/adomain too_short",
            "/weight too_small",
        ]
    );
    let native = json!({
        "name": "Card", "format": "native", "click_url": "https://shop.example", "adomain": ["shop.example"],
        "assets": [{"kind": "data", "data_type": 1, "value": "Acme"}, {"kind": "data", "data_type": 1, "value": "B"}],
    });
    let reply = app
        .admin()
        .post(&path, native)
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(
        reply.mistakes(),
        ["/assets/1 duplicate", "/assets required", "/assets required"]
    );
}

#[tokio::test]
async fn every_mistake_of_an_exchange_is_told_at_once() {
    let app = TestApp::start().await;
    let body = json!({
        "id": "Not/An/Id", "win_notice_delay_ms": 60_001, "billing_window_ms": {"web": 0},
        "allowed_networks": ["10.0.0.0/33"], "secret_header": {"name": "X-Key", "sha256": "abc"},
        "secret_path_sha256": "ABC", "usd_rates_e9": {"EUR": 0, "euro": 1}, "price_form": {"kind": "encrypted"},
    });
    let reply = app
        .admin()
        .post("/exchanges", body)
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(
        reply.mistakes(),
        [
            "/id invalid_value",
            "/name required",
            "/price_form/key_name required",
            "/win_notice_delay_ms too_large",
            "/billing_window_ms/web too_small",
            "/allowed_networks/0 invalid_value",
            "/secret_header/name invalid_value",
            "/secret_header/sha256 invalid_value",
            "/secret_path_sha256 invalid_value",
            "/usd_rates_e9/EUR too_small",
            "/usd_rates_e9/euro invalid_value",
        ]
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_is_400_and_one_of_another_type_415() {
    let app = TestApp::start().await;
    let broken = app
        .admin()
        .send(Method::POST, "/advertisers", Body::from("{\"name\": "))
        .await;
    broken.expect(StatusCode::BAD_REQUEST);
    let deep = "[".repeat(100_000);
    app.admin()
        .send(Method::POST, "/advertisers", Body::from(deep))
        .await
        .expect(StatusCode::BAD_REQUEST);
    let client = app.admin().header("content-type", "text/plain");
    client
        .post("/advertisers", json!({"name": "n"}))
        .await
        .expect(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let long = Body::from(format!("{{\"name\": \"{}\"}}", "n".repeat(2 << 20)));
    app.admin()
        .send(Method::POST, "/advertisers", long)
        .await
        .expect(StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_must_not_change_is_told_as_immutable() {
    let app = TestApp::start().await;
    let campaign = app.campaign().await;
    let patch = json!({"id": "x", "advertiser_id": "adv_2", "budget": {"currency": "EUR"}});
    let reply = app.admin().patch(&format!("/campaigns/{campaign}"), patch).await;
    let reply = reply.expect(StatusCode::BAD_REQUEST);
    assert_eq!(
        reply.mistakes(),
        [
            "/advertiser_id immutable",
            "/budget/currency immutable",
            "/id read_only"
        ]
    );

    let creative = app
        .admin()
        .post(&format!("/campaigns/{campaign}/creatives"), banner())
        .await
        .created();
    let reply = app
        .admin()
        .patch(&format!("/creatives/{creative}"), json!({"format": "audio"}))
        .await;
    assert!(
        reply.mistakes().contains(&"/format immutable".to_owned()),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn a_merge_patch_sets_replaces_and_removes() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let created = app
        .admin()
        .post("/campaigns", campaign_of(&advertiser))
        .await
        .expect(StatusCode::CREATED);
    let path = format!("/campaigns/{}", created.body["id"].as_str().unwrap());
    let client = app.admin().header("content-type", "application/merge-patch+json");
    let patch = json!({"name": "Winter", "flight": {"end": null}, "targeting": null, "budget": {"total_micros": null}});
    let patched = client.patch(&path, patch).await.ok();
    assert_eq!(patched["name"], "Winter");
    assert!(patched["flight"].get("end").is_none());
    assert_eq!(patched["flight"]["start"], created.body["flight"]["start"]);
    assert_eq!(
        patched["budget"],
        json!({"currency": "USD", "daily_micros": 50_000_000})
    );
    assert!(patched["targeting"].get("geo").is_none());
    // Removing what must be there is a mistake, and nothing changes.
    let reply = app
        .admin()
        .patch(&path, json!({"budget": {"daily_micros": null}}))
        .await;
    assert_eq!(reply.mistakes(), ["/budget required"]);
    assert_eq!(app.admin().get(&path).await.ok()["budget"], patched["budget"]);
}
