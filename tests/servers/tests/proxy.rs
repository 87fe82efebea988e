//! Each fault does to a connection what it says.

#![expect(clippy::unwrap_used, reason = "test code, its helper functions included")]

use std::time::{Duration, Instant};
use test_servers::proxy::{Fault, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A server that sends back what it gets.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    addr
}

async fn through() -> (Proxy, TcpStream) {
    let proxy = Proxy::start(&echo().await);
    let stream = TcpStream::connect(proxy.addr()).await.unwrap();
    (proxy, stream)
}

/// How long the answer took.
async fn ask(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Duration> {
    let began = Instant::now();
    stream.write_all(bytes).await?;
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer).await?;
    assert_eq!(answer, bytes);
    Ok(began.elapsed())
}

#[tokio::test]
async fn a_delay_holds_up_each_way_and_ends() {
    let (mut proxy, mut stream) = through().await;
    let delay = Duration::from_millis(50);
    proxy.set(Fault::Delay(delay));
    let took = ask(&mut stream, b"a").await.unwrap();
    assert!(took >= 2 * delay, "{took:?}");
    proxy.set(Fault::None);
    ask(&mut stream, &[7; 1_000_000]).await.unwrap();
}

#[tokio::test]
async fn a_stalled_connection_passes_what_it_held_when_it_goes_on() {
    let (mut proxy, mut stream) = through().await;
    proxy.set(Fault::Stall);
    let mut late = TcpStream::connect(proxy.addr()).await.unwrap();
    for stream in [&mut stream, &mut late] {
        let answer = timeout(Duration::from_millis(100), ask(stream, b"a")).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    proxy.set(Fault::None);
    for stream in [&mut stream, &mut late] {
        assert_eq!(stream.read_u8().await.unwrap(), b'a');
    }
}

#[tokio::test]
async fn a_cut_resets_connections_and_refuses_new_ones() {
    let (mut proxy, mut stream) = through().await;
    ask(&mut stream, b"a").await.unwrap();
    proxy.set(Fault::Cut);
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let error = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.set(Fault::None);
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut stream, b"a").await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_passes_nothing_any_more_and_a_new_one_does() {
    let (proxy, mut stream) = through().await;
    ask(&mut stream, b"a").await.unwrap();
    proxy.lose_connections();
    let answer = timeout(Duration::from_millis(100), ask(&mut stream, b"a")).await;
    assert!(answer.is_err(), "{answer:?}");
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut stream, b"a").await.unwrap();
}

#[tokio::test]
async fn a_throttle_bounds_the_bytes_a_second() {
    let (mut proxy, mut stream) = through().await;
    proxy.set(Fault::Throttle {
        bytes_per_second: 10_000,
    });
    let took = ask(&mut stream, &[7; 2_000]).await.unwrap();
    assert!(took >= Duration::from_millis(190), "{took:?}");
}

#[tokio::test]
async fn an_end_passes() {
    let (_proxy, mut stream) = through().await;
    ask(&mut stream, b"a").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}
