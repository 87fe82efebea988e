//! Apache Kafka: a KRaft broker and controller in a temporary folder, and brokers that join it.

mod jars;
mod options;

pub use options::Options;

use crate::kafka::jars::Jars;
use crate::proxy::Proxy;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Kills the broker when its standard input ends: the test process is gone, and the folder goes too unless it was told
/// to keep it. Ends with the broker.
const UNTIL_STDIN_ENDS: &str = r#"exec 3<&0; "$@" 3<&- & server=$!; echo $server >pid
{ read -r told <&3; kill -KILL $server 2>/dev/null; [ "$told" = keep ] || rm -rf "$PWD"; } & exec 3<&-; wait $server"#;
const KEEP: &[u8] = b"keep\n";
const DEADLINE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(30);
const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";

/// Ends when it is dropped, or with the test process.
pub struct Broker {
    jars: Jars,
    folder: TempDir,
    ports: Ports,
    proxy: Option<Proxy>,
    running: Option<Child>,
}

pub(crate) struct Ports {
    pub(crate) plaintext: u16,
    pub(crate) controller: u16,
    pub(crate) sasl: u16,
    pub(crate) tls: u16,
}

impl Broker {
    /// `None`, said loudly, where there is no Kafka to start; a panic instead with `REQUIRE_SERVICES=1`.
    pub async fn start() -> Option<Self> {
        Self::start_with(&Options::default()).await
    }

    pub async fn start_with(options: &Options) -> Option<Self> {
        match Jars::get() {
            Ok(jars) => Some(Self::started(jars, options).await),
            Err(why) => {
                skipped(&why);
                None
            }
        }
    }

    async fn started(jars: Jars, options: &Options) -> Self {
        let folder = tempfile::tempdir().expect("temporary folders can be made");
        let ports = free_ports();
        let own = format!("127.0.0.1:{}", ports.plaintext);
        let proxy = options.behind_proxy.then(|| Proxy::start(&own));
        let reached_at = proxy.as_ref().map_or(ports.plaintext, Proxy::port);
        let properties = options.properties(folder.path(), &ports, reached_at);
        std::fs::write(folder.path().join("server.properties"), properties).expect("the folder is ours");
        let mut broker = Self {
            jars,
            folder,
            ports,
            proxy,
            running: None,
        };
        broker.format(options).await;
        broker.restart().await;
        broker
    }

    async fn format(&self, options: &Options) {
        let mut format = self.java("kafka.tools.StorageTool", "format.log");
        format
            .args(["format", "-t", CLUSTER_ID, "-c"])
            .arg(self.properties());
        for user in options.scram_users() {
            format.args(["--add-scram", &user]);
        }
        let mut format = format.stdin(Stdio::null()).spawn().expect("java starts");
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = format.try_wait().expect("a child of ours") {
                assert!(status.success(), "format: {}", self.output("format.log"));
                return;
            }
            assert!(Instant::now() < deadline, "format: {}", self.output("format.log"));
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Starts it again on the same port and data, and waits until it answers.
    pub async fn restart(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(self.pid_file());
        let mut java = self.java("kafka.Kafka", "broker.log");
        java.arg(self.properties());
        let child = Command::new("sh")
            .current_dir(self.folder.path())
            .args(["-c", UNTIL_STDIN_ENDS, "sh"])
            .arg(java.get_program())
            .args(java.get_args())
            .stdin(Stdio::piped())
            .stdout(self.log_file("broker.log"))
            .stderr(self.log_file("broker.log"))
            .spawn()
            .expect("sh starts");
        self.running = Some(child);
        let deadline = Instant::now() + DEADLINE;
        while !answers(self.ports.plaintext) {
            let ended = self
                .running
                .as_mut()
                .and_then(|child| child.try_wait().ok())
                .flatten();
            let in_time = ended.is_none() && Instant::now() < deadline;
            assert!(in_time, "Kafka does not start: {}", self.output("broker.log"));
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// In good order: data flushed, leadership given up.
    pub async fn stop(&mut self) {
        self.signal("TERM");
        let deadline = Instant::now() + DEADLINE;
        while let Some(child) = self.running.as_mut() {
            if child.try_wait().expect("a child of ours").is_some() {
                self.kill();
                return;
            }
            assert!(Instant::now() < deadline, "Kafka does not stop");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// At once, as kill -9 does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            if let Some(mut stdin) = child.stdin.take() {
                // Where it has ended by itself nobody listens.
                let _ = stdin.write_all(KEEP);
            }
            child.wait().expect("a child of ours");
        }
    }

    /// Connections stay open and nobody answers.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// For `KAFKA_BROKERS`, without security.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.proxy.as_ref().map_or(self.ports.plaintext, Proxy::port)
    }

    /// The way that clients take, with [`Options::behind_proxy`].
    pub fn network(&mut self) -> Option<&mut Proxy> {
        self.proxy.as_mut()
    }

    /// Of the listener that asks for a name and a password ([`Options::sasl`]).
    #[must_use]
    pub fn sasl_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports.sasl)
    }

    /// Of the encrypted listener that asks for a name and a password ([`Options::tls`]).
    #[must_use]
    pub fn tls_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports.tls)
    }

    /// A class with a `main`, such as `org.apache.kafka.tools.ConsumerGroupCommand`, run to its end.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn run(&self, class: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("java");
        let ran = command
            .args([
                "-Xmx128m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-cp",
                &self.jars.class_path(),
                class,
            ])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("java starts");
        assert!(
            ran.status.success(),
            "{class}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    fn java(&self, class: &str, log: &str) -> Command {
        let mut command = Command::new("java");
        command
            .args([
                "-Xmx384m",
                "-XX:+UseSerialGC",
                "-cp",
                &self.jars.class_path(),
                class,
            ])
            .current_dir(self.folder.path())
            .stdout(self.log_file(log))
            .stderr(self.log_file(log));
        command
    }

    fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.pid_file()).unwrap_or_default();
        if !pid.trim().is_empty() {
            let sent = Command::new("kill").args(["-s", signal, pid.trim()]).status();
            assert!(
                sent.is_ok_and(|status| status.success()),
                "the broker does not run"
            );
        }
    }

    fn properties(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    fn log_file(&self, name: &str) -> File {
        let path = self.folder.path().join(name);
        let opened = File::options().create(true).append(true).open(path);
        opened.expect("the folder is ours")
    }

    fn output(&self, log: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(log)).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks which requests it knows: answered once it serves, not as soon as its port is open.
fn answers(port: u16) -> bool {
    const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    let ask = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        stream.write_all(&API_VERSIONS)?;
        stream.read_exact(&mut [0; 8])
    };
    ask().is_ok()
}

/// All are held at once, so that they differ.
fn free_ports() -> Ports {
    let listeners: [TcpListener; 4] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    let [plaintext, controller, sasl, tls] =
        listeners.map(|listener| listener.local_addr().expect("it is bound").port());
    Ports {
        plaintext,
        controller,
        sasl,
        tls,
    }
}

fn skipped(why: &str) {
    assert!(
        std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
        "REQUIRE_SERVICES=1, and {why}"
    );
    // On a line of its own: a lone test thread has printed the test's name before.
    let line = format!("\nSKIPPED: tests on Kafka: {why}\n");
    // Not by a macro, whose output a passing test swallows.
    std::io::stdout()
        .write_all(line.as_bytes())
        .expect("stdout is open");
}
