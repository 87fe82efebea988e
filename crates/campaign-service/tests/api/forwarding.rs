use crate::app::{NOON_MS, TestApp, memory_ports};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use platform::Clock;

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
    let router = Router::new().route("/analytics/{*path}", any(echo));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{addr}")
}

async fn app_with(analytics_url: &str) -> TestApp {
    let clock = Clock::manual(NOON_MS);
    TestApp::over(
        memory_ports(&clock).await,
        clock,
        &[("ANALYTICS_URL", analytics_url)],
    )
}

#[tokio::test]
async fn reports_are_forwarded_with_the_key_and_without_the_hop() {
    let app = app_with(&analytics().await).await;
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
    // A port that was free a moment ago, and that nobody listens on.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let app = app_with(&format!("http://{addr}")).await;
    let reply = app
        .admin()
        .get("/analytics/report")
        .await
        .expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert!(!reply.text.contains(&addr.to_string()));
}
