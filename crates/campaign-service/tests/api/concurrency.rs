use crate::app::{TestApp, campaign_of};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn a_change_with_a_stale_if_match_is_refused_and_changes_nothing() {
    let app = TestApp::start().await;
    let path = format!("/campaigns/{}", app.campaign().await);
    let first = app.admin().get(&path).await.expect(StatusCode::OK);
    assert_eq!(first.header("etag"), "\"v1\"");
    let second = app
        .admin()
        .header("if-match", "\"v1\"")
        .patch(&path, json!({"name": "second"}))
        .await;
    assert_eq!(second.header("etag"), "\"v2\"");
    let stale = app
        .admin()
        .header("if-match", "\"v1\"")
        .patch(&path, json!({"name": "third"}))
        .await;
    stale.expect(StatusCode::PRECONDITION_FAILED);
    assert_eq!(app.admin().get(&path).await.ok()["name"], "second");
    app.admin()
        .header("if-match", "\"v1\", \"v2\"")
        .patch(&path, json!({"name": "fourth"}))
        .await
        .ok();
    app.admin()
        .header("if-match", "*")
        .patch(&path, json!({"name": "fifth"}))
        .await
        .ok();
    let weak = app
        .admin()
        .header("if-match", "W/\"v4\"")
        .patch(&path, json!({"name": "sixth"}))
        .await;
    weak.expect(StatusCode::BAD_REQUEST);
    let archive = app
        .admin()
        .header("if-match", "\"v2\"")
        .post(&format!("{path}/archive"), json!(null))
        .await;
    archive.expect(StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn what_a_client_knows_already_is_304() {
    let app = TestApp::start().await;
    let path = format!("/campaigns/{}", app.campaign().await);
    let known = app.admin().header("if-none-match", "W/\"v1\"").get(&path).await;
    assert_eq!(
        (known.status, known.text.as_str()),
        (StatusCode::NOT_MODIFIED, "")
    );
    assert_eq!(known.header("etag"), "\"v1\"");
    app.admin()
        .header("if-none-match", "\"v9\"")
        .get(&path)
        .await
        .expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_without_if_match_do_not_lose_each_other() {
    let app = TestApp::start().await;
    let path = format!("/campaigns/{}", app.campaign().await);
    let patches = [
        json!({"name": "renamed"}),
        json!({"pacing": "asap"}),
        json!({"fee_ppm": 7}),
        json!({"budget": {"daily_micros": 60_000_000}}),
    ];
    let sent = patches.into_iter().map(|patch| app.admin().patch(&path, patch));
    for reply in futures_util::future::join_all(sent).await {
        reply.ok();
    }
    let found = app.admin().get(&path).await.expect(StatusCode::OK);
    assert_eq!(found.header("etag"), "\"v5\"");
    assert_eq!(
        (&found.body["name"], &found.body["pacing"]),
        (&json!("renamed"), &json!("asap"))
    );
    assert_eq!(
        (&found.body["fee_ppm"], &found.body["budget"]["daily_micros"]),
        (&json!(7), &json!(60_000_000))
    );
}

#[tokio::test]
async fn a_patch_that_changes_nothing_keeps_the_version() {
    let app = TestApp::start().await;
    let path = format!("/campaigns/{}", app.campaign().await);
    let reply = app.admin().patch(&path, json!({"name": "Autumn"})).await;
    assert_eq!(reply.header("etag"), "\"v1\"");
}

#[tokio::test]
async fn archiving_is_for_good_and_may_be_repeated_and_nothing_is_deleted() {
    let app = TestApp::start().await;
    let path = format!("/campaigns/{}", app.campaign().await);
    let deleted = app.admin().send(Method::DELETE, &path, Body::empty()).await;
    assert_eq!(
        deleted.expect(StatusCode::METHOD_NOT_ALLOWED).header("allow"),
        "GET,HEAD,PATCH"
    );
    let archived = app.admin().post(&format!("{path}/archive"), json!(null)).await;
    assert_eq!(archived.header("etag"), "\"v2\"");
    assert_eq!(archived.ok()["status"], "archived");
    let again = app.admin().patch(&path, json!({"status": "archived"})).await;
    assert_eq!(again.header("etag"), "\"v2\"");
    app.admin()
        .patch(&path, json!({"status": "active"}))
        .await
        .expect(StatusCode::CONFLICT);
    assert_eq!(app.admin().get(&path).await.ok()["status"], "archived");
}

#[tokio::test]
async fn history_says_who_changed_what_and_when() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let editor = app.key("editor", &advertiser).await;
    let id = app
        .with_key(&editor)
        .post("/campaigns", campaign_of(&advertiser))
        .await
        .created();
    app.clock.advance(60_000);
    app.admin()
        .patch(
            &format!("/campaigns/{id}"),
            json!({"bid": {"max_cpm_micros": 3_000_000}}),
        )
        .await
        .ok();
    let history = app
        .with_key(&editor)
        .get(&format!("/campaigns/{id}/history?page_size=1"))
        .await;
    let latest = history.items().remove(0);
    assert_eq!(
        (&latest["version"], &latest["actor"]),
        (&json!(2), &json!("admin"))
    );
    assert_eq!(latest["at"], "2026-11-23T12:01:00Z");
    let change = json!({"pointer": "/bid/max_cpm_micros", "from": 2_000_000, "to": 3_000_000});
    assert_eq!(latest["changes"], json!([change]));
    let token = history.body["next_page_token"].as_str().unwrap();
    let first = app
        .with_key(&editor)
        .get(&format!("/campaigns/{id}/history?page_token={token}"))
        .await;
    assert_eq!(first.items().len(), 1);
    assert!(first.items()[0]["actor"].as_str().unwrap().starts_with("key_"));
    assert!(first.body["next_page_token"].is_null());
}

#[tokio::test]
async fn an_external_id_is_used_once_in_an_advertiser() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let mut body = campaign_of(&advertiser);
    body["external_id"] = json!("A-1");
    app.admin().post("/campaigns", body.clone()).await.created();
    app.admin()
        .post("/campaigns", body)
        .await
        .expect(StatusCode::CONFLICT);
    let other = app
        .admin()
        .post("/campaigns", campaign_of(&advertiser))
        .await
        .created();
    let taken = app
        .admin()
        .patch(&format!("/campaigns/{other}"), json!({"external_id": "A-1"}))
        .await;
    taken.expect(StatusCode::CONFLICT);
    let found = app.admin().get("/campaigns?external_id=A-1").await;
    assert_eq!(found.items().len(), 1);
}
