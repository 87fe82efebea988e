//! One server process.

use super::Options;
use super::programs::{Programs, programs};
use crate::certificates::Certificates;
use crate::ports::{BUS_DISTANCE, free_port};
use crate::proxy::Proxy;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ends the server when its standard input ends, by `kill` or because the test process is gone; ends it with the signal
/// that is written there before. A paused one has to go on to hear of it.
const UNTIL_STDIN_ENDS: &str = r#""$@" >/dev/null & server=$!; echo $server; read -r signal; kill -${signal:-KILL} $server; kill -CONT $server; wait $server"#;
const DEADLINE: Duration = Duration::from_secs(30);
/// Of a command: a paused server answers nothing.
const COMMAND_SECONDS: &str = "5";

/// A server in a temporary folder, on a free port of 127.0.0.1.
pub struct Node {
    programs: Programs,
    options: Options,
    certificates: Option<Arc<Certificates>>,
    folder: TempDir,
    port: u16,
    proxy: Option<Proxy>,
    running: Option<Running>,
}

struct Running {
    shell: Child,
    server: u32,
}

impl Node {
    /// `None`, said loudly, where there is no Redis to start.
    pub async fn start(options: &Options) -> Option<Self> {
        programs()?;
        Self::start_as(options, options.tls.then(Certificates::new).map(Arc::new)).await
    }

    /// As one of several, whom one authority vouches for.
    pub(super) async fn start_as(options: &Options, certificates: Option<Arc<Certificates>>) -> Option<Self> {
        let programs = programs()?;
        let mut node = Self {
            programs,
            options: options.clone(),
            certificates,
            folder: tempfile::tempdir().unwrap(),
            port: free_port(),
            proxy: None,
            running: None,
        };
        // Another process may have been given the same port.
        for _ in 0..5 {
            node.proxy = options.behind_proxy.then(|| Proxy::start(&node.own_addr()));
            if node.try_start().await {
                return Some(node);
            }
            node.kill();
            node.port = free_port();
        }
        panic!("redis does not start: {}", node.log());
    }

    /// `host:port`, where clients reach it.
    pub fn addr(&self) -> String {
        match &self.proxy {
            Some(proxy) => proxy.addr(),
            None => self.own_addr(),
        }
    }

    /// Past any proxy.
    pub(super) fn own_addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The way that clients take, with [`Options::behind_proxy`].
    pub fn network(&mut self) -> Option<&mut Proxy> {
        self.proxy.as_mut()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://` or `rediss://`, with the password.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        match &self.options.password {
            Some(password) => format!("{scheme}://:{password}@{}", self.addr()),
            None => format!("{scheme}://{}", self.addr()),
        }
    }

    /// Of the authority that signed its certificate: what a client by TLS trusts.
    pub fn authority(&self) -> Option<PathBuf> {
        self.certificates.as_ref().map(|of| of.authority())
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Runs one command with `redis-cli`; the answer without its line's end. Whatever is wrong, an error of the server
    /// included, is the other text.
    pub async fn command(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("timeout");
        command.arg(COMMAND_SECONDS).arg(&self.programs.client).arg("-e");
        self.reach(&mut command).args(words);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(format!("{}{}", text(&output.stdout), text(&output.stderr)))
    }

    /// Ends it as an operator would: what it keeps on disk is complete.
    pub fn stop(&mut self) {
        self.end(b"TERM\n");
    }

    /// As if its machine had failed.
    pub fn kill(&mut self) {
        self.end(b"");
    }

    /// It keeps its connections and answers nothing: a machine that hangs.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Starts it again on its port and data, and waits until it answers. Ends it first if it runs.
    pub async fn restart(&mut self) {
        self.kill();
        assert!(
            self.try_start().await,
            "redis does not start again: {}",
            self.log()
        );
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The folder of its data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Whether it answers; a server that cannot use its port ends at once.
    async fn try_start(&mut self) -> bool {
        let mut shell = Command::new("sh")
            .current_dir(self.folder.path())
            .args(["-c", UNTIL_STDIN_ENDS, "sh"])
            .arg(&self.programs.server)
            .args(self.settings())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let server = line.trim().parse().unwrap();
        self.running = Some(Running { shell, server });
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline && !has_ended(server) {
            if self.is_ours(server).await {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Also that it is not another test's server that answers on the port.
    async fn is_ours(&self, server: u32) -> bool {
        let info = self.command(&["INFO", "server"]).await.unwrap_or_default();
        let ours = format!("process_id:{server}");
        info.lines().any(|line| line.trim() == ours) && self.command(&["PING"]).await.as_deref() == Ok("PONG")
    }

    fn settings(&self) -> Vec<String> {
        let port = self.port.to_string();
        let (plain, tls) = if self.options.tls {
            ("0", &*port)
        } else {
            (&*port, "0")
        };
        let mut settings = vec![
            ("bind".to_owned(), "127.0.0.1".to_owned()),
            ("port".to_owned(), plain.to_owned()),
            ("logfile".to_owned(), "log".to_owned()),
            ("maxmemory-policy".to_owned(), "noeviction".to_owned()),
            ("save".to_owned(), String::new()),
        ];
        let mut set = |name: &str, value: &str| settings.push((name.to_owned(), value.to_owned()));
        if let Some(certificates) = &self.certificates {
            set("tls-port", tls);
            set("tls-cert-file", &certificates.certificate().to_string_lossy());
            set("tls-key-file", &certificates.key().to_string_lossy());
            set("tls-ca-cert-file", &certificates.authority().to_string_lossy());
            set("tls-auth-clients", "no");
        }
        if let Some(password) = &self.options.password {
            set("requirepass", password);
            set("masterauth", password);
        }
        if let Some(proxy) = &self.proxy {
            set("cluster-announce-ip", "127.0.0.1");
            set("cluster-announce-port", &proxy.port().to_string());
            set(
                "cluster-announce-bus-port",
                &(self.port + BUS_DISTANCE).to_string(),
            );
        }
        if let Some(max_memory) = &self.options.max_memory {
            set("maxmemory", max_memory);
        }
        if self.options.append_only {
            set("appendonly", "yes");
        }
        settings.extend(self.options.settings.iter().cloned());
        let words = settings
            .into_iter()
            .flat_map(|(name, value)| [format!("--{name}"), value]);
        words.collect()
    }

    /// Address and credentials, as arguments of `redis-cli`.
    pub(super) fn reach<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if let Some(authority) = self.authority() {
            command.arg("--tls").arg("--cacert").arg(authority);
        }
        if let Some(password) = &self.options.password {
            command.args(["--no-auth-warning", "-a", password]);
        }
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
    }

    pub(super) fn client(&self) -> Command {
        Command::new(&self.programs.client)
    }

    fn signal(&self, name: &str) {
        let running = self.running.as_ref().expect("the server runs");
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(running.server.to_string())
            .status()
            .unwrap();
        assert!(sent.success(), "cannot send SIG{name}");
    }

    fn end(&mut self, signal: &[u8]) {
        if let Some(mut running) = self.running.take() {
            if let Some(mut input) = running.shell.stdin.take() {
                // Fails only when the shell is gone, and the server with it.
                let _ = input.write_all(signal);
            }
            running.shell.wait().unwrap();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Its shell waits for it only when told to end it: until then it is a zombie.
fn has_ended(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_none_or(|rest| rest.starts_with('Z') || rest.is_empty())
}
