//! Redis: a single node, or a Cluster of six.
//!
//! The server programs are those on the path; `REDIS_PROGRAMS` names another folder of them, also of Valkey.

#![expect(
    clippy::unwrap_used,
    reason = "a test's server that does not start is a failed test"
)]

mod cluster;
mod node;
mod programs;
mod slot_move;

pub use cluster::Cluster;
pub use node::Node;
pub use programs::is_installed;
pub use slot_move::SlotMove;

/// How a server is set up. Everything left out: no password, no TLS, no limit of memory, nothing on disk.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub password: Option<String>,
    /// As in `redis.conf`: `20mb`. Full memory refuses writes (`noeviction`).
    pub max_memory: Option<String>,
    /// Takes connections by TLS alone. Its certificate is for 127.0.0.1, see [`Node::authority`].
    pub tls: bool,
    /// Every write is in a file before the next second, so that a restart finds it.
    pub append_only: bool,
    /// Clients reach it through [`Node::network`], which can be made bad. A Cluster's nodes copy from each other through it too;
    /// what they tell each other of their health goes by another way.
    pub behind_proxy: bool,
    /// More lines of `redis.conf`: a name and its value.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// With one more line of `redis.conf`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}
