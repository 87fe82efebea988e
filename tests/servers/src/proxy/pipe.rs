//! One connection through the proxy.

use super::Fault;
use std::time::Duration;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// As much is under way each way, in pieces of up to `PIECE_BYTES`, before the sender is held up.
const PIECES: usize = 256;
const PIECE_BYTES: usize = 16 * 1024;
const THROTTLED_PIECES_PER_SECOND: u32 = 100;

/// What was read, and when the other side may have it. An end is an empty piece.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

pub(super) async fn join(
    mut client: TcpStream,
    upstream: String,
    faults: watch::Receiver<Fault>,
    mut lost: watch::Receiver<()>,
) {
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut cut = faults.clone();
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let is_cut = async { drop(cut.wait_for(|fault| *fault == Fault::Cut).await) };
    tokio::pin!(is_cut);
    let passed = tokio::select! {
        biased;
        () = &mut is_cut => Err(io::ErrorKind::ConnectionReset.into()),
        Ok(()) = lost.changed() => {
            // Both ends stay open.
            is_cut.await;
            Err(io::ErrorKind::ConnectionReset.into())
        }
        passed = async {
            tokio::try_join!(
                pass(client_read, server_write, faults.clone()),
                pass(server_read, client_write, faults.clone()),
            )
        } => passed,
    };
    if passed.is_err() {
        // Closed so, a connection is reset.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// One way.
async fn pass(from: ReadHalf<'_>, to: WriteHalf<'_>, faults: watch::Receiver<Fault>) -> io::Result<()> {
    let (sender, pieces) = mpsc::channel(PIECES);
    tokio::try_join!(take(from, sender, faults.clone()), give(to, pieces, faults))?;
    Ok(())
}

async fn take(
    mut from: ReadHalf<'_>,
    pieces: mpsc::Sender<Piece>,
    faults: watch::Receiver<Fault>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        let delay = match *faults.borrow() {
            Fault::Delay(delay) => delay,
            _ => Duration::ZERO,
        };
        let piece = Piece {
            due: Instant::now() + delay,
            bytes: buffer[..count].to_vec(),
        };
        if pieces.send(piece).await.is_err() || count == 0 {
            return Ok(());
        }
    }
}

async fn give(
    mut to: WriteHalf<'_>,
    mut pieces: mpsc::Receiver<Piece>,
    mut faults: watch::Receiver<Fault>,
) -> io::Result<()> {
    while let Some(Piece { due, bytes }) = pieces.recv().await {
        sleep_until(due).await;
        let mut left = &bytes[..];
        loop {
            let stalled = faults.wait_for(|fault| *fault != Fault::Stall).await;
            let fault = stalled.map(|fault| *fault).map_err(io::Error::other)?;
            if left.is_empty() {
                break;
            }
            let (now, later) = left.split_at(at_once(fault, left.len()));
            to.write_all(now).await?;
            left = later;
            if let Fault::Throttle { .. } = fault {
                sleep(Duration::from_secs(1) / THROTTLED_PIECES_PER_SECOND).await;
            }
        }
        if bytes.is_empty() {
            to.shutdown().await?;
        }
    }
    Ok(())
}

fn at_once(fault: Fault, left: usize) -> usize {
    match fault {
        Fault::Throttle { bytes_per_second } => {
            let piece = (bytes_per_second / THROTTLED_PIECES_PER_SECOND).max(1);
            left.min(piece as usize)
        }
        _ => left,
    }
}
