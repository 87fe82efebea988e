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
    /// How many other connections have something to read and wait for their turn: of the server, or of its thread.
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

    /// The same, its connections on threads of their own, as many as there are cores: what else the process does does not
    /// queue behind requests, even when there are more than can be answered.
    ///
    /// # Errors
    /// When the address cannot be bound, or threads cannot be started.
    pub async fn bind_apart(
        name: &'static str,
        addr: SocketAddr,
        options: ServerOptions,
    ) -> std::io::Result<Self> {
        Ok(Self {
            apart: Some(Apart::start(name)?),
            ..Self::bind(name, addr, options).await?
        })
    }

    /// The address that was bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves `router` in the background until `shutdown` closes it. The shutdown waits for what is in flight.
    pub fn serve(self, router: Router, shutdown: &Shutdown) {
        let connections = shutdown.connections().clone();
        connections.spawn(self.accept(router, shutdown.clone()));
    }

    async fn accept(mut self, router: Router, shutdown: Shutdown) {
        let host = Host {
            // With its state given, axum builds the routes once and not for each request.
            router: router.with_state(()),
            options: self.options,
            waiting: Arc::default(),
            apart: self.apart.take(),
            shutdown,
        };
        let permits = Arc::new(Semaphore::new(
            self.options.max_connections.min(Semaphore::MAX_PERMITS),
        ));
        let closing = host.shutdown.closing().clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = closing.cancelled() => break,
                accepted = self.next_connection(&permits) => accepted,
            };
            match accepted {
                Ok((stream, peer, permit)) => host.take_in(stream, peer, permit),
                Err(error) => self.after_accept_error(&error).await,
            }
        }
        tracing::debug!(name = self.name, addr = %self.addr, "closing the listener");
        let take_in = |stream, peer, permit| host.take_in(stream, peer, permit);
        if let Err(error) = accept_backlog(self.listener, &permits, take_in) {
            tracing::warn!(name = self.name, %error, "the listener's backlog is lost");
        }
        if let Some(apart) = host.apart {
            apart.keep();
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

/// Where connections come to.
struct Host {
    router: Router,
    options: ServerOptions,
    shutdown: Shutdown,
    /// Of those that are not apart.
    waiting: Arc<Waiting>,
    apart: Option<Apart>,
}

impl Host {
    fn take_in(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        // Answers are small and wanted at once. A failure means the peer is gone, which the first read will tell.
        let _ = stream.set_nodelay(true);
        let connections = self.shutdown.connections();
        let router = self.router.clone();
        let (options, shutdown) = (self.options, self.shutdown.clone());
        let Some(place) = self.apart.as_ref().and_then(Apart::place) else {
            let connection = Connection::new(peer, options, shutdown, self.waiting.clone());
            connections.spawn(async move {
                connection.serve(stream, router).await;
                drop(permit);
            });
            return;
        };
        let connection = Connection::new(peer, options, shutdown, place.waiting);
        // That thread's runtime is to hear of what comes in.
        let stream = stream.into_std();
        let served = async move {
            let _seat = place.seat;
            match stream.and_then(TcpStream::from_std) {
                Ok(stream) => connection.serve(stream, router).await,
                Err(error) => tracing::warn!(%peer, %error, "the connection cannot be served"),
            }
            drop(permit);
        };
        connections.spawn_on(served, &place.runtime);
    }
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
