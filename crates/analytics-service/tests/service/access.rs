//! Who may see what.

use crate::app::{ADMIN_KEY, App};
use crate::events::bid;
use axum::http::StatusCode;
use domain::api_key::{KeyRole, KeyStatus};
use domain::event::EventKind;
use serde_json::json;
use storage::event_log::Topic;

const CLICKS: &str = "/analytics/report?dimensions=advertiser&metrics=clicks";

async fn two_tenants() -> App {
    let app = App::start().await;
    let click = |id, advertiser, campaign| {
        bid(id, advertiser, campaign, "2026-11-23T10:00:00Z").event(EventKind::Click)
    };
    app.append(
        Topic::Clicks,
        &[click(1, "adv_1", "cmp_1"), click(2, "adv_2", "cmp_2")],
    )
    .await;
    app.caught_up().await;
    app
}

#[tokio::test]
async fn a_tenant_sees_its_own_figures_alone() {
    let app = two_tenants().await;
    let own = json!([{"advertiser": "adv_1", "clicks": 1}]);
    for (id, role) in [("key_v", KeyRole::Viewer), ("key_e", KeyRole::Editor)] {
        let key = app.key(id, role, Some("adv_1"), KeyStatus::Active).await;
        let report = app.get(CLICKS, &key).await.json();
        assert_eq!(
            (&report["rows"], &report["totals"]),
            (&own, &json!({"clicks": 1}))
        );
    }
    let everything = app.get(CLICKS, ADMIN_KEY).await.json();
    assert_eq!(everything["totals"]["clicks"], 2);
    let stored_admin = app.key("key_a", KeyRole::Admin, None, KeyStatus::Active).await;
    assert_eq!(app.get(CLICKS, &stored_admin).await.json(), everything);
}

#[tokio::test]
async fn asking_for_another_tenant_finds_nothing() {
    let app = two_tenants().await;
    let key = app
        .key("key_v", KeyRole::Viewer, Some("adv_1"), KeyStatus::Active)
        .await;
    for filter in [
        "advertiser:adv_2",
        "campaign:cmp_2",
        "advertiser:adv_1,advertiser:adv_2",
    ] {
        let answer = app.get(&format!("{CLICKS}&filter={filter}"), &key).await;
        assert_eq!(answer.status, StatusCode::OK);
        let report = answer.json();
        assert_eq!(
            (&report["rows"], &report["totals"]["clicks"]),
            (&json!([]), &json!(0)),
            "{filter}"
        );
    }
}

#[tokio::test]
async fn without_a_good_key_there_is_nothing_to_see() {
    let app = two_tenants().await;
    let good = app
        .key("key_v", KeyRole::Viewer, Some("adv_1"), KeyStatus::Active)
        .await;
    let revoked = app
        .key("key_r", KeyRole::Viewer, Some("adv_1"), KeyStatus::Archived)
        .await;
    let wrong_secret = good.replace("s3cret", "guess");
    for key in [
        "",
        "an administrator's ke",
        "adp_key_x_s3cret",
        &revoked,
        &wrong_secret,
    ] {
        let answer = app.get(CLICKS, key).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{key}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    // A key that names nobody must not become everybody's.
    let nobody = app.key("key_n", KeyRole::Viewer, None, KeyStatus::Active).await;
    assert_eq!(
        app.get(CLICKS, &nobody).await.status,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn unknown_paths_are_problems_too() {
    let app = App::start().await;
    let answer = app.get("/analytics/nothing", ADMIN_KEY).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
}
