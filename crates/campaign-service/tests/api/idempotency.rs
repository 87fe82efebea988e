use crate::app::{TestApp, campaign_of};
use axum::http::StatusCode;
use serde_json::json;

const DAY_MS: i64 = 86_400_000;

#[tokio::test]
async fn a_repeat_gets_the_first_answer_for_a_day() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let send = || {
        app.admin()
            .header("idempotency-key", "k1")
            .post("/campaigns", campaign_of(&advertiser))
    };
    let first = send().await.expect(StatusCode::CREATED);
    let id = first.body["id"].as_str().unwrap().to_owned();
    app.admin()
        .patch(&format!("/campaigns/{id}"), json!({"name": "changed"}))
        .await
        .ok();
    app.clock.advance(DAY_MS - 1);
    let repeat = send().await.expect(StatusCode::CREATED);
    assert_eq!(repeat.body, first.body);
    assert_eq!(
        (repeat.header("etag"), repeat.header("location")),
        (first.header("etag"), first.header("location"))
    );
    assert_eq!(repeat.header("idempotency-replayed"), "true");
    app.clock.advance(2);
    assert_ne!(
        send().await.expect(StatusCode::CREATED).body["id"],
        first.body["id"]
    );
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let app = TestApp::start().await;
    let post = |name: &str| {
        app.admin()
            .header("idempotency-key", "k1")
            .post("/advertisers", json!({"name": name}))
    };
    post("one").await.created();
    let reply = post("two").await.expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.mistakes(), ["Idempotency-Key reused"]);
    assert_eq!(app.admin().get("/advertisers").await.names(), ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_one_key_at_the_same_time_create_one_object() {
    let app = TestApp::start().await;
    // The id is the client's: the losers meet a conflict as well as the first answer.
    let body = json!({"id": "partner", "name": "Partner"});
    let sent = (0..16).map(|_| {
        app.admin()
            .header("idempotency-key", "k")
            .post("/exchanges", body.clone())
    });
    let replies = futures_util::future::join_all(sent).await;
    for reply in &replies {
        assert_eq!(
            (reply.status, &reply.body),
            (StatusCode::CREATED, &replies[0].body),
            "{}",
            reply.text
        );
    }
    assert_eq!(app.admin().get("/exchanges?name=Partner").await.items().len(), 1);
}

#[tokio::test]
async fn callers_cannot_meet_in_one_key() {
    let app = TestApp::start().await;
    let (one, two) = (app.advertiser().await, app.advertiser().await);
    let (key_one, key_two) = (app.key("editor", &one).await, app.key("editor", &two).await);
    let mut body = campaign_of(&one);
    body.as_object_mut().unwrap().remove("advertiser_id");
    let post = |key: &str| {
        app.with_key(key)
            .header("idempotency-key", "same")
            .post("/campaigns", body.clone())
    };
    let (first, second) = (post(&key_one).await, post(&key_two).await);
    assert_ne!(first.clone().created(), second.clone().created());
    assert_eq!(second.body["advertiser_id"], json!(two));
}

#[tokio::test]
async fn a_key_must_be_short_and_visible() {
    let app = TestApp::start().await;
    for key in ["", "k\u{e9}y", &"k".repeat(256)] {
        let reply = app
            .admin()
            .header("idempotency-key", key)
            .post("/advertisers", json!({"name": "n"}))
            .await;
        reply.expect(StatusCode::BAD_REQUEST);
    }
}
