//! A server under load: a process of its own on the first core.

use anyhow::Context;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_PATIENCE: Duration = Duration::from_secs(60);

/// Of a request of the load: `tmax` less the network's margin. The next bound that the metric tells apart is 50 ms.
const BUDGET_BUCKET_SECONDS: &str = "0.05";

/// Bid requests by what became of them.
pub(crate) struct Counted {
    /// Refused.
    pub shed: f64,
    /// Not bid on since the budget was over.
    pub late: f64,
    /// Whatever they came to, within the budget by the server's clock.
    pub in_budget: f64,
    pub all: f64,
}

/// Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub addr: SocketAddr,
    /// Where it tells its metrics, if it does.
    metrics_addr: Option<SocketAddr>,
}

impl Server {
    /// The bare endpoint, answering with `length` bytes.
    pub(crate) fn bare(length: usize) -> anyhow::Result<Self> {
        let addr = free_addr()?;
        let mut command = pinned("bare-endpoint", 0)?;
        command.arg(addr.to_string()).arg(length.to_string());
        Self::start(command, addr)
    }

    /// The bidding-service on embedded storage in `data_dir`, which holds its campaigns already.
    pub(crate) fn bidding(data_dir: &Path) -> anyhow::Result<Self> {
        Self::bidding_with(data_dir, &[])
    }

    /// As [`Server::bidding`], with more settings.
    pub(crate) fn bidding_with(data_dir: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::bidder(pinned("bidding-service", 0)?, data_dir, settings)
    }

    pub(crate) fn bidding_on_all_cores(data_dir: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::bidder(Command::new(sibling("bidding-service")?), data_dir, settings)
    }

    /// As [`Server::bidding_on_all_cores`], and waited for until it answers at all: [`Server::until_ready`] waits for the rest.
    pub(crate) fn bidding_before_its_log(data_dir: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let server = Self::bidder_begun(Command::new(sibling("bidding-service")?), data_dir, settings)?;
        server.until(|readiness| readiness.is_some())?;
        Ok(server)
    }

    fn bidder(command: Command, data_dir: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let server = Self::bidder_begun(command, data_dir, settings)?;
        server.until_ready()?;
        Ok(server)
    }

    fn bidder_begun(
        mut command: Command,
        data_dir: &Path,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let (addr, metrics) = (free_addr()?, free_addr()?);
        command
            .env("DATA_DIR", data_dir)
            .env("HTTP_ADDR", addr.to_string())
            .env("METRICS_ADDR", metrics.to_string())
            .env("PUBLIC_BIDDING_URL", format!("http://{addr}"))
            .env("LOG_LEVEL", "warn")
            .envs(settings.iter().copied());
        let mut server = Self::begin(command, addr)?;
        server.metrics_addr = Some(metrics);
        Ok(server)
    }

    /// The analytics-service on real servers.
    pub(crate) fn analytics(kafka: &str, database_url: &str, data_dir: &Path) -> anyhow::Result<Self> {
        let (addr, metrics) = (free_addr()?, free_addr()?);
        let mut command = pinned("analytics-service", 0)?;
        command
            .env("KAFKA_BROKERS", kafka)
            .env("DATABASE_URL", database_url)
            .env("DATA_DIR", data_dir)
            .env("HTTP_ADDR", addr.to_string())
            .env("METRICS_ADDR", metrics.to_string())
            .env("LOG_LEVEL", "warn");
        Self::start(command, addr)
    }

    /// The campaign-service on a real database, on every core: its client and the database share them.
    pub(crate) fn campaigns(database_url: &str, key: &str, data_dir: &Path) -> anyhow::Result<Self> {
        let (addr, metrics) = (free_addr()?, free_addr()?);
        let mut command = Command::new(sibling("campaign-service")?);
        command
            .env("DATABASE_URL", database_url)
            .env("DATA_DIR", data_dir)
            .env("ADMIN_API_KEY", key)
            .env("API_RATE_LIMIT_PER_SECOND", "1000000")
            .env("HTTP_ADDR", addr.to_string())
            .env("METRICS_ADDR", metrics.to_string())
            .env("LOG_LEVEL", "warn");
        Self::start(command, addr)
    }

    fn start(command: Command, addr: SocketAddr) -> anyhow::Result<Self> {
        let server = Self::begin(command, addr)?;
        server.until_ready()?;
        Ok(server)
    }

    fn begin(mut command: Command, addr: SocketAddr) -> anyhow::Result<Self> {
        let child = command
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self {
            child,
            addr,
            metrics_addr: None,
        })
    }

    /// Asks until it is ready.
    pub(crate) fn until_ready(&self) -> anyhow::Result<()> {
        self.until(|readiness| readiness == Some(true))
    }

    fn until(&self, wanted: impl Fn(Option<bool>) -> bool) -> anyhow::Result<()> {
        let give_up = Instant::now() + START_PATIENCE;
        while !wanted(is_ready(self.addr)) {
            anyhow::ensure!(
                Instant::now() < give_up,
                "the server on {} is not ready after {START_PATIENCE:?}",
                self.addr
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// User and system time that the process has used, in microseconds.
    pub(crate) fn cpu_us(&self) -> anyhow::Result<u64> {
        cpu_us(&self.child.id().to_string())
    }

    /// Nothing of it runs until [`Server::resume`].
    pub(crate) fn pause(&self) -> anyhow::Result<()> {
        self.signal("-STOP")
    }

    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()?;
        anyhow::ensure!(sent.success(), "kill {signal} failed");
        Ok(())
    }

    /// Memory that the process has in use.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages = text
            .split_whitespace()
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok());
        Ok(pages.context("statm says nothing")? * 4_096)
    }

    /// What a bidder has counted so far.
    pub(crate) fn counted(&self) -> anyhow::Result<Counted> {
        let text = self.metrics()?;
        let value = |series: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok())
                .unwrap_or_default()
        };
        Ok(Counted {
            shed: value("bid_requests_total{exchange=\"default\",outcome=\"shed\"}"),
            late: value("bid_requests_total{exchange=\"default\",outcome=\"late\"}"),
            in_budget: value(&format!(
                "bid_request_duration_seconds_bucket{{le=\"{BUDGET_BUCKET_SECONDS}\"}}"
            )),
            all: value("bid_request_duration_seconds_count"),
        })
    }

    /// The text of its metrics.
    fn metrics(&self) -> anyhow::Result<String> {
        let addr = self.metrics_addr.context("it tells no metrics")?;
        let mut stream = TcpStream::connect(addr)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// How many bytes the answer to a request has, its head apart.
    pub(crate) fn answer_bytes(&self, request: &[u8]) -> anyhow::Result<usize> {
        let answer = Connection::to(self.addr)?.post("/openrtb2/bid", request)?;
        anyhow::ensure!(!answer.is_empty(), "there is no bid");
        Ok(answer.len())
    }

    pub(crate) fn bid_url(&self) -> String {
        format!("http://{}/openrtb2/bid", self.addr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client's, kept alive: as little as a client can do, since it shares the machine with what is measured.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn to(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Status and body of the answer to a whole request, head and all.
    pub(crate) fn send(&mut self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        self.0.get_mut().write_all(request)?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no status: {line:?}"))?;
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((status, body))
    }

    /// The answer's body, empty where there is none.
    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        let (status, answer) = self.send(&request)?;
        anyhow::ensure!(status == 200 || status == 204, "{status}");
        Ok(answer)
    }
}

/// User and system time that a process (`self`: this one) has used, in microseconds.
pub(crate) fn cpu_us(process: &str) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The command's name, in parentheses, may hold spaces; fields count from after it.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = [11, 12]
        .iter()
        .map(|index| {
            fields
                .get(*index)
                .and_then(|ticks| ticks.parse::<u64>().ok())
                .unwrap_or_default()
        })
        .sum();
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok(ticks * 10_000)
}

/// A program of this workspace, built like this one, on the given core.
pub(crate) fn pinned(program: &str, core: u32) -> anyhow::Result<Command> {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(sibling(program)?);
    Ok(command)
}

fn sibling(program: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(program);
    anyhow::ensure!(
        path.exists(),
        "{} is not built; benches/run.sh builds it",
        path.display()
    );
    Ok(path)
}

fn free_addr() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// `None` while it does not answer.
fn is_ready(addr: SocketAddr) -> Option<bool> {
    let ask = || -> std::io::Result<Option<bool>> {
        let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /ready HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok((!answer.is_empty()).then(|| answer.starts_with(b"HTTP/1.1 200")))
    };
    ask().unwrap_or(None)
}
