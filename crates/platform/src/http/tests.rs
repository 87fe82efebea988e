use std::sync::Arc;

use axum::body::Body;
use axum::extract::Query;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::{any, get, post};
use serde::Deserialize;
use serde_json::Value;
use test_servers::Journal;
use tokio::sync::Notify;
use tower::ServiceExt;

use super::*;
use crate::Metrics;

#[derive(Debug, thiserror::Error)]
#[error("the disk is on fire at /var/lib/hidden")]
struct Fire;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(rename = "items")]
    _items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "a/b")]
    _count: u32,
}

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "page_size")]
    _size: u32,
}

fn routes() -> Router {
    Router::new()
        .route("/things/{id}", get(async |id: RequestId| id.as_str().to_owned()))
        .route("/panics", get(async || -> String { panic!("a secret is 42") }))
        .route("/fails", get(async || Problem::internal(&Fire)))
        .route("/orders", post(async |_: Json<Order>| StatusCode::CREATED))
        .route("/bytes", post(async |body: bytes::Bytes| body.len().to_string()))
        .route("/pages", get(async |_: Query<Page>| ()))
        .route("/hangs", get(std::future::pending::<()>))
        .route("/any", any(async || ()))
}

struct App {
    router: Router,
    metrics: Metrics,
}

impl App {
    fn new(options: HttpOptions) -> Self {
        let metrics = Metrics::new("test").unwrap();
        Self {
            router: layered(routes(), options, &metrics.http("test"), &Traces::off()),
            metrics,
        }
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: &'static str) -> Response {
        self.send(Request::post(path).body(Body::from(body)).unwrap())
            .await
    }

    fn assert_metric(&self, line: &str) {
        let text = self.metrics.encode().unwrap();
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

async fn text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The response as a problem, after checking what every problem has.
async fn problem(response: Response) -> Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    let document: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(document["request_id"], id);
    assert_eq!(document["status"], status);
    assert!(document["type"].is_string() && document["title"].is_string());
    document
}

#[tokio::test]
async fn a_panic_is_an_opaque_500_with_a_request_id_and_is_counted() {
    let app = App::new(HttpOptions::default());
    let response = app.get("/panics").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let document = problem(response).await;
    assert!(!document.to_string().contains("secret"), "{document}");
    app.assert_metric(r#"http_requests_total{method="GET",route="/panics",service="test",status="500"} 1"#);
    app.assert_metric(r#"http_requests_in_flight{service="test"} 0"#);
}

/// Runs `path` with logs captured, and returns the response's request id with the lines about it.
async fn logged(path: &str) -> (String, Vec<Value>) {
    let journal = Journal::open();
    let response = App::new(HttpOptions::default()).get(path).await;
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let lines = journal.lines();
    (
        id,
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

#[tokio::test]
async fn panics_and_internal_errors_are_logged_once_with_the_request_id() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        crate::telemetry::log_panic(panic);
        before(panic);
    }));
    for (path, field, text) in [
        ("/panics", "panic", "a secret is 42"),
        ("/fails", "cause", "the disk is on fire at /var/lib/hidden"),
    ] {
        let (id, lines) = logged(path).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["span"]["request_id"], id);
        assert_eq!(lines[0]["level"], "ERROR");
        assert_eq!(lines[0][field], text);
    }
    assert_eq!(logged("/things/1").await.1, Vec::<Value>::new());
}

#[tokio::test]
async fn an_internal_error_shows_nothing_of_its_cause() {
    let document = problem(App::new(HttpOptions::default()).get("/fails").await).await;
    assert_eq!(document["status"], 500);
    assert!(!document.to_string().contains("fire"), "{document}");
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_replaced() {
    let app = App::new(HttpOptions::default());
    let send = |id: &str| {
        app.send(
            Request::get("/things/1")
                .header("x-request-id", id)
                .body(Body::empty())
                .unwrap(),
        )
    };
    let kept = send("order-7.b_2").await;
    assert_eq!(kept.headers()["x-request-id"], "order-7.b_2");
    assert_eq!(text(kept).await, "order-7.b_2");
    for id in ["", "two words", "quote\"", &"x".repeat(65)] {
        let replaced = send(id).await.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(replaced.len(), 32, "{id:?}");
    }
}

#[tokio::test]
async fn metrics_go_by_template_method_and_status() {
    let app = App::new(HttpOptions::default());
    for path in ["/things/1", "/things/2", "/nowhere/3", "/nowhere/4"] {
        app.get(path).await;
    }
    app.post("/things/1", "").await;
    for body in [r#"{"items": []}"#, "[]", r#"{"items": []}"#] {
        app.post("/orders", body).await;
    }
    app.send(
        Request::builder()
            .method("BREW")
            .uri("/any")
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    for line in [
        r#"http_requests_total{method="GET",route="/things/{id}",service="test",status="200"} 2"#,
        r#"http_requests_total{method="GET",route="unmatched",service="test",status="404"} 2"#,
        r#"http_requests_total{method="POST",route="/things/{id}",service="test",status="405"} 1"#,
        r#"http_requests_total{method="POST",route="/orders",service="test",status="201"} 2"#,
        r#"http_requests_total{method="POST",route="/orders",service="test",status="400"} 1"#,
        r#"http_requests_total{method="other",route="/any",service="test",status="200"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/things/{id}",service="test",status="200"} 2"#,
    ] {
        app.assert_metric(line);
    }
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_bad_parameters_are_problems() {
    let app = App::new(HttpOptions::default());
    assert_eq!(problem(app.get("/nowhere").await).await["status"], 404);
    let wrong_method = app.get("/orders").await;
    assert_eq!(wrong_method.headers()["allow"], "POST");
    assert_eq!(problem(wrong_method).await["status"], 405);
    let document = problem(app.get("/pages?page_size=many").await).await;
    assert_eq!(document["status"], 400);
    assert!(
        document["detail"].as_str().unwrap().contains("page_size"),
        "{document}"
    );
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_with_and_without_a_length() {
    let app = App::new(HttpOptions {
        body_limit_bytes: 10,
        ..HttpOptions::default()
    });
    assert_eq!(text(app.post("/bytes", "0123456789").await).await, "10");
    assert_eq!(
        problem(app.post("/bytes", "0123456789a").await).await["status"],
        413
    );

    for path in ["/bytes", "/orders"] {
        let chunks = ["[[[[[[", "[[[[[["].map(Ok::<_, std::convert::Infallible>);
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        let response = app.send(Request::post(path).body(body).unwrap()).await;
        assert_eq!(problem(response).await["status"], 413, "{path}");
    }
}

#[tokio::test]
async fn a_limit_above_axums_own_two_megabytes_holds() {
    let app = App::new(HttpOptions {
        body_limit_bytes: 4 << 20,
        ..HttpOptions::default()
    });
    let body = Body::from(vec![b' '; 3 << 20]);
    let response = app.send(Request::post("/bytes").body(body).unwrap()).await;
    assert_eq!(text(response).await, (3 << 20).to_string());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_503() {
    let app = App::new(HttpOptions::default());
    let before = tokio::time::Instant::now();
    let response = app.get("/hangs").await;
    assert_eq!(before.elapsed(), HttpOptions::default().timeout);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(problem(response).await["status"], 503);
    app.assert_metric(r#"http_requests_total{method="GET",route="/hangs",service="test",status="503"} 1"#);
}

#[tokio::test]
async fn beyond_the_concurrency_limit_requests_are_shed_and_not_queued() {
    let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, go) = (entered.clone(), go.clone());
        async move || {
            entered.notify_one();
            go.notified().await;
        }
    };
    let metrics = Metrics::new("test").unwrap();
    let options = HttpOptions {
        max_in_flight: 1,
        ..HttpOptions::default()
    };
    let routes = Router::new()
        .route("/waits", get(handler))
        .route("/other", get(async || ()));
    let app = App {
        router: layered(routes, options, &metrics.http("test"), &Traces::off()),
        metrics,
    };

    let router = app.router.clone();
    let first = tokio::spawn(async move {
        router
            .oneshot(Request::get("/waits").body(Body::empty()).unwrap())
            .await
    });
    entered.notified().await;
    app.assert_metric(r#"http_requests_in_flight{service="test"} 1"#);
    let refused = app.get("/other").await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(problem(refused).await["status"], 503);

    go.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(app.get("/other").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_the_in_flight_gauge() {
    let app = App::new(HttpOptions::default());
    let request = Request::get("/hangs").body(Body::empty()).unwrap();
    assert!(futures_util::FutureExt::now_or_never(app.send(request)).is_none());
    app.assert_metric(r#"http_requests_in_flight{service="test"} 0"#);
}

#[tokio::test]
async fn a_body_of_another_shape_is_400_and_points_at_the_place() {
    let app = App::new(HttpOptions::default());
    let ok = app.post("/orders", r#"{"items": [{"a/b": 1}]}"#).await;
    assert_eq!(ok.status(), StatusCode::CREATED);
    for (body, pointer) in [
        (r#"{"items": [{"a/b": 1}, {"a/b": "x"}]}"#, "/items/1/a~1b"),
        (r#"{"items": [], "itmes": []}"#, "/itmes"),
        (r#"{"items": [{"a/b": 1}, "#, ""),
        (r#"{"items": []} {}"#, ""),
        ("", ""),
    ] {
        let document = problem(app.post("/orders", body).await).await;
        assert_eq!(document["status"], 400, "{body}: {document}");
        if !pointer.is_empty() {
            assert_eq!(document["errors"][0]["pointer"], pointer, "{body}: {document}");
        }
        assert!(document["errors"][0]["code"].is_string(), "{body}: {document}");
    }
}

#[tokio::test]
async fn other_content_types_are_415_and_a_missing_one_is_json() {
    let app = App::new(HttpOptions::default());
    let send = |kind: &str| {
        let request = Request::post("/orders")
            .header("content-type", kind)
            .body(Body::from(r#"{"items": []}"#));
        app.send(request.unwrap())
    };
    for kind in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/merge-patch+json",
    ] {
        assert_eq!(send(kind).await.status(), StatusCode::CREATED, "{kind}");
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        assert_eq!(problem(send(kind).await).await["status"], 415, "{kind}");
    }
}

#[tokio::test]
async fn the_lean_stack_counts_and_survives_a_panic_with_an_empty_500() {
    let metrics = Metrics::new("test").unwrap();
    let http = metrics.http("bids");
    let bids = Router::new()
        .route("/bid/{exchange}", post(async || StatusCode::NO_CONTENT))
        .route("/panics", get(async || -> () { panic!("no") }));
    let api = Router::new().route("/things/{id}", get(async || ()));
    let router = metrics_only(bids, &http).merge(layered(api, HttpOptions::default(), &http, &Traces::off()));
    let app = App { router, metrics };

    let bid = app.post("/bid/default", "").await;
    assert_eq!(bid.status(), StatusCode::NO_CONTENT);
    assert!(!bid.headers().contains_key("x-request-id"));
    assert_eq!(
        app.post("/bid/default", "").await.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(problem(app.get("/nowhere").await).await["status"], 404);
    let panicked = app.get("/panics").await;
    assert_eq!(panicked.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(text(panicked).await, "");
    app.assert_metric(
        r#"http_requests_total{method="POST",route="/bid/{exchange}",service="bids",status="204"} 2"#,
    );
    app.assert_metric(r#"http_requests_total{method="GET",route="/panics",service="bids",status="500"} 1"#);
    app.assert_metric(r#"http_requests_total{method="GET",route="unmatched",service="bids",status="404"} 1"#);
}

#[tokio::test]
async fn where_metrics_are_off_requests_are_answered_and_not_counted() {
    let metrics = Metrics::new("test").unwrap().counting_requests(false);
    let http = metrics.http("test");
    let router = layered(routes(), HttpOptions::default(), &http, &Traces::off());
    let request = Request::get("/things/1").body(Body::empty()).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), StatusCode::OK);
    let counter = metrics.counter("bids_total", "Bids.").unwrap();
    metrics.of_requests(counter).inc();
    let text = metrics.encode().unwrap();
    assert!(!text.contains("http_requests_total{"), "{text}");
    assert!(text.contains("bids_total 0"), "{text}");
}
