//! One service as a process of its own.

use crate::eventually;
use crate::program::{command, signal};
use reqwest::StatusCode;
use serde_json::Value;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// Ended when dropped.
pub struct Service {
    name: &'static str,
    folder: PathBuf,
    port: u16,
    metrics_port: u16,
    pub settings: Vec<(&'static str, String)>,
    running: Option<Child>,
}

impl Service {
    /// Not started yet. Its folder is made.
    pub fn new(name: &'static str, folder: PathBuf, settings: &[(&'static str, String)]) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            name,
            folder,
            port: free_port(),
            metrics_port: free_port(),
            settings: settings.to_vec(),
            running: None,
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.metrics_port)
    }

    /// At the same address and on the same folder each time.
    pub fn start(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let child = command(self.name)
            .env("HTTP_ADDR", format!("127.0.0.1:{}", self.port))
            .env("METRICS_ADDR", format!("127.0.0.1:{}", self.metrics_port))
            .env("DATA_DIR", &self.folder)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.running = Some(child);
    }

    pub async fn ready(&mut self, client: &reqwest::Client) {
        let url = format!("{}/ready", self.url());
        let log = self.log();
        if let Some(child) = &mut self.running {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended: {}", self.name, tail(&log));
        }
        let ready = tokio::time::timeout(
            std::time::Duration::from_secs(60),
            eventually(self.name, || async {
                let answer = client.get(&url).send().await.ok()?;
                (answer.status() == StatusCode::OK).then_some(())
            }),
        );
        ready
            .await
            .unwrap_or_else(|_| panic!("{} is not ready: {}", self.name, tail(&log)));
    }

    /// SIGKILL: no time to say goodbye.
    pub fn kill_9(&mut self) {
        let mut child = self.running.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGSTOP: nothing of it runs until [`Service::resume`], and what it holds open stays open.
    pub fn pause(&self) {
        signal(self.running.as_ref().expect("it runs"), "STOP");
    }

    pub fn resume(&self) {
        signal(self.running.as_ref().expect("it runs"), "CONT");
    }

    /// The metric, or the sum over its series; `None` while it cannot be asked or has none.
    pub async fn metric(&self, client: &reqwest::Client, name: &str) -> Option<f64> {
        let answer = client.get(format!("{}/metrics", self.metrics_url())).send();
        let text = answer.await.ok()?.text().await.ok()?;
        let values: Vec<f64> = text
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Whether it says that it is ready; `None` while it cannot be asked.
    pub async fn is_ready(&self, client: &reqwest::Client) -> Option<bool> {
        let answer = client.get(format!("{}/ready", self.url())).send().await.ok()?;
        Some(answer.status() == StatusCode::OK)
    }

    /// What it has logged so far, line by line.
    pub fn logged(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Whether it runs, and the last lines of its log.
    pub fn last_words(&mut self) -> String {
        let state = match self.running.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => "runs".to_owned(),
            Some(Ok(Some(status))) => format!("has ended by itself, {status}"),
            Some(Err(error)) => format!("cannot be asked: {error}"),
            None => "was killed".to_owned(),
        };
        format!(
            "{} on port {} {state}\n{}",
            self.name,
            self.port,
            tail(&self.log())
        )
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// Free now; nobody else on this machine takes it before the service does, or the test fails and says so.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
