//! A server that does nothing, in a process of its own: what an answer from it takes is what the machine takes for any.
//! Prints its address, and ends with its standard input.

#![expect(clippy::unwrap_used, reason = "a test's server: a failure is a failed test")]

use axum::Router;
use axum::routing::get;
use std::io::{read_to_string, stdin};
use tokio::net::TcpListener;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", get(async || ""));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let waiting = tokio::task::spawn_blocking(|| read_to_string(stdin()));
    waiting.await.unwrap().unwrap();
}
