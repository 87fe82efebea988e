use crate::app::{TestApp, campaign_of};
use axum::http::StatusCode;
use serde_json::json;

async fn named(app: &TestApp, names: &[&str]) {
    for name in names {
        app.admin()
            .post("/advertisers", json!({"name": name}))
            .await
            .created();
        app.clock.advance(1_000);
    }
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_while_objects_are_inserted() {
    let app = TestApp::start().await;
    named(&app, &["b", "d", "f", "h", "j"]).await;
    let mut seen = Vec::new();
    let mut path = "/advertisers?page_size=2&order_by=name".to_owned();
    loop {
        let page = app.admin().get(&path).await.expect(StatusCode::OK);
        assert!(page.items().len() <= 2);
        seen.extend(page.names());
        // Before and after the place reached, and in the middle of it.
        named(&app, &["a", "e"]).await;
        let Some(token) = page.body["next_page_token"].as_str() else {
            break;
        };
        path = format!("/advertisers?page_size=2&order_by=name&page_token={token}");
    }
    for old in ["b", "d", "f", "h", "j"] {
        assert_eq!(seen.iter().filter(|name| *name == old).count(), 1, "{seen:?}");
    }
    assert!(seen.is_sorted(), "{seen:?}");
}

#[tokio::test]
async fn lists_are_ordered_as_asked() {
    let app = TestApp::start().await;
    named(&app, &["b", "c", "a"]).await;
    assert_eq!(app.admin().get("/advertisers").await.names(), ["b", "c", "a"]);
    assert_eq!(
        app.admin()
            .get("/advertisers?order_by=created_at desc")
            .await
            .names(),
        ["a", "c", "b"]
    );
    assert_eq!(
        app.admin().get("/advertisers?order_by=name desc").await.names(),
        ["c", "b", "a"]
    );
}

#[tokio::test]
async fn filters_hold_together() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    for (name, status) in [
        ("Spring sale", "active"),
        ("Summer sale", "paused"),
        ("Winter", "active"),
    ] {
        let mut body = campaign_of(&advertiser);
        (body["name"], body["status"]) = (json!(name), json!(status));
        app.admin().post("/campaigns", body).await.created();
        app.clock.advance(3_600_000);
    }
    let names = async |query: &str| app.admin().get(&format!("/campaigns?{query}")).await.names();
    assert_eq!(names("name=SALE").await, ["Spring sale", "Summer sale"]);
    assert_eq!(names("name=sale&status=active").await, ["Spring sale"]);
    assert_eq!(names("status=paused,active").await.len(), 3);
    assert_eq!(names("updated_since=2026-11-23T14:00:00Z").await, ["Winter"]);
    assert_eq!(names("advertiser_id=adv_other").await, [""; 0]);
}

#[tokio::test]
async fn wrong_parameters_are_told_all_at_once() {
    let app = TestApp::start().await;
    let reply = app
        .admin()
        .get(
            "/campaigns?page_size=501&order_by=price&status=live&updated_since=noon&colour=red&name=a&name=b",
        )
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(
        reply.mistakes(),
        [
            "page_size invalid_value",
            "order_by unknown_value",
            "status unknown_value",
            "updated_since invalid_value",
            "colour unknown_field",
            "name duplicate",
        ]
    );
}

#[tokio::test]
async fn a_page_token_belongs_to_its_query() {
    let app = TestApp::start().await;
    named(&app, &["a", "b"]).await;
    let page = app.admin().get("/advertisers?page_size=1").await;
    let token = page.body["next_page_token"].as_str().unwrap();
    for query in [
        format!("order_by=name&page_token={token}"),
        "page_token=bm9uc2Vuc2U".to_owned(),
    ] {
        let reply = app
            .admin()
            .get(&format!("/advertisers?{query}"))
            .await
            .expect(StatusCode::BAD_REQUEST);
        assert_eq!(reply.mistakes(), ["page_token invalid_value"]);
    }
    // Another size of page is the same list.
    assert_eq!(
        app.admin()
            .get(&format!("/advertisers?page_size=9&page_token={token}"))
            .await
            .names(),
        ["b"]
    );
}
