//! The baseline of the bid benchmarks: the least that axum does for a POST. One thread, one route, `Bytes` in, static
//! bytes out, no layers. Usage: `bare-endpoint ADDR LENGTH`.

use anyhow::Context;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post};
use bytes::Bytes;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().context("usage: bare-endpoint ADDR LENGTH")?;
    let length: usize = args.next().context("usage: bare-endpoint ADDR LENGTH")?.parse()?;
    let answer = Bytes::from(vec![b' '; length]);
    let router = Router::new()
        .route(
            "/openrtb2/bid",
            post(move |body: Bytes| {
                let answer = answer.clone();
                async move {
                    drop(body);
                    ([(CONTENT_TYPE, "application/json")], answer)
                }
            }),
        )
        .route("/ready", get(|| async { "ready" }));
    let listener = tokio::net::TcpListener::bind(&addr).await?;
    axum::serve(listener, router).await?;
    Ok(())
}
