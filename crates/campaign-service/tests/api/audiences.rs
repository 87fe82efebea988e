use crate::app::{Reply, TestApp, campaign_of, within};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use storage::campaign_store::Kind;

const DAY_MS: i64 = 24 * 3_600_000;

async fn audience(app: &TestApp, advertiser: &str) -> String {
    let body = json!({"advertiser_id": advertiser, "name": "Buyers", "membership_days": 10});
    app.admin().post("/audiences", body).await.created()
}

async fn audiences_of(app: &TestApp, user_key: &str) -> Vec<String> {
    let state = app.ports.users.read(user_key, app.clock.unix_ms()).await;
    state.unwrap().audiences
}

fn campaign_to(advertiser: &str, audiences: Value) -> Value {
    let mut campaign = campaign_of(advertiser);
    campaign["targeting"]["audiences"] = audiences;
    campaign
}

impl TestApp {
    async fn upload_lines(&self, key: &str, id: &str, lines: &str) -> Reply {
        let client = self.with_key(key).header("content-type", "application/x-ndjson");
        let path = format!("/audiences/{id}/members");
        client
            .send(Method::POST, &path, Body::from(lines.to_owned()))
            .await
    }
}

#[tokio::test]
async fn an_audience_is_a_resource_like_the_others() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let editor = app.key("editor", &advertiser).await;
    let created = app
        .with_key(&editor)
        .header("idempotency-key", "one")
        .post("/audiences", json!({"name": "Buyers", "external_id": "b-1"}))
        .await;
    let created = created.expect(StatusCode::CREATED);
    let id = created.body["id"].as_str().unwrap();
    assert!(id.starts_with("aud_"), "{id}");
    assert_eq!(created.body["advertiser_id"], json!(advertiser));
    assert_eq!(
        (&created.body["membership_days"], &created.body["uploads"]),
        (&json!(30), &json!({"added": 0, "removed": 0}))
    );
    let again = app
        .with_key(&editor)
        .header("idempotency-key", "one")
        .post("/audiences", json!({"name": "Buyers", "external_id": "b-1"}))
        .await;
    assert_eq!(again.created(), id);
    let path = format!("/audiences/{id}");
    let stale = app.with_key(&editor).header("if-match", "\"v7\"");
    stale
        .patch(&path, json!({"name": "Others"}))
        .await
        .expect(StatusCode::PRECONDITION_FAILED);
    let patched = app
        .with_key(&editor)
        .patch(&path, json!({"membership_days": 60}))
        .await;
    assert_eq!(patched.header("etag"), "\"v2\"");
    assert_eq!(
        app.with_key(&editor).get("/audiences?name=buy").await.names(),
        ["Buyers"]
    );
    app.with_key(&editor)
        .post(&format!("{path}/archive"), Value::Null)
        .await
        .ok();
    let history = app
        .ports
        .campaigns
        .history(Kind::Audience, id, None, 10)
        .await
        .unwrap();
    assert_eq!(history.len(), 3);
    assert!(
        app.with_key(&editor)
            .get("/audiences?status=active")
            .await
            .items()
            .is_empty()
    );
}

#[tokio::test]
async fn every_mistake_of_an_audience_is_told() {
    let app = TestApp::start().await;
    let body =
        json!({"advertiser_id": "adv_none", "membership_days": 0, "status": "paused", "uploads": {}, "x": 1});
    let reply = app
        .admin()
        .post("/audiences", body)
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(
        reply.mistakes(),
        [
            "/advertiser_id not_found",
            "/name required",
            "/status unknown_value",
            "/membership_days too_small",
            "/uploads read_only",
            "/x unknown_field",
        ]
    );
}

#[tokio::test]
async fn anothers_audience_looks_like_none_and_viewers_upload_nothing() {
    let app = TestApp::start().await;
    let (own, stranger) = (app.advertiser().await, app.advertiser().await);
    let id = audience(&app, &own).await;
    let (viewer, editor) = (app.key("viewer", &own).await, app.key("editor", &stranger).await);
    let members = json!({"add": [{"id_type": "ifa", "id": "a"}]});
    let path = format!("/audiences/{id}/members");
    for (key, status) in [(&viewer, StatusCode::FORBIDDEN), (&editor, StatusCode::NOT_FOUND)] {
        app.with_key(key)
            .post(&path, members.clone())
            .await
            .expect(status);
    }
    app.with_key(&editor)
        .get(&format!("/audiences/{id}"))
        .await
        .expect(StatusCode::NOT_FOUND);
    assert!(app.with_key(&editor).get("/audiences").await.items().is_empty());
    assert!(audiences_of(&app, "ifa:a").await.is_empty());
}

#[tokio::test]
async fn members_join_leave_and_end() {
    let app = TestApp::start().await;
    let id = audience(&app, &app.advertiser().await).await;
    let path = format!("/audiences/{id}/members");
    let body = json!({
        "add": [{"id_type": "ifa", "id": "AB-1"}, {"id_type": "eid", "source": "Id.Example", "id": "Ab"}],
        "remove": [{"id_type": "user_id", "exchange": "default", "id": "u"}],
    });
    let reply = app.admin().post(&path, body).await.ok();
    assert_eq!(
        reply,
        json!({"added": 2, "removed": 1, "refused": 0, "errors": []})
    );
    assert_eq!(audiences_of(&app, "ifa:ab-1").await, std::slice::from_ref(&id));
    assert_eq!(
        audiences_of(&app, "eid:id.example:Ab").await,
        std::slice::from_ref(&id)
    );
    let leaves = json!({"remove": [{"id_type": "ifa", "id": "ab-1"}]});
    app.admin().post(&path, leaves).await.ok();
    assert!(audiences_of(&app, "ifa:ab-1").await.is_empty());
    let shown = app.admin().get(&format!("/audiences/{id}")).await;
    assert_eq!(
        shown.body["uploads"],
        json!({"added": 2, "removed": 2, "last_at": "2026-11-23T12:00:00Z"})
    );
    assert_eq!(shown.header("etag"), "\"v3\"");
    app.clock.advance(10 * DAY_MS);
    assert!(audiences_of(&app, "eid:id.example:Ab").await.is_empty());
}

#[tokio::test]
async fn a_document_with_a_mistake_is_not_taken_at_all() {
    let app = TestApp::start().await;
    let id = audience(&app, &app.advertiser().await).await;
    let body = json!({
        "add": [{"id_type": "ifa", "id": "a"}, {"id_type": "ifa", "id": "000"}, {"id_type": "mail", "id": "x"}],
        "more": [],
    });
    let reply = app.admin().post(&format!("/audiences/{id}/members"), body).await;
    let reply = reply.expect(StatusCode::BAD_REQUEST);
    assert_eq!(
        reply.mistakes(),
        [
            "/add/1/id invalid_value",
            "/add/2/id_type unknown_value",
            "/more unknown_field"
        ]
    );
    assert!(audiences_of(&app, "ifa:a").await.is_empty());
    let text = app.admin().header("content-type", "text/csv");
    text.send(Method::POST, &format!("/audiences/{id}/members"), Body::from("a"))
        .await
        .expect(StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn lines_count_each_for_itself_and_the_last_of_a_user_wins() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let id = audience(&app, &advertiser).await;
    let editor = app.key("editor", &advertiser).await;
    let endless = format!("{{\"id_type\":\"ifa\",\"id\":\"{}\"}}", "x".repeat(3_000));
    let lines = [
        r#"{"id_type":"ifa","id":"a"}"#,
        "",
        r#"{"op":"remove","id_type":"ifa","id":"b"}"#,
        "{",
        r#"{"op":"swap","id_type":"ifa","id":"c"}"#,
        &endless,
        r#"{"id_type":"ifa","id":"b"}"#,
    ];
    let reply = app.upload_lines(&editor, &id, &lines.join("\r\n")).await.ok();
    assert_eq!(
        (&reply["added"], &reply["removed"], &reply["refused"]),
        (&json!(2), &json!(0), &json!(3))
    );
    let told: Vec<&str> = reply["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["/3", "/4/op", "/5"]);
    for user_key in ["ifa:a", "ifa:b"] {
        assert_eq!(audiences_of(&app, user_key).await, std::slice::from_ref(&id));
    }
}

#[tokio::test]
async fn a_long_upload_is_taken_whole() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let id = audience(&app, &advertiser).await;
    let editor = app.key("editor", &advertiser).await;
    let lines: Vec<String> = (0..5_000)
        .map(|number| json!({"id_type": "buyeruid", "id": format!("u{number}")}).to_string())
        .collect();
    let reply = app.upload_lines(&editor, &id, &lines.join("\n")).await.ok();
    assert_eq!(reply["added"], 5_000);
    for number in [0, 1_999, 2_000, 4_999] {
        let user_key = format!("buyeruid:u{number}");
        assert_eq!(audiences_of(&app, &user_key).await, std::slice::from_ref(&id));
    }
}

#[tokio::test]
async fn a_keyed_upload_is_answered_as_the_first_time_and_done_once() {
    let app = TestApp::start().await;
    let id = audience(&app, &app.advertiser().await).await;
    let path = format!("/audiences/{id}/members");
    let add = json!({"add": [{"id_type": "ifa", "id": "a"}]});
    let keyed = || app.admin().header("idempotency-key", "k");
    let first = keyed().post(&path, add.clone()).await.ok();
    let removal = json!({"remove": [{"id_type": "ifa", "id": "a"}]});
    app.admin().post(&path, removal.clone()).await.ok();
    let again = keyed().post(&path, add).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.ok(), first);
    assert!(audiences_of(&app, "ifa:a").await.is_empty());
    keyed()
        .post(&path, removal)
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_campaign_names_audiences_of_its_own_advertiser_alone() {
    let app = TestApp::start().await;
    let (own, stranger) = (app.advertiser().await, app.advertiser().await);
    let (mine, other) = (audience(&app, &own).await, audience(&app, &stranger).await);
    let lists = json!({"allow": [mine, other, "segment:p:1"], "block": ["aud_none"]});
    let refused = app.admin().post("/campaigns", campaign_to(&own, lists)).await;
    assert_eq!(
        refused.expect(StatusCode::BAD_REQUEST).mistakes(),
        [
            "/targeting/audiences/allow/1 not_found",
            "/targeting/audiences/block/0 not_found"
        ]
    );
    let campaign = app
        .admin()
        .post("/campaigns", campaign_to(&own, json!({"allow": [mine]})))
        .await
        .created();
    let path = format!("/campaigns/{campaign}");
    let more = json!({"targeting": {"audiences": {"block": [other]}}});
    let refused = app.admin().patch(&path, more.clone()).await;
    assert_eq!(refused.mistakes(), ["/targeting/audiences/block/0 not_found"]);
    let batch = json!({"operations": [{"op": "update", "id": campaign, "patch": more}]});
    let batch = app.admin().post("/campaigns:batch", batch).await.ok();
    assert_eq!(
        batch["results"][0]["problem"]["errors"][0]["pointer"],
        "/operations/0/patch/targeting/audiences/block/0"
    );
    app.admin()
        .post(&format!("/audiences/{mine}/archive"), Value::Null)
        .await
        .ok();
    // What it named before stays: it can still be paused.
    app.admin().patch(&path, json!({"status": "paused"})).await.ok();
    let refused = app
        .admin()
        .post("/campaigns", campaign_to(&own, json!({"allow": [mine]})))
        .await;
    assert_eq!(refused.mistakes(), ["/targeting/audiences/allow/0 not_found"]);
}

#[tokio::test]
async fn to_bidders_nobody_is_on_an_archived_audience() {
    let app = TestApp::start().await;
    let own = app.advertiser().await;
    let id = audience(&app, &own).await;
    let lists = json!({"allow": [id, "segment:p:1"]});
    let campaign = app
        .admin()
        .post("/campaigns", campaign_to(&own, lists))
        .await
        .created();
    let allowed = async || {
        let latest = crate::publishing::latest(&app, &campaign).await?;
        Some(json!(latest.campaign.spec.targeting.audiences.allow))
    };
    let comes = async |expected: Value| {
        within(Duration::from_secs(10), async || {
            allowed().await == Some(expected.clone())
        })
        .await;
    };
    comes(json!([id, "segment:p:1"])).await;
    app.admin()
        .post(&format!("/audiences/{id}/archive"), Value::Null)
        .await
        .ok();
    comes(json!([format!("{id}:out_of_use"), "segment:p:1"])).await;
    let late = json!({"add": [{"id_type": "ifa", "id": "a"}]});
    app.admin()
        .post(&format!("/audiences/{id}/members"), late)
        .await
        .expect(StatusCode::CONFLICT);
}

#[tokio::test]
async fn an_administrator_looks_a_user_up_and_erases_what_is_kept() {
    let app = TestApp::start().await;
    let own = app.advertiser().await;
    let id = audience(&app, &own).await;
    let members = json!({"add": [{"id_type": "user_id", "exchange": "default", "id": "u/1"}]});
    app.admin()
        .post(&format!("/audiences/{id}/members"), members)
        .await
        .ok();
    let path = "/users/user_id/u%2F1?exchange=default";
    let shown = app.admin().get(path).await.ok();
    assert_eq!(
        shown,
        json!({"id_type": "user_id", "id": "u/1", "audiences": [id], "counters": [], "is_linked": false})
    );
    let editor = app.key("editor", &own).await;
    for method in [Method::GET, Method::DELETE] {
        let reply = app.with_key(&editor).send(method, path, Body::empty()).await;
        reply.expect(StatusCode::FORBIDDEN);
    }
    let erased = app.admin().send(Method::DELETE, path, Body::empty()).await;
    assert_eq!(
        (erased.status, erased.text.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    assert!(audiences_of(&app, "id:default:u/1").await.is_empty());
    for (wrong, status) in [
        ("/users/user_id/u", StatusCode::BAD_REQUEST),
        ("/users/ifa/u?exchange=default", StatusCode::BAD_REQUEST),
        ("/users/mail/u", StatusCode::NOT_FOUND),
        ("/users/ifa/0000", StatusCode::NOT_FOUND),
    ] {
        app.admin().get(wrong).await.expect(status);
    }
}
