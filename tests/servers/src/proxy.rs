//! A TCP proxy that misbehaves on demand: a slow network, one that is cut, one that swallows what it is given.

#![expect(
    clippy::unwrap_used,
    reason = "a test's proxy that does not start is a failed test"
)]

mod pipe;

use crate::ports::free_port;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What happens to connections, those that exist and new ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Everything passes at once.
    None,
    /// Each way takes this much longer; the bandwidth stays.
    Delay(Duration),
    /// Each way of each connection passes so many bytes a second.
    Throttle { bytes_per_second: u32 },
    /// Connections are accepted and kept, and nothing passes, not even their end. What was held passes later.
    Stall,
    /// Connections are reset, and new ones refused.
    Cut,
}

/// It works on a thread of its own, so that a test that blocks does not hold it up. Ends when dropped.
pub struct Proxy {
    port: u16,
    fault: watch::Sender<Fault>,
    losses: watch::Sender<()>,
    /// One message for each fault that holds.
    settled: mpsc::UnboundedReceiver<()>,
}

impl Proxy {
    /// Passes everything on to `upstream`, `host:port`, which need not be there yet.
    pub fn start(upstream: &str) -> Self {
        let (fault, faults) = watch::channel(Fault::None);
        let (losses, lost) = watch::channel(());
        let (on_settled, settled) = mpsc::unbounded_channel();
        let port = free_port();
        let upstream = upstream.to_owned();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(port, &upstream, faults, lost, on_settled));
        });
        let mut proxy = Self {
            port,
            fault,
            losses,
            settled,
        };
        proxy.wait();
        proxy
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Holds when it returns.
    pub fn set(&mut self, fault: Fault) {
        if self
            .fault
            .send_if_modified(|held| std::mem::replace(held, fault) != fault)
        {
            self.wait();
        }
    }

    /// The connections that exist pass nothing any more, not even their end, while new ones do: a firewall that has forgotten
    /// them.
    pub fn lose_connections(&self) {
        self.losses.send_replace(());
    }

    /// On a thread that may belong to a runtime: no blocking call of the channel.
    fn wait(&mut self) {
        while self.settled.try_recv().is_err() {
            assert!(!self.settled.is_closed(), "the proxy has ended");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

async fn serve(
    port: u16,
    upstream: &str,
    mut faults: watch::Receiver<Fault>,
    lost: watch::Receiver<()>,
    on_settled: mpsc::UnboundedSender<()>,
) {
    let mut listener = None;
    let mut connections = JoinSet::new();
    loop {
        let fault = *faults.borrow_and_update();
        if fault == Fault::Cut {
            listener = None;
            // Each sees the fault for itself.
            while connections.join_next().await.is_some() {}
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(("127.0.0.1", port)).await.unwrap());
        }
        let _ = on_settled.send(());
        loop {
            tokio::select! {
                changed = faults.changed() => match changed {
                    Ok(()) => break,
                    Err(_dropped) => return,
                },
                Some(client) = next(listener.as_ref()) => {
                    let mut lost = lost.clone();
                    lost.mark_unchanged();
                    connections.spawn(pipe::join(client, upstream.to_owned(), faults.clone(), lost));
                }
                Some(_ended) = connections.join_next() => {}
            }
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> Option<TcpStream> {
    let accepted = listener?.accept().await;
    accepted.ok().map(|(client, _)| client)
}
