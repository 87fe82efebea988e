//! Ports of 127.0.0.1 that nobody listens on.

use std::net::TcpListener;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A Redis Cluster's nodes talk to each other on the port that is this much higher.
pub(crate) const BUS_DISTANCE: u16 = 10_000;
/// Below the ports that outgoing connections get, so that a stopped server finds its own free again.
const PORTS: Range<u16> = 12_000..22_000;

/// A port that is free together with the one 10,000 higher. Another process may take it before it is used: whoever asks is
/// ready to ask again.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = since_epoch
        .subsec_micros()
        .wrapping_add(std::process::id().wrapping_mul(7_919));
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    PORTS
        .map(|_| {
            let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(37);
            let index = start.wrapping_add(step) % u32::from(PORTS.end - PORTS.start);
            PORTS.start + u16::try_from(index).unwrap_or_default()
        })
        .find(|port| is_free(*port) && is_free(port + BUS_DISTANCE))
        .expect("of ten thousand ports one is free")
}
