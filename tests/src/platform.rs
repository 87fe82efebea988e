//! The whole platform in one process, driven over HTTP.

use crate::program::{command, signal};
use crate::waiting::eventually;
use jiff::Timestamp;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// `adplatform dev` on free ports, or the services by themselves. Killed when dropped.
pub struct Platform {
    /// One, or one for each service; none where somebody else starts and stops them.
    pub(crate) processes: Vec<Child>,
    pub campaigns: String,
    pub bidding: String,
    pub analytics: String,
    pub metrics: String,
    pub key: String,
    pub data_dir: PathBuf,
    pub client: Client,
    /// Holds the folder of a platform that was started without one.
    pub(crate) _folder: Option<TempDir>,
}

impl Platform {
    /// On a fresh store.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut platform = Self::start_in(folder.path()).await;
        platform._folder = Some(folder);
        platform
    }

    /// On the store in `data_dir`.
    pub async fn start_in(data_dir: &Path) -> Self {
        Self::start_by(command("adplatform"), data_dir, drop).await
    }

    /// On a fresh store, with a log of JSON at `directives`; the lines come in as they are written.
    pub async fn start_with_log(directives: &str) -> (Self, Arc<Mutex<Vec<String>>>) {
        let folder = tempfile::tempdir().unwrap();
        let mut program = command("adplatform");
        program.env("LOG_FORMAT", "json").env("LOG_LEVEL", directives);
        let log = Arc::new(Mutex::new(Vec::new()));
        let heard = log.clone();
        let hear = move |line: String| {
            if line.starts_with('{') {
                heard.lock().unwrap().push(line);
            }
        };
        let mut platform = Self::start_by(program, folder.path(), hear).await;
        platform._folder = Some(folder);
        (platform, log)
    }

    /// On the store in `data_dir`, where no file can grow beyond `kib` KiB: a disk that fills up.
    pub async fn start_on_a_small_disk(data_dir: &Path, kib: u64) -> Self {
        // The limit of the shell counts blocks of 512 bytes. Ignoring the signal turns it into a failed write.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
        let mut shell = Command::new("sh");
        shell
            .env_clear()
            .arg("-c")
            .arg(script)
            .arg(crate::program::path("adplatform"));
        Self::start_by(shell, data_dir, drop).await
    }

    /// `hear` gets every line of stdout.
    async fn start_by(
        mut command: Command,
        data_dir: &Path,
        hear: impl FnMut(String) + Send + 'static,
    ) -> Self {
        if !command.get_envs().any(|(name, _)| name == "LOG_LEVEL") {
            command.env("LOG_LEVEL", "warn");
        }
        let mut child = command
            .arg("dev")
            .args(["--campaign-addr", "127.0.0.1:0", "--bidding-addr", "127.0.0.1:0"])
            .args(["--analytics-addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0"])
            .env("DATA_DIR", data_dir)
            .env("API_RATE_LIMIT_PER_SECOND", "10000")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let said = tokio::task::spawn_blocking(move || read_greeting(stdout, hear))
            .await
            .unwrap();
        let word = |name: &str| {
            let line = said
                .iter()
                .find(|line| line.trim_start().starts_with(&format!("{name} ")));
            let line = line.unwrap_or_else(|| panic!("no line {name:?} in {said:#?}"));
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        let platform = Self {
            campaigns: word("campaigns"),
            bidding: word("bidding"),
            analytics: word("analytics"),
            metrics: word("metrics"),
            key: word("key"),
            data_dir: data_dir.to_owned(),
            client: client(),
            processes: vec![child],
            _folder: None,
        };
        platform.ready().await;
        platform
    }

    pub(crate) async fn ready(&self) {
        for base in [&self.campaigns, &self.bidding, &self.analytics] {
            let url = format!("{base}/ready");
            eventually("the platform is ready", || async {
                let answer = self.client.get(&url).send().await.ok()?;
                (answer.status() == StatusCode::OK).then_some(())
            })
            .await;
        }
    }

    pub fn signal(&self, name: &str) {
        self.processes.iter().for_each(|process| signal(process, name));
    }

    /// SIGKILL: no time to say goodbye.
    pub fn kill_9(mut self) -> PathBuf {
        for process in &mut self.processes {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        self.data_dir.clone()
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        for _ in 0..1_200 {
            if let Some(status) = self.processes[0].try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the platform did not end");
    }

    /// POST to the campaign API; must succeed.
    pub async fn create(&self, path: &str, body: Value) -> Value {
        let answer = self.post(path, &body).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "POST {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        let url = format!("{}{path}", self.campaigns);
        self.client
            .post(url)
            .bearer_auth(&self.key)
            .json(body)
            .send()
            .await
            .unwrap()
    }

    pub async fn patch(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.campaigns);
        let answer = self
            .client
            .patch(url)
            .bearer_auth(&self.key)
            .json(&body)
            .send()
            .await
            .unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "PATCH {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        self.with_key(&self.key).get(path).await
    }

    /// Status and body of the answer to a bid request.
    pub async fn offer(&self, request: impl Into<reqwest::Body>) -> (StatusCode, Vec<u8>) {
        let url = format!("{}/openrtb2/bid", self.bidding);
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(request);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    /// The response to a request that somebody must bid on, as soon as the bidder knows the campaign.
    pub async fn bid_on(&self, request: &Value) -> Value {
        eventually("a bid", || async {
            let (status, body) = self.offer(request.to_string()).await;
            assert!(matches!(status.as_u16(), 200 | 204), "{status}");
            (status == StatusCode::OK).then(|| serde_json::from_slice(&body).unwrap())
        })
        .await
    }

    /// Status of a GET, such as a notice.
    pub async fn hit(&self, url: &str) -> StatusCode {
        self.client.get(url).send().await.unwrap().status()
    }

    /// A report of all time around now, as one row: its totals.
    pub async fn report_totals(&self, metrics: &str) -> Value {
        self.with_key(&self.key).report_totals(metrics).await
    }

    /// The same platform, seen with another key.
    pub fn with_key(&self, key: &str) -> Tenant<'_> {
        Tenant {
            platform: self,
            key: key.to_owned(),
        }
    }

    /// One sample of a metric without labels, or the sum over its series.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self
            .client
            .get(&self.metrics)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        text.lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

/// A holder of some key.
pub struct Tenant<'a> {
    platform: &'a Platform,
    key: String,
}

impl Tenant<'_> {
    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.platform.campaigns);
        let answer = self
            .platform
            .client
            .get(url)
            .bearer_auth(&self.key)
            .send()
            .await
            .unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub async fn report_totals(&self, metrics: &str) -> Value {
        let (from, to) = around_now();
        let path = format!("/analytics/report?from={from}&to={to}&metrics={metrics}");
        self.get(&path).await["totals"].clone()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Follows no redirect: where a click leads is nobody's server.
pub(crate) fn client() -> Client {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// Reads up to and with the line that begins with `key`; what follows is drained, so that the process never blocks.
/// `hear` gets all of it.
fn read_greeting(
    stdout: impl std::io::Read + Send + 'static,
    mut hear: impl FnMut(String) + Send + 'static,
) -> Vec<String> {
    let mut lines = BufReader::new(stdout).lines();
    let mut said = Vec::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        let last = line.trim_start().starts_with("key ");
        hear(line.clone());
        said.push(line);
        if last {
            break;
        }
    }
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(hear));
    said
}

/// Two days ago to two days from now.
fn around_now() -> (Timestamp, Timestamp) {
    let now = Timestamp::now();
    // Reports are made of quarters of an hour.
    let quarter = now.as_second().div_euclid(900) * 900;
    let at = |days: i64| Timestamp::from_second(quarter + days * 86_400).unwrap();
    (at(-2), at(2))
}
