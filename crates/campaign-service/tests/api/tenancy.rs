use crate::app::{ADMIN_KEY, TestApp, banner, campaign_of, memory_ports};
use axum::http::StatusCode;
use platform::Clock;
use serde_json::json;

#[tokio::test]
async fn without_a_good_key_there_is_only_401() {
    let app = TestApp::start().await;
    let wrong = [
        None,
        Some("wrong"),
        Some("adp_key_0_0"),
        Some("adp__"),
        Some("adp_"),
    ];
    for key in wrong {
        let client = key.map_or_else(|| app.nobody(), |key| app.with_key(key));
        let reply = client.get("/campaigns").await.expect(StatusCode::UNAUTHORIZED);
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    let basic = app
        .nobody()
        .header("authorization", &format!("Basic {ADMIN_KEY}"))
        .get("/campaigns")
        .await;
    basic.expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_like_any_other() {
    let app = TestApp::start().await;
    let reply = app.admin().get("/campaign").await.expect(StatusCode::NOT_FOUND);
    assert_eq!(reply.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn anothers_object_looks_like_none() {
    let app = TestApp::start().await;
    let campaign = app.campaign().await;
    let creative = app
        .admin()
        .post(&format!("/campaigns/{campaign}/creatives"), banner())
        .await
        .created();
    let owner = app.admin().get(&format!("/campaigns/{campaign}")).await.ok();
    let owner = owner["advertiser_id"].as_str().unwrap();
    let stranger = app.advertiser().await;
    let key = app.key("editor", &stranger).await;
    let stranger_of = || app.with_key(&key);
    for path in [
        format!("/campaigns/{campaign}"),
        format!("/campaigns/{campaign}/history"),
        format!("/campaigns/{campaign}/creatives"),
        format!("/creatives/{creative}"),
        format!("/advertisers/{owner}"),
        "/campaigns/cmp_none".to_owned(),
    ] {
        let reply = stranger_of().get(&path).await.expect(StatusCode::NOT_FOUND);
        assert_eq!(reply.body["title"], "Not Found");
    }
    stranger_of()
        .patch(&format!("/campaigns/{campaign}"), json!({"name": "mine"}))
        .await
        .expect(StatusCode::NOT_FOUND);
    stranger_of()
        .post(&format!("/campaigns/{campaign}/archive"), json!(null))
        .await
        .expect(StatusCode::NOT_FOUND);
    stranger_of()
        .post(&format!("/campaigns/{campaign}/creatives"), banner())
        .await
        .expect(StatusCode::NOT_FOUND);
    assert!(stranger_of().get("/campaigns").await.items().is_empty());
    assert!(
        stranger_of()
            .get(&format!("/campaigns?advertiser_id={owner}"))
            .await
            .items()
            .is_empty()
    );
    assert!(
        stranger_of()
            .get(&format!("/creatives?campaign_id={campaign}"))
            .await
            .items()
            .is_empty()
    );
    assert_eq!(stranger_of().get("/advertisers").await.items().len(), 1);
    // Nor can a campaign be put under it; the answer is the one for an advertiser that does not exist.
    let reply = stranger_of().post("/campaigns", campaign_of(owner)).await;
    assert_eq!(reply.mistakes(), ["/advertiser_id not_found"]);
}

#[tokio::test]
async fn a_viewer_reads_and_changes_nothing() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let id = app
        .admin()
        .post("/campaigns", campaign_of(&advertiser))
        .await
        .created();
    let viewer = app.key("viewer", &advertiser).await;
    app.with_key(&viewer).get(&format!("/campaigns/{id}")).await.ok();
    let post = app
        .with_key(&viewer)
        .post("/campaigns", campaign_of(&advertiser))
        .await;
    post.expect(StatusCode::FORBIDDEN);
    for path in [format!("/campaigns/{id}"), format!("/advertisers/{advertiser}")] {
        app.with_key(&viewer)
            .patch(&path, json!({"name": "n"}))
            .await
            .expect(StatusCode::FORBIDDEN);
        app.with_key(&viewer)
            .post(&format!("{path}/archive"), json!(null))
            .await
            .expect(StatusCode::FORBIDDEN);
    }
    let batch = json!({"operations": [{"op": "archive", "id": id}]});
    app.with_key(&viewer)
        .post("/campaigns:batch", batch)
        .await
        .expect(StatusCode::FORBIDDEN);
    assert_eq!(
        app.admin().get(&format!("/campaigns/{id}")).await.ok()["status"],
        "active"
    );
}

#[tokio::test]
async fn what_is_the_administrators_is_refused_to_editors() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let editor = app.key("editor", &advertiser).await;
    for path in ["/exchanges", "/exchanges/default", "/keys"] {
        app.with_key(&editor)
            .get(path)
            .await
            .expect(StatusCode::FORBIDDEN);
    }
    app.with_key(&editor)
        .post("/advertisers", json!({"name": "n"}))
        .await
        .expect(StatusCode::FORBIDDEN);
    let own = format!("/advertisers/{advertiser}");
    let reply = app
        .with_key(&editor)
        .patch(&own, json!({"status": "paused", "seats": {"default": "s"}}))
        .await;
    assert_eq!(reply.mistakes(), ["/status read_only", "/seats read_only"]);
    assert_eq!(
        app.with_key(&editor)
            .patch(&own, json!({"paid_by": "Acme plc"}))
            .await
            .ok()["paid_by"],
        "Acme plc"
    );
}

#[tokio::test]
async fn a_key_that_asks_too_much_is_told_when_to_come_back() {
    let clock = Clock::manual(crate::app::NOON_MS);
    let ports = memory_ports(&clock).await;
    let app = TestApp::over(ports, clock, &[("API_RATE_LIMIT_PER_SECOND", "3")]);
    for left in (0..6).rev() {
        let reply = app.admin().get("/advertisers").await.expect(StatusCode::OK);
        assert!(
            reply.header("ratelimit").contains(&format!("r={left};")),
            "{:?}",
            reply.headers
        );
    }
    let refused = app
        .admin()
        .get("/advertisers")
        .await
        .expect(StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit-policy"), "\"key\";q=6;w=2");
    assert_eq!(refused.header("content-type"), "application/problem+json");
    // A refusal of one key is none of another: without one it is still 401.
    app.nobody()
        .get("/advertisers")
        .await
        .expect(StatusCode::UNAUTHORIZED);
    app.clock.advance(334);
    app.admin().get("/advertisers").await.expect(StatusCode::OK);
    app.admin()
        .get("/advertisers")
        .await
        .expect(StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn the_platforms_fee_is_not_the_tenants_to_set() {
    let app = TestApp::start().await;
    let advertiser = app.advertiser().await;
    let editor = app.key("editor", &advertiser).await;
    let mut with_fee = campaign_of(&advertiser);
    with_fee["fee_ppm"] = json!(50_000);
    let reply = app.with_key(&editor).post("/campaigns", with_fee.clone()).await;
    assert_eq!(reply.mistakes(), ["/fee_ppm read_only"]);

    let campaign = app.admin().post("/campaigns", with_fee).await.created();
    let path = format!("/campaigns/{campaign}");
    let reply = app.with_key(&editor).patch(&path, json!({"fee_ppm": 0})).await;
    assert_eq!(reply.mistakes(), ["/fee_ppm read_only"]);
    // The rest is, and what is there may be repeated.
    let same = json!({"fee_ppm": 50_000, "name": "renamed"});
    assert_eq!(
        app.with_key(&editor).patch(&path, same).await.ok()["name"],
        "renamed"
    );
}
