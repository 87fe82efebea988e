//! What a connection is doing, seen from its reads and writes.
//!
//! hyper's own head timeout also ends idle connections (it starts with the wait for the next head), and it resets a
//! timer for each request. Here a request costs a few relaxed stores, and one coarse timer a connection reads them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The phases of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of the next request has been read.
    Waiting,
    /// A part of a head has been read.
    Head,
    /// A request is being answered; its handler bounds the time.
    Busy,
}

/// Shared by a connection's stream, service and timer, which one task polls in turn; so relaxed stores do.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    phase: AtomicU8,
    since_nanos: AtomicU64,
    served: AtomicBool,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            phase: AtomicU8::new(Phase::Waiting as u8),
            since_nanos: AtomicU64::new(0),
            served: AtomicBool::new(false),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            phase if phase == Phase::Head as u8 => Phase::Head,
            phase if phase == Phase::Busy as u8 => Phase::Busy,
            _ => Phase::Waiting,
        }
    }

    /// When the phase began; while waiting, when the last byte was written.
    pub(super) fn since(&self) -> Instant {
        self.opened + Duration::from_nanos(self.since_nanos.load(Relaxed))
    }

    /// Whether a request has come yet.
    pub(super) fn has_served(&self) -> bool {
        self.served.load(Relaxed)
    }

    /// A head is complete; answers when its first byte came.
    pub(super) fn head_complete(&self) -> Instant {
        // Pipelined heads are read along with the one before: those arrive when their turn comes.
        let arrived = if self.phase() == Phase::Head {
            self.since()
        } else {
            Instant::now()
        };
        self.phase.store(Phase::Busy as u8, Relaxed);
        self.served.store(true, Relaxed);
        arrived
    }

    pub(super) fn answered(&self) {
        self.enter(Phase::Waiting);
    }

    fn bytes_read(&self) {
        if self.phase() == Phase::Waiting {
            self.enter(Phase::Head);
        }
    }

    /// A response that is still being written (a stream, a slow reader) is no idleness.
    fn bytes_written(&self) {
        if self.phase() == Phase::Waiting {
            self.enter(Phase::Waiting);
        }
    }

    fn enter(&self, phase: Phase) {
        let since_nanos = u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.since_nanos.store(since_nanos, Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }
}

/// A stream that tells its [`Activity`] what passes.
#[derive(Debug)]
pub(super) struct ObservedStream {
    inner: TcpStream,
    activity: Arc<Activity>,
}

impl ObservedStream {
    pub(super) fn new(inner: TcpStream, activity: Arc<Activity>) -> Self {
        Self { inner, activity }
    }

    fn note_written(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(bytes)) if *bytes > 0) {
            self.activity.bytes_written();
        }
    }
}

impl AsyncRead for ObservedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.bytes_read();
        }
        read
    }
}

impl AsyncWrite for ObservedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note_written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.note_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
