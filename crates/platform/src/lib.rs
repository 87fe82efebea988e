//! What every process of the platform needs, and nothing about ads: settings, logs, metrics, traces, health, the HTTP
//! stack and its server, soft and hard shutdown, a clock, and the one shared body of `main`.
//!
//! Promises:
//! - every mistake in the settings is reported at once, and no secret is ever printed;
//! - a panic or an unknown error in a handler becomes an opaque 500, logged once;
//! - readiness only ever goes on, until draining turns it off for good; liveness asks nobody;
//! - a request that was accepted before a shutdown is answered, within the hard limit.
//!
//! It must never know a campaign, an exchange or a price, nor depend on another crate of this workspace.

pub mod clock;
pub mod config;
pub mod health;
pub mod healthcheck;
pub mod http;
pub mod metrics;
pub mod process;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod traces;

pub use clock::Clock;
pub use config::{Backend, Backends, Environment, Mistakes, Refusals, Secret, SettingHelp, Settings};
pub use health::{Latch, Readiness};
pub use metrics::Metrics;
pub use process::{Process, ProcessSettings, Program, StartError, run};
pub use server::{Server, ServerOptions};
pub use shutdown::Shutdown;
pub use traces::Traces;
