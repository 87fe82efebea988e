use crate::app::{TestApp, campaign_of};
use axum::http::StatusCode;
use serde_json::{Value, json};

fn create(advertiser: &str, name: &str) -> Value {
    let mut campaign = campaign_of(advertiser);
    campaign["name"] = json!(name);
    json!({"op": "create", "campaign": campaign})
}

fn statuses(body: &Value) -> Vec<u64> {
    body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["status"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn each_operation_is_answered_for_itself() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let id = app
        .admin()
        .post("/campaigns", campaign_of(&advertiser))
        .await
        .created();
    let batch = json!({"operations": [
        create(&advertiser, "new"),
        create(&advertiser, ""),
        {"op": "update", "id": id, "patch": {"name": "renamed", "flight": {"end": null}}},
        {"op": "update", "id": id, "patch": {"name": "stale"}, "if_match": "\"v1\""},
        {"op": "archive", "id": "cmp_none"},
    ]});
    let body = app.admin().post("/campaigns:batch", batch).await.ok();
    assert_eq!(statuses(&body), [201, 400, 200, 412, 404]);
    assert_eq!(body["results"][0]["campaign"]["name"], "new");
    let mistake = &body["results"][1]["problem"]["errors"][0];
    assert_eq!(mistake["pointer"], "/operations/1/campaign/name");
    assert_eq!(body["results"][2]["etag"], "\"v2\"");
    assert_eq!(
        app.admin().get("/campaigns?order_by=name").await.names(),
        ["new", "renamed"]
    );
}

#[tokio::test]
async fn an_atomic_batch_is_written_whole_or_not_at_all() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let bad = json!({"atomic": true, "operations": [create(&advertiser, "one"), create(&advertiser, "")]});
    let body = app.admin().post("/campaigns:batch", bad).await.ok();
    assert_eq!(
        (statuses(&body), &body["applied"]),
        (vec![424, 400], &json!(false))
    );
    assert!(app.admin().get("/campaigns").await.items().is_empty());

    let id = app
        .admin()
        .post("/campaigns", campaign_of(&advertiser))
        .await
        .created();
    // The third sees what the second did.
    let good = json!({"atomic": true, "operations": [
        create(&advertiser, "one"),
        {"op": "update", "id": id, "patch": {"name": "two"}},
        {"op": "archive", "id": id, "if_match": "\"v2\""},
    ]});
    let body = app.admin().post("/campaigns:batch", good).await.ok();
    assert_eq!(
        (statuses(&body), &body["applied"]),
        (vec![201, 200, 200], &json!(true))
    );
    let found = app.admin().get(&format!("/campaigns/{id}")).await;
    assert_eq!(
        (found.header("etag"), &found.body["status"]),
        ("\"v3\"", &json!("archived"))
    );
}

#[tokio::test]
async fn validate_only_says_what_would_be_and_writes_nothing() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let batch =
        json!({"validate_only": true, "operations": [create(&advertiser, "one"), create("adv_none", "two")]});
    let body = app.admin().post("/campaigns:batch", batch).await.ok();
    assert_eq!(
        (statuses(&body), &body["applied"]),
        (vec![201, 400], &json!(false))
    );
    assert!(app.admin().get("/campaigns").await.items().is_empty());
}

#[tokio::test]
async fn a_repeated_batch_creates_nothing_twice() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    for atomic in [false, true] {
        let batch = |name: &str| {
            let body =
                json!({"atomic": atomic, "operations": [create(&advertiser, name), create(&advertiser, "")]});
            let good = json!({"atomic": atomic, "operations": [create(&advertiser, name)]});
            let body = if atomic { good } else { body };
            app.admin()
                .header("idempotency-key", if atomic { "a" } else { "b" })
                .post("/campaigns:batch", body)
        };
        let name = format!("atomic {atomic}");
        let (first, repeat) = (batch(&name).await.ok(), batch(&name).await.ok());
        assert_eq!(first["results"][0], repeat["results"][0]);
        let found = app.admin().get(&format!("/campaigns?name={name}")).await;
        assert_eq!(found.items().len(), 1);
        batch("other").await.expect(StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn a_batch_that_is_no_batch_is_told_why() {
    let app = TestApp::start().await;
    let batch =
        json!({"atomic": 1, "operations": [{"op": "delete"}, {"op": "update", "id": 7}, 3], "extra": 0});
    let reply = app
        .admin()
        .post("/campaigns:batch", batch)
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(
        reply.mistakes(),
        [
            "/atomic invalid_type",
            "/operations/0/op unknown_value",
            "/operations/1/id invalid_type",
            "/operations/1/patch required",
            "/operations/2 invalid_type",
            "/extra unknown_field",
        ]
    );
    let empty = app
        .admin()
        .post("/campaigns:batch", json!({"operations": []}))
        .await;
    assert_eq!(empty.mistakes(), ["/operations too_short"]);
}
