use crate::app::{ADMIN_KEY, NOON_MS, TestApp, memory_ports};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use http_body_util::BodyExt;
use platform::Clock;
use serde_json::json;

/// An analytics service that answers with what it was asked.
async fn analytics() -> String {
    let echo = async |request: Request| -> Response {
        let header = |name: &str| request.headers().get(name).is_some_and(|value| !value.is_empty());
        let text = format!(
            "{} {} authorization={} x-secret-hop={} te={}",
            request.method(),
            request.uri(),
            header("authorization"),
            header("x-secret-hop"),
            header("te"),
        );
        ([("x-kept", "yes"), ("keep-alive", "timeout=5")], text).into_response()
    };
    serve(Router::new().route("/analytics/{*path}", any(echo))).await
}

/// A bidding service that takes this key, and answers with what it was asked.
async fn bidding(key: &'static str) -> String {
    let echo = async move |request: Request| -> Response {
        let (parts, body) = request.into_parts();
        if parts.headers["authorization"] != format!("Bearer {key}") {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let body = body.collect().await.unwrap().to_bytes();
        let text = format!(
            "{} {} {}",
            parts.method,
            parts.uri,
            String::from_utf8_lossy(&body)
        );
        text.into_response()
    };
    serve(Router::new().route("/openrtb2/{question}", post(echo))).await
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{addr}")
}

/// A port that was free a moment ago, and that nobody listens on.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn app_with(name: &str, url: &str) -> TestApp {
    let clock = Clock::manual(NOON_MS);
    TestApp::over(memory_ports(&clock).await, clock, &[(name, url)])
}

#[tokio::test]
async fn reports_are_forwarded_with_the_key_and_without_the_hop() {
    let app = app_with("ANALYTICS_URL", &analytics().await).await;
    let client = app
        .admin()
        .header("connection", "x-secret-hop")
        .header("x-secret-hop", "1")
        .header("te", "trailers");
    let reply = client
        .get("/analytics/report?from=a&to=b")
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        reply.text,
        "GET /analytics/report?from=a&to=b authorization=true x-secret-hop=false te=false"
    );
    assert_eq!(reply.header("x-kept"), "yes");
    assert!(reply.headers.get("keep-alive").is_none());
}

#[tokio::test]
async fn an_analytics_service_that_is_away_is_503() {
    let url = nobody().await;
    let app = app_with("ANALYTICS_URL", &url).await;
    let reply = app
        .admin()
        .get("/analytics/report")
        .await
        .expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert!(!reply.text.contains(url.trim_start_matches("http://")));
}

#[tokio::test]
async fn any_administrators_questions_reach_the_bidders_with_the_key_of_the_settings() {
    let app = app_with("BIDDING_URL", &bidding(ADMIN_KEY).await).await;
    let body = json!({"name": "another", "role": "admin"});
    let reply = app.admin().post("/keys", body).await.expect(StatusCode::CREATED);
    let another = reply.body["key"].as_str().unwrap();
    for key in [ADMIN_KEY, another] {
        for question in ["explain", "forecast"] {
            let reply = app
                .with_key(key)
                .post(&format!("/{question}"), json!({"a": 1}))
                .await;
            let reply = reply.expect(StatusCode::OK);
            assert_eq!(reply.text, format!("POST /openrtb2/{question} {{\"a\":1}}"));
            assert!(reply.headers.contains_key("ratelimit"), "{:?}", reply.headers);
        }
    }
}

#[tokio::test]
async fn nobody_but_administrators_asks_the_bidders() {
    let app = app_with("BIDDING_URL", &bidding(ADMIN_KEY).await).await;
    let advertiser = app.advertiser().await;
    for path in ["/explain", "/forecast"] {
        for role in ["viewer", "editor"] {
            let key = app.key(role, &advertiser).await;
            let reply = app.with_key(&key).post(path, json!({})).await;
            reply.expect(StatusCode::FORBIDDEN);
        }
        let reply = app.nobody().post(path, json!({})).await;
        reply.expect(StatusCode::UNAUTHORIZED);
        let reply = app.admin().get(path).await;
        reply.expect(StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn bidders_that_are_away_or_have_another_key_are_not_the_callers_mistake() {
    let url = nobody().await;
    let app = app_with("BIDDING_URL", &url).await;
    let reply = app.admin().post("/forecast", json!({})).await;
    let reply = reply.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert!(!reply.text.contains(url.trim_start_matches("http://")));

    let app = app_with("BIDDING_URL", &bidding("a-key-of-its-own").await).await;
    let reply = app.admin().post("/explain", json!({})).await;
    let reply = reply.expect(StatusCode::BAD_GATEWAY);
    assert_eq!(
        reply.body["detail"],
        "the bidding service has another ADMIN_API_KEY, or none"
    );
}
