use crate::app::{TestApp, banner};
use axum::http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn creatives_belong_to_their_campaign() {
    let app = TestApp::start().await;
    let (one, two) = (app.campaign().await, app.campaign().await);
    let created = app
        .admin()
        .post(&format!("/campaigns/{one}/creatives"), banner())
        .await;
    let created = created.expect(StatusCode::CREATED);
    let id = created.body["id"].as_str().unwrap();
    assert_eq!(created.header("location"), format!("/creatives/{id}"));
    assert_eq!(
        (&created.body["campaign_id"], &created.body["version"]),
        (&json!(one), &json!(1))
    );
    assert_eq!(
        app.admin()
            .get(&format!("/campaigns/{one}/creatives"))
            .await
            .items(),
        std::slice::from_ref(&created.body)
    );
    assert!(
        app.admin()
            .get(&format!("/campaigns/{two}/creatives"))
            .await
            .items()
            .is_empty()
    );
    app.admin()
        .post("/campaigns/cmp_none/creatives", banner())
        .await
        .expect(StatusCode::NOT_FOUND);
    app.admin()
        .post(&format!("/campaigns/{two}/archive"), json!(null))
        .await
        .ok();
    let late = app
        .admin()
        .post(&format!("/campaigns/{two}/creatives"), banner())
        .await;
    late.expect(StatusCode::CONFLICT);
}

#[tokio::test]
async fn new_content_is_a_new_version_and_new_words_about_it_are_not() {
    let app = TestApp::start().await;
    let campaign = app.campaign().await;
    let id = app
        .admin()
        .post(&format!("/campaigns/{campaign}/creatives"), banner())
        .await
        .created();
    let path = format!("/creatives/{id}");
    let patched = app
        .admin()
        .patch(&path, json!({"name": "n", "weight": 9, "status": "paused"}))
        .await
        .ok();
    assert_eq!(patched["version"], 1);
    let patched = app.admin().patch(&path, json!({"markup": "<b>new</b>"})).await;
    assert_eq!(
        (&patched.body["version"], patched.header("etag")),
        (&json!(2), "\"v3\"")
    );
    let patched = app
        .admin()
        .patch(&path, json!({"impression_trackers": ["https://t.example/i"]}))
        .await
        .ok();
    assert_eq!(patched["version"], 3);
}

#[tokio::test]
async fn reviews_are_an_administrators_and_end_with_the_content() {
    let app = TestApp::start().await;
    let campaign = app.campaign().await;
    let shown = app.admin().get(&format!("/campaigns/{campaign}")).await.ok();
    let editor = app.key("editor", shown["advertiser_id"].as_str().unwrap()).await;
    let id = app
        .with_key(&editor)
        .post(&format!("/campaigns/{campaign}/creatives"), banner())
        .await
        .created();
    let path = format!("/creatives/{id}");
    let review = json!({"reviews": [{"exchange": "default", "status": "approved"}]});
    let refused = app.with_key(&editor).patch(&path, review.clone()).await;
    assert_eq!(refused.mistakes(), ["/reviews read_only"]);
    let reviewed = app.admin().patch(&path, review.clone()).await.ok();
    assert_eq!(
        (&reviewed["reviews"], &reviewed["version"]),
        (&review["reviews"], &json!(1))
    );
    let wrong = json!({"reviews": [{"exchange": "default", "status": "fine"}], "weight": 0});
    let wrong = app.admin().patch(&path, wrong).await;
    assert_eq!(
        wrong.mistakes(),
        ["/weight too_small", "/reviews/0/status unknown_value"]
    );
    let changed = app
        .with_key(&editor)
        .patch(&path, json!({"markup": "<i>other</i>"}))
        .await
        .ok();
    assert_eq!(
        changed["reviews"],
        json!([{"exchange": "default", "status": "pending"}])
    );
}
