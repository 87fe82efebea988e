//! Where the server programs are, and ports for them.

use std::io::Write;
use std::net::TcpListener;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A Cluster's nodes talk to each other on the port that is this much higher.
const BUS_DISTANCE: u16 = 10_000;
/// Below the ports that outgoing connections get, so that a stopped server finds its own free again.
const PORTS: Range<u16> = 12_000..22_000;

pub(super) struct Programs {
    pub(super) server: PathBuf,
    pub(super) client: PathBuf,
}

/// `None`, said loudly, where there is no Redis to start.
pub(super) fn programs() -> Option<Programs> {
    let found = program(&["redis-server", "valkey-server"]).zip(program(&["redis-cli", "valkey-cli"]));
    if found.is_none() {
        skipped("redis-server and redis-cli are not installed");
    }
    found.map(|(server, client)| Programs { server, client })
}

/// Whether a server can be started here; says loudly when not, and panics with `REQUIRE_SERVICES=1`.
pub fn is_installed() -> bool {
    programs().is_some()
}

fn program(names: &[&str]) -> Option<PathBuf> {
    let folders = match std::env::var_os("REDIS_PROGRAMS") {
        Some(folder) => vec![PathBuf::from(folder)],
        None => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect(),
    };
    folders
        .iter()
        .flat_map(|folder| names.iter().map(|name| folder.join(name)))
        .find(|program| program.exists())
}

fn skipped(why: &str) {
    assert!(
        std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
        "REQUIRE_SERVICES=1, and {why}"
    );
    // On a line of its own: a lone test thread has printed the test's name before. Not by a macro, whose output a
    // passing test swallows.
    let line = format!("\nSKIPPED: tests on Redis: {why}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// A port that is free together with its bus port. Another process may take it before it is used: then the server does
/// not start, and another is tried.
pub(super) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    let start = (nanos / 1_000).wrapping_add(std::process::id().wrapping_mul(7_919));
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..u32::from(PORTS.end - PORTS.start))
        .map(|_| {
            let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(37);
            let index = start.wrapping_add(step) % u32::from(PORTS.end - PORTS.start);
            PORTS.start + u16::try_from(index).unwrap()
        })
        .find(|port| is_free(*port) && is_free(port + BUS_DISTANCE))
        .expect("of ten thousand ports one is free")
}
