use crate::app::{TestApp, memory_ports};
use axum::http::StatusCode;
use platform::Clock;
use serde_json::{Value, json};
use storage::campaign_store::{Kind, ListQuery};

async fn editor(app: &TestApp) -> (String, String) {
    let advertiser = app.advertiser().await;
    let body = json!({"name": "site", "role": "editor", "advertiser_id": advertiser});
    let reply = app.admin().post("/keys", body).await.expect(StatusCode::CREATED);
    let text = |name: &str| reply.body[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

#[tokio::test]
async fn a_key_is_shown_once_and_stored_hashed() {
    let app = TestApp::start().await;
    let (id, key) = editor(&app).await;
    let secret = key.rsplit_once('_').unwrap().1;
    assert_eq!(key, format!("adp_{id}_{secret}"));
    for path in [format!("/keys/{id}"), "/keys".to_owned()] {
        let shown = app.admin().get(&path).await.expect(StatusCode::OK).text;
        assert!(!shown.contains(secret) && !shown.contains("sha256"), "{shown}");
    }
    let stored = app.ports.campaigns.get(Kind::Key, &id).await.unwrap().unwrap();
    assert!(!stored.body.to_string().contains(secret));
}

#[tokio::test]
async fn a_repeated_creation_does_not_show_the_key_again() {
    let app = TestApp::start().await;
    let post = || {
        let body = json!({"name": "root", "role": "admin"});
        app.admin().header("idempotency-key", "k").post("/keys", body)
    };
    let (first, repeat) = (post().await, post().await);
    assert_eq!(first.body["id"], repeat.body["id"]);
    assert!(first.body["key"].is_string());
    assert_eq!(repeat.expect(StatusCode::CREATED).body.get("key"), None);
}

#[tokio::test]
async fn rotation_ends_the_old_secret_at_once_and_revocation_every_one() {
    let app = TestApp::start().await;
    let (id, old) = editor(&app).await;
    app.with_key(&old).get("/campaigns").await.ok();
    let rotated = app
        .admin()
        .post(&format!("/keys/{id}/rotate"), Value::Null)
        .await
        .ok();
    let new = rotated["key"].as_str().unwrap();
    app.with_key(&old)
        .get("/campaigns")
        .await
        .expect(StatusCode::UNAUTHORIZED);
    app.with_key(new).get("/campaigns").await.ok();
    app.admin()
        .post(&format!("/keys/{id}/archive"), Value::Null)
        .await
        .ok();
    app.with_key(new)
        .get("/campaigns")
        .await
        .expect(StatusCode::UNAUTHORIZED);
    app.admin()
        .post(&format!("/keys/{id}/rotate"), Value::Null)
        .await
        .expect(StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_key_revoked_elsewhere_ends_within_five_seconds() {
    let clock = Clock::manual(crate::app::NOON_MS);
    let ports = memory_ports(&clock).await;
    let (here, there) = (
        TestApp::over(ports.clone(), clock.clone(), &[]),
        TestApp::over(ports, clock.clone(), &[]),
    );
    let (id, key) = editor(&here).await;
    here.with_key(&key).get("/campaigns").await.ok();
    there
        .admin()
        .post(&format!("/keys/{id}/archive"), Value::Null)
        .await
        .ok();
    clock.advance(5_000);
    here.with_key(&key)
        .get("/campaigns")
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_administrators_stored_key_does_what_the_first_one_does() {
    let app = TestApp::start().await;
    let reply = app
        .admin()
        .post("/keys", json!({"name": "root", "role": "admin"}))
        .await;
    let key = reply.expect(StatusCode::CREATED).body["key"]
        .as_str()
        .unwrap()
        .to_owned();
    app.with_key(&key).get("/exchanges").await.ok();
    let keys = app
        .ports
        .campaigns
        .list(
            Kind::Key,
            &ListQuery {
                limit: 9,
                ..ListQuery::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(keys.len(), 1);
}

#[tokio::test]
async fn a_key_needs_a_role_and_the_advertiser_that_goes_with_it() {
    let app = TestApp::start().await;
    let mistakes = async |body: Value| app.admin().post("/keys", body).await.mistakes();
    assert_eq!(
        mistakes(json!({"role": "owner"})).await,
        ["/name required", "/role unknown_value"]
    );
    assert_eq!(
        mistakes(json!({"name": "n", "role": "viewer"})).await,
        ["/advertiser_id required"]
    );
    let ghost = json!({"name": "n", "role": "viewer", "advertiser_id": "adv_none"});
    assert_eq!(mistakes(ghost).await, ["/advertiser_id not_found"]);
    let advertiser = app.advertiser().await;
    let both = json!({"name": "n", "role": "admin", "advertiser_id": advertiser});
    assert_eq!(mistakes(both).await, ["/advertiser_id not_allowed"]);
}
