//! A PostgreSQL server in a temporary folder.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use storage_postgres::{PostgresStore, Settings};
use tempfile::TempDir;

/// Ends the server when its standard input ends: by `stop`, or because the test process is gone.
const UNTIL_STDIN_ENDS: &str = r#""$@" & server=$!; cat >/dev/null; kill -QUIT $server; wait $server"#;
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    programs: PathBuf,
    user: Option<(u32, u32)>,
    folder: TempDir,
    pub(crate) port: u16,
    running: Option<Child>,
    databases: AtomicU32,
}

impl Server {
    /// `None`, said loudly, where there is no PostgreSQL to start.
    pub(crate) async fn start() -> Option<Self> {
        let mut server = match (programs(), unprivileged_user()) {
            (Some(programs), Ok(user)) => Self::stopped(programs, user),
            (None, _) => return skipped("PostgreSQL's server programs are not installed"),
            (_, Err(why)) => return skipped(why),
        };
        server.run(
            "initdb",
            &[
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
        );
        server.resume().await;
        Some(server)
    }

    /// A standby that confirms every commit before the primary acknowledges it.
    pub(crate) async fn synchronous_standby(&self) -> Self {
        let mut standby = Self::stopped(self.programs.clone(), self.user);
        let primary = format!("--dbname={}", self.url("postgres"));
        standby.run(
            "pg_basebackup",
            &[
                &primary,
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ],
        );
        standby.resume().await;
        self.execute("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
            .await;
        self.execute("postgres", "SELECT pg_reload_conf()").await;
        standby
    }

    fn stopped(programs: PathBuf, user: Option<(u32, u32)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        Self {
            programs,
            user,
            folder,
            port: free_port(),
            running: None,
            databases: AtomicU32::new(0),
        }
    }

    /// A program that makes the data folder.
    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = self.unprivileged(Command::new(self.programs.join(program)));
        let made = command
            .args(arguments)
            .arg("-D")
            .arg(self.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server refuses to run as root.
    fn unprivileged(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Starts it, again on the same port and data, and waits until it answers.
    pub(crate) async fn resume(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = self
            .unprivileged(Command::new("sh"))
            .args(["-c", UNTIL_STDIN_ENDS, "sh"])
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
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

    /// At once, without a checkpoint: as if its machine had failed.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) async fn execute(&self, database: &str, sql: &str) {
        let mut connection = PgConnection::connect(&self.url(database)).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// A new, empty database.
    pub(crate) async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.execute("postgres", &format!("CREATE DATABASE {name}")).await;
        name
    }

    pub(crate) async fn store(&self, database: &str) -> PostgresStore {
        let store = store_at(&self.url(database));
        store.migrate().await.unwrap();
        store
    }
}

pub(crate) fn store_at(url: &str) -> PostgresStore {
    let settings = Settings {
        database_url: url.to_owned(),
        replica_url: None,
        pool_size: 8,
    };
    PostgresStore::new(&settings).unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn skipped(why: &str) -> Option<Server> {
    assert!(
        std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
        "REQUIRE_SERVICES=1, and {why}"
    );
    // On a line of its own: a lone test thread has printed the test's name before.
    let line = format!("\nSKIPPED: tests on PostgreSQL: {why}\n");
    // Not by a macro, whose output a passing test swallows.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The folder of `initdb` and `postgres`: of the newest version in Debian's place, or on the path.
fn programs() -> Option<PathBuf> {
    let version = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            Some((version(&folder)?, folder.join("bin")))
        })
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    let path = std::env::var_os("PATH").unwrap_or_default();
    versions
        .into_iter()
        .map(|(_, folder)| folder)
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// User and group to run the server as; `None` for those of the test.
fn unprivileged_user() -> Result<Option<(u32, u32)>, &'static str> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    found
        .map(Some)
        .ok_or("root may not run PostgreSQL, and there is no user postgres")
}
