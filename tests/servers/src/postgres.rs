//! PostgreSQL, with standbys, TLS and a pooler before it.
//!
//! The server programs are the newest in Debian's place or on the path; `POSTGRES_PROGRAMS` names another folder of them.

#![expect(
    clippy::unwrap_used,
    reason = "a test's server that does not start is a failed test"
)]

mod pgbouncer;
mod programs;
mod restore;

pub use pgbouncer::PgBouncer;
pub use programs::{is_installed, program};

use crate::certificates::Certificates;
use programs::{Account, folder_for, unprivileged};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ends the server when its standard input ends: by `stop`, or because the test process is gone. A paused one has to go
/// on to hear of it.
const UNTIL_STDIN_ENDS: &str =
    r#""$@" & server=$!; cat >/dev/null; kill -QUIT $server; kill -CONT $server; wait $server"#;
const DEADLINE: Duration = Duration::from_secs(60);

/// A server in a temporary folder, on a free port of 127.0.0.1. The user is `postgres`, without a password.
pub struct Server {
    account: Account,
    folder: TempDir,
    pub port: u16,
    settings: Vec<String>,
    running: Option<Child>,
    databases: AtomicU32,
}

impl Server {
    /// `None`, said loudly, where there is no PostgreSQL to start.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// With settings of `postgresql.conf`, as `name=value`.
    pub async fn start_with(settings: &[&str]) -> Option<Self> {
        let mut server = Self::initialized()?;
        server.settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        server.resume().await;
        Some(server)
    }

    /// Takes connections by TLS alone. Its certificate is for 127.0.0.1.
    pub async fn start_with_tls() -> Option<(Self, Certificates)> {
        let mut server = Self::initialized()?;
        let certificates = Certificates::new();
        let data = server.data();
        for (from, to) in [
            (certificates.certificate(), "server.crt"),
            (certificates.key(), "server.key"),
        ] {
            let to = data.join(to);
            std::fs::copy(from, &to).unwrap();
            server.account.own(&to);
        }
        let access = "hostssl all all 127.0.0.1/32 trust\n";
        std::fs::write(data.join("pg_hba.conf"), access).unwrap();
        server.settings.push("ssl=on".to_owned());
        server.resume().await;
        Some((server, certificates))
    }

    fn initialized() -> Option<Self> {
        let server = Self::stopped(programs::account()?);
        let options = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ];
        server.make_data("initdb", &options);
        Some(server)
    }

    /// A standby that confirms every commit before this server acknowledges it.
    pub async fn synchronous_standby(&self) -> Self {
        let standby = self.standby().await;
        self.execute("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
            .await;
        self.execute("postgres", "SELECT pg_reload_conf()").await;
        standby
    }

    /// A standby that follows as fast as it can.
    pub async fn standby(&self) -> Self {
        let mut standby = Self::stopped(self.account.clone());
        standby.settings.clone_from(&self.settings);
        let from = format!("--dbname={}", self.url("postgres"));
        standby.make_data(
            "pg_basebackup",
            &[&from, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"],
        );
        standby.resume().await;
        standby
    }

    fn stopped(account: Account) -> Self {
        Self {
            folder: folder_for(&account),
            account,
            port: free_port(),
            settings: Vec::new(),
            running: None,
            databases: AtomicU32::new(0),
        }
    }

    fn make_data(&self, program: &str, arguments: &[&str]) {
        self.make_data_in(program, arguments, &self.data());
    }

    fn make_data_in(&self, program: &str, arguments: &[&str], folder: &Path) {
        let mut command = unprivileged(Command::new(self.account.program(program)), &self.account);
        let made = command
            .current_dir(self.folder.path())
            .args(arguments)
            .arg("-D")
            .arg(folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it, again on the same port and data, and waits until it answers.
    pub async fn resume(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = unprivileged(Command::new("sh"), &self.account)
            .current_dir(self.folder.path())
            .args(["-c", UNTIL_STDIN_ENDS, "sh"])
            .arg(self.account.program("postgres"))
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(self.settings.iter().flat_map(|setting| ["-c", setting]))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running = Some(child);
        let deadline = Instant::now() + DEADLINE;
        while let Err(error) = PgConnection::connect(&self.url("postgres")).await {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{error}: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// At once, without a checkpoint: as if its machine had failed, but clients are told.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }

    /// All its processes, with -9.
    pub fn kill(&mut self) {
        self.signal("-KILL");
        self.stop();
    }

    /// It takes connections and answers nothing, as a machine that hangs.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// The end of [`Server::pause`].
    pub fn unpause(&self) {
        self.signal("-CONT");
    }

    /// From standby to primary; returns once it takes writes.
    pub async fn promote(&self) {
        self.execute("postgres", "SELECT pg_promote()").await;
    }

    /// To the server and the processes of its sessions, which it starts as its children.
    fn signal(&self, signal: &str) {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let server = file.lines().next().unwrap().trim();
        let signalled = |ids: &[&str]| Command::new("kill").arg(signal).args(ids).status().unwrap();
        // First the server, so that it starts no further ones.
        assert!(signalled(&[server]).success());
        let children =
            std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap_or_default();
        let children: Vec<&str> = children.split_whitespace().collect();
        if !children.is_empty() {
            // One of them may have ended by itself.
            signalled(&children);
        }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// For psql and pgbench.
    pub fn address_options(&self) -> [String; 3] {
        let port = format!("--port={}", self.port);
        [
            "--host=127.0.0.1".to_owned(),
            port,
            "--username=postgres".to_owned(),
        ]
    }

    pub async fn execute(&self, database: &str, sql: &str) {
        let mut connection = PgConnection::connect(&self.url(database)).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// A new, empty database.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.execute("postgres", &format!("CREATE DATABASE {name}")).await;
        name
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
