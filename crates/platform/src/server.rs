//! The accept loop: HTTP/1.1 on hyper, with bounds on connections, on slow heads and on idleness, and a graceful
//! end.

mod activity;
mod apart;
mod connection;
#[cfg(test)]
mod tests;
mod turn;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::shutdown::Shutdown;
pub(crate) use apart::EVENT_INTERVAL;

use apart::Apart;
use connection::Connection;
use turn::Waiting;

/// How long to leave the listener alone after an error that will not go away by itself, such as no free file
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// When and from whom a request came; in the extensions of every request.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When the runtime learned of the first bytes of its head: how long they then waited for their turn counts.
    pub at: Instant,
    /// The other end of the connection, a proxy perhaps.
    pub peer: SocketAddr,
    /// How many other connections of the server have something to read and wait for their turn.
    pub waiting: usize,
}

/// The bounds of a [`Server`].
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Connections at once; further ones wait in the kernel's backlog until one ends.
    pub max_connections: usize,
    /// From a head's first byte to its last. Checked coarsely: a slow client is cut off after one to two times
    /// this long.
    pub head_timeout: Duration,
    /// How long a connection may stay silent before its first request (exchanges open them ahead) and between
    /// requests. Longer than any load balancer's, or requests meet closing connections.
    pub idle_timeout: Duration,
    /// How long an idle connection is kept once the listener has closed, for a request that is on its way.
    pub linger: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 20_000,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(180),
            linger: Duration::from_millis(500),
        }
    }
}

/// A bound listener, not yet serving.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    listener: TcpListener,
    addr: SocketAddr,
    options: ServerOptions,
    /// None: it is served by the threads of whoever calls [`Server::serve`].
    apart: Option<Apart>,
}

impl Server {
    /// Binds `addr` (port 0: any free one) and logs the address under `name`.
    ///
    /// # Errors
    /// When the address cannot be bound; the error names it.
    pub async fn bind(name: &'static str, addr: SocketAddr, options: ServerOptions) -> std::io::Result<Self> {
        let bound = TcpListener::bind(addr)
            .await
            .and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (addr, listener) = bound.map_err(|error| {
            std::io::Error::new(error.kind(), format!("{name} cannot listen on {addr}: {error}"))
        })?;
        tracing::info!(name, %addr, "listening");
        Ok(Self {
            name,
            listener,
            addr,
            options,
            apart: None,
        })
    }

    /// The same, to be served by threads of its own, as many as there are cores: what else the process does does not queue
    /// behind requests, even when there are more than can be answered.
    ///
    /// # Errors
    /// When the address cannot be bound, or threads cannot be started.
    pub async fn bind_apart(
        name: &'static str,
        addr: SocketAddr,
        options: ServerOptions,
    ) -> std::io::Result<Self> {
        let apart = Apart::start(name)?;
        let bound = match apart.handle() {
            // Its threads must hear of what comes in.
            Some(threads) => threads.spawn(Self::bind(name, addr, options)).await?,
            None => Self::bind(name, addr, options).await,
        };
        bound.map(|server| Self {
            apart: Some(apart),
            ..server
        })
    }

    /// The address that was bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves `router` in the background until `shutdown` closes it. The shutdown waits for what is in flight.
    pub fn serve(mut self, router: Router, shutdown: &Shutdown) {
        let connections = shutdown.connections().clone();
        let apart = self.apart.take();
        let accepting = self.accept(router, shutdown.clone());
        match apart.as_ref().and_then(Apart::handle) {
            Some(threads) => connections.spawn_on(accepting, threads),
            None => connections.spawn(accepting),
        };
        if let Some(apart) = apart {
            apart.keep();
        }
    }

    async fn accept(self, router: Router, shutdown: Shutdown) {
        // With its state given, axum builds the routes once and not for each request.
        let router: Router = router.with_state(());
        let permits = Arc::new(Semaphore::new(
            self.options.max_connections.min(Semaphore::MAX_PERMITS),
        ));
        let waiting = Arc::new(Waiting::default());
        let closing = shutdown.closing().clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = closing.cancelled() => break,
                accepted = self.next_connection(&permits) => accepted,
            };
            match accepted {
                Ok((stream, peer, permit)) => {
                    spawn(stream, peer, permit, &router, self.options, &shutdown, &waiting)
                }
                Err(error) => self.after_accept_error(&error).await,
            }
        }
        tracing::debug!(name = self.name, addr = %self.addr, "closing the listener");
        let connect =
            |stream, peer, permit| spawn(stream, peer, permit, &router, self.options, &shutdown, &waiting);
        if let Err(error) = accept_backlog(self.listener, &permits, connect) {
            tracing::warn!(name = self.name, %error, "the listener's backlog is lost");
        }
    }

    async fn next_connection(
        &self,
        permits: &Arc<Semaphore>,
    ) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = permits
            .clone()
            .acquire_owned()
            .await
            .map_err(std::io::Error::other)?;
        let (stream, peer) = self.listener.accept().await?;
        Ok((stream, peer, permit))
    }

    async fn after_accept_error(&self, error: &std::io::Error) {
        use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionRefused | ConnectionReset
        ) {
            return; // that one client's trouble
        }
        tracing::warn!(name = self.name, %error, "cannot accept connections");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn spawn(
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    router: &Router,
    options: ServerOptions,
    shutdown: &Shutdown,
    waiting: &Arc<Waiting>,
) {
    // Answers are small and wanted at once. A failure means the peer is gone, which the first read will tell.
    let _ = stream.set_nodelay(true);
    let connection = Connection::new(peer, options, shutdown.clone(), waiting.clone());
    let router = router.clone();
    shutdown.connections().spawn(async move {
        connection.serve(stream, router).await;
        drop(permit);
    });
}

/// What the kernel has already accepted is answered too, before the listener closes. Asked directly, since tokio
/// may not have heard of it yet.
fn accept_backlog(
    listener: TcpListener,
    permits: &Arc<Semaphore>,
    connect: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit),
) -> std::io::Result<()> {
    let listener = listener.into_std()?;
    while let Ok(permit) = permits.clone().try_acquire_owned() {
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        connect(TcpStream::from_std(stream)?, peer, permit);
    }
    Ok(())
}
