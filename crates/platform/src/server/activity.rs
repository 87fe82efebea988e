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

use super::turn::{Turn, Waiting};

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

    /// A head is complete; answers when its first bytes came.
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

    /// The first bytes of a head have been read, which came at `came`.
    fn head_begun(&self, came: Instant) {
        self.since_nanos.store(self.nanos_of(came), Relaxed);
        self.phase.store(Phase::Head as u8, Relaxed);
    }

    /// A response that is still being written (a stream, a slow reader) is no idleness.
    fn bytes_written(&self) {
        if self.phase() == Phase::Waiting {
            self.enter(Phase::Waiting);
        }
    }

    fn enter(&self, phase: Phase) {
        self.since_nanos.store(self.nanos_of(Instant::now()), Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    fn nanos_of(&self, instant: Instant) -> u64 {
        let nanos = instant.saturating_duration_since(self.opened).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// A stream that tells its [`Activity`] what passes.
#[derive(Debug)]
pub(super) struct ObservedStream {
    inner: TcpStream,
    turn: Turn,
    activity: Arc<Activity>,
}

impl ObservedStream {
    pub(super) fn new(inner: TcpStream, activity: Arc<Activity>, waiting: Arc<Waiting>) -> Self {
        Self {
            turn: Turn::new(waiting),
            inner,
            activity,
        }
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
        let this = &mut *self;
        let before = buf.filled().len();
        // In every phase: hyper looks for the next head as soon as it has the last, and then waits to be told.
        let (read, came) = this
            .turn
            .take(cx, |cx| Pin::new(&mut this.inner).poll_read(cx, buf));
        if buf.filled().len() > before && this.activity.phase() == Phase::Waiting {
            // Without a wake it had been there before anybody waited for it.
            let found = if this.activity.has_served() {
                Instant::now()
            } else {
                this.activity.opened
            };
            this.activity.head_begun(came.unwrap_or(found));
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
