use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::Readiness;
use crate::shutdown::{Ended, ShutdownTiming};

/// How long `/busy` keeps the thread; longer than what else a machine does meanwhile.
const BUSY_MS: u64 = 400;
const BUSY: &[u8] = b"GET /busy HTTP/1.1\r\nhost: x\r\n\r\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// A server whose `/slow` waits, and says when it has been entered.
struct App {
    addr: SocketAddr,
    shutdown: Shutdown,
    entered: Arc<Notify>,
    go: Arc<Notify>,
}

impl App {
    async fn start(options: ServerOptions) -> Self {
        Self::with_timing(options, ShutdownTiming::default()).await
    }

    async fn with_timing(options: ServerOptions, timing: ShutdownTiming) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::of(Server::bind("test", addr, options).await.unwrap(), timing)
    }

    fn of(server: Server, timing: ShutdownTiming) -> Self {
        let shutdown = Shutdown::new(timing, Readiness::new());
        let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (entered, go) = (entered.clone(), go.clone());
            async move || {
                entered.notify_one();
                go.notified().await;
                "slow but sure"
            }
        };
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route("/slow", get(slow))
            .route(
                "/peer",
                get(async |Extension(arrival): Extension<Arrival>| arrival.peer.to_string()),
            )
            .route(
                "/busy",
                get(async |Extension(arrival): Extension<Arrival>| {
                    let waited = arrival.at.elapsed();
                    std::thread::sleep(Duration::from_millis(BUSY_MS));
                    format!("{} {}", waited.as_millis(), arrival.waiting)
                }),
            )
            .route("/length", post(async |body: Bytes| body.len().to_string()));
        let addr = server.local_addr();
        server.serve(router, &shutdown);
        Self {
            addr,
            shutdown,
            entered,
            go,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// A connection whose slow request has reached its handler.
    async fn slow_request(&self) -> TcpStream {
        let mut stream = self.connect().await;
        stream
            .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        self.entered.notified().await;
        stream
    }

    fn finish(&self) -> JoinHandle<Ended> {
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move { shutdown.finished().await })
    }
}

/// Everything until the server closes; a reset counts as closing.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// One answer on a connection that stays open.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    while !answer.contains("\r\n\r\n") || answer.ends_with("\r\n\r\n") {
        let mut chunk = [0; 1024];
        let length = stream.read(&mut chunk).await.unwrap();
        assert!(length > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
    }
    answer
}

#[tokio::test]
async fn requests_share_a_connection_and_know_their_peer() {
    let app = App::start(ServerOptions::default()).await;
    let mut stream = app.connect().await;
    let me = stream.local_addr().unwrap().to_string();
    assert!(exchange(&mut stream, REQUEST).await.ends_with("hello"));
    let peer = exchange(&mut stream, b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(peer.ends_with(&me), "{peer}");
    let length = b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc";
    assert!(exchange(&mut stream, length).await.ends_with('3'));
}

#[tokio::test]
async fn what_a_request_waits_for_its_turn_counts_from_its_arrival() {
    let app = App::start(ServerOptions::default()).await;
    let (mut one, mut other) = (app.connect().await, app.connect().await);
    exchange(&mut one, REQUEST).await;
    exchange(&mut other, REQUEST).await;
    // Both are there before the runtime's one thread looks; each answer keeps it busy.
    for stream in [&mut one, &mut other] {
        stream.write_all(BUSY).await.unwrap();
    }
    let mut told = [exchange(&mut one, b"").await, exchange(&mut other, b"").await].map(|answer| {
        let (waited, waiting) = answer.rsplit_once('\n').unwrap().1.split_once(' ').unwrap();
        (waited.parse::<u64>().unwrap(), waiting.to_owned())
    });
    told.sort_unstable();
    let [(first, behind_first), (second, behind_second)] = &told;
    assert!(*first < BUSY_MS && *second >= BUSY_MS, "{told:?}");
    assert_eq!([behind_first, behind_second], ["1", "0"]);
}

#[tokio::test]
async fn a_server_apart_answers_while_its_process_does_something_else() {
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let bound = Server::bind_apart("test", addr, ServerOptions::default()).await;
    let app = App::of(bound.unwrap(), ShutdownTiming::default());
    let mut stream = app.connect().await;
    exchange(&mut stream, REQUEST).await;
    let mut stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // Nothing else runs on this thread meanwhile, which is the process's only one.
    stream.write_all(REQUEST).unwrap();
    let mut answer = vec![0; 1_024];
    let length = stream.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_on_threads_apart() {
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let bound = Server::bind_apart("test", addr, ServerOptions::default()).await;
    let app = App::of(bound.unwrap(), ShutdownTiming::default());
    let mut slow = app.slow_request().await;
    app.shutdown.request("test");
    let ended = app.finish();
    app.shutdown.closing().cancelled().await;
    app.go.notify_one();
    assert!(until_closed(&mut slow).await.ends_with("slow but sure"));
    assert_eq!(ended.await.unwrap(), Ended::Clean);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let app = App::start(ServerOptions::default()).await;
    let mut stream = app.connect().await;
    let both =
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(both).await.unwrap();
    let answers = until_closed(&mut stream).await;
    let (first, second) = answers.split_once("hello").unwrap();
    assert!(
        first.starts_with("HTTP/1.1 200") && second.starts_with("HTTP/1.1 404"),
        "{answers}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_cut_off() {
    let options = ServerOptions::default();
    let app = App::start(options).await;
    let mut stream = app.connect().await;
    stream.write_all(b"GET / HT").await.unwrap();
    let before = Instant::now();
    assert_eq!(until_closed(&mut stream).await, "");
    assert!(
        before.elapsed() <= 2 * options.head_timeout + Duration::from_millis(10),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_that_trickles_is_cut_off_too() {
    let options = ServerOptions::default();
    let app = App::start(options).await;
    let mut stream = app.connect().await;
    let before = Instant::now();
    while before.elapsed() < 10 * options.head_timeout && stream.write_all(b"G").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(
        before.elapsed() <= 2 * options.head_timeout + Duration::from_secs(2),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_waits_as_long_as_an_idle_one() {
    let options = ServerOptions::default();
    let app = App::start(options).await;
    let mut stream = app.connect().await;
    let before = Instant::now();
    assert_eq!(until_closed(&mut stream).await, "");
    let waited = before.elapsed();
    assert!(
        waited >= options.idle_timeout && waited <= options.idle_timeout + options.head_timeout,
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_after_a_good_request_is_cut_off() {
    let options = ServerOptions::default();
    let app = App::start(options).await;
    let mut stream = app.connect().await;
    exchange(&mut stream, REQUEST).await;
    stream.write_all(b"GET / HT").await.unwrap();
    let before = Instant::now();
    assert_eq!(until_closed(&mut stream).await, "");
    assert!(
        before.elapsed() <= 2 * options.head_timeout + Duration::from_millis(10),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_stays_for_two_minutes_and_not_for_ever() {
    let options = ServerOptions::default();
    let app = App::start(options).await;
    let mut stream = app.connect().await;
    exchange(&mut stream, REQUEST).await;
    tokio::time::advance(Duration::from_secs(120)).await;
    assert!(exchange(&mut stream, REQUEST).await.ends_with("hello"));
    let before = Instant::now();
    until_closed(&mut stream).await;
    assert!(
        before.elapsed() >= Duration::from_secs(120),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_one_to_end() {
    let app = App::start(ServerOptions {
        max_connections: 1,
        ..ServerOptions::default()
    })
    .await;
    let mut first = app.connect().await;
    exchange(&mut first, REQUEST).await;
    let mut second = app.connect().await;
    second.write_all(REQUEST).await.unwrap();
    // The server has had its turns.
    for _ in 0..10 {
        exchange(&mut first, REQUEST).await;
    }
    let mut byte = [0; 1];
    assert!(futures_util::FutureExt::now_or_never(second.read(&mut byte)).is_none());
    drop(first);
    assert_eq!(second.read(&mut byte).await.unwrap(), 1);
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_and_refuses_what_is_new() {
    let app = App::start(ServerOptions::default()).await;
    let mut stream = app.slow_request().await;
    app.shutdown.request("test");
    let finish = app.finish();

    // The listener closes a moment after the request to stop; until then the kernel may still connect.
    while TcpStream::connect(app.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!finish.is_finished());
    app.go.notify_one();
    let answer = until_closed(&mut stream).await;
    assert!(answer.ends_with("slow but sure"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(finish.await.unwrap(), Ended::Clean);
}

#[tokio::test]
async fn during_the_drain_new_connections_are_served_and_told_to_go_elsewhere() {
    let timing = ShutdownTiming {
        drain: Duration::from_secs(20),
        ..ShutdownTiming::default()
    };
    let app = App::with_timing(ServerOptions::default(), timing).await;
    app.shutdown.request("test");
    let finish = app.finish();
    let mut stream = app.connect().await;
    stream.write_all(REQUEST).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(
        answer.contains("connection: close") && answer.ends_with("hello"),
        "{answer}"
    );
    assert!(!finish.is_finished());
    app.shutdown.request("test again");
    assert_eq!(finish.await.unwrap(), Ended::Forced);
}

#[tokio::test]
async fn a_request_on_its_way_on_an_idle_connection_is_answered_after_the_stop() {
    let app = App::start(ServerOptions {
        linger: Duration::from_secs(20),
        ..ServerOptions::default()
    })
    .await;
    let mut stream = app.connect().await;
    exchange(&mut stream, REQUEST).await;
    app.shutdown.request("test");
    let finish = app.finish();
    app.shutdown.closing().cancelled().await;
    stream.write_all(REQUEST).await.unwrap();
    assert!(until_closed(&mut stream).await.ends_with("hello"));
    assert_eq!(finish.await.unwrap(), Ended::Clean);
}

#[tokio::test]
async fn what_the_kernel_has_accepted_is_answered_before_the_listener_closes() {
    let app = App::start(ServerOptions::default()).await;
    // Blocking, so that the accept loop has no turn before the stop.
    let mut stream = std::net::TcpStream::connect(app.addr).unwrap();
    std::io::Write::write_all(&mut stream, REQUEST).unwrap();
    app.shutdown.closing().cancel();
    app.shutdown.request("test");
    assert_eq!(app.shutdown.finished().await, Ended::Clean);
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn idle_and_silent_connections_do_not_hold_up_the_stop() {
    let app = App::start(ServerOptions {
        linger: Duration::from_millis(10),
        ..ServerOptions::default()
    })
    .await;
    let (mut idle, mut silent) = (app.connect().await, app.connect().await);
    exchange(&mut idle, REQUEST).await;
    app.shutdown.request("test");
    assert_eq!(app.shutdown.finished().await, Ended::Clean);
    assert_eq!(until_closed(&mut idle).await, "");
    assert_eq!(until_closed(&mut silent).await, "");
}

#[tokio::test]
async fn a_second_request_to_stop_ends_what_is_in_flight_at_once() {
    let app = App::start(ServerOptions::default()).await;
    let mut stream = app.slow_request().await;
    app.shutdown.request("test");
    let finish = app.finish();
    app.shutdown.closing().cancelled().await;
    app.shutdown.request("test again");
    assert_eq!(finish.await.unwrap(), Ended::Forced);
    assert_eq!(until_closed(&mut stream).await, "");
}
