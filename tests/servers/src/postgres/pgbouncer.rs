//! A transaction pooler: each transaction of a client may run on another connection to the server.

use super::programs::{Account, account, folder_for, skipped, unprivileged};
use super::{DEADLINE, Server, free_port};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const UNTIL_STDIN_ENDS: &str = r#""$@" & server=$!; cat >/dev/null; kill -TERM $server; wait $server"#;

/// `pgbouncer` before a [`Server`], in transaction mode, with few connections to it, so that they are shared.
pub struct PgBouncer {
    folder: TempDir,
    pub port: u16,
    running: Option<Child>,
}

impl PgBouncer {
    /// `None`, said loudly, where it is not installed.
    pub async fn before(server: &Server) -> Option<Self> {
        let Some(program) = program() else {
            return skipped("pgbouncer is not installed");
        };
        let account = account()?;
        let mut pooler = Self {
            folder: folder_for(&account),
            port: free_port(),
            running: None,
        };
        pooler.configure(server.port);
        pooler.run(program, &account).await;
        Some(pooler)
    }

    fn configure(&self, server_port: u16) {
        let users = self.folder.path().join("users");
        std::fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={server_port}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 3\n\
             max_client_conn = 500\nserver_idle_timeout = 1\nserver_round_robin = 1\n",
            self.port,
            users.display()
        );
        std::fs::write(self.folder.path().join("pgbouncer.ini"), text).unwrap();
    }

    async fn run(&mut self, program: PathBuf, account: &Account) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = unprivileged(Command::new("sh"), account)
            .current_dir(self.folder.path())
            .args(["-c", UNTIL_STDIN_ENDS, "sh"])
            .arg(program)
            .arg("pgbouncer.ini")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running = Some(child);
        let deadline = Instant::now() + DEADLINE;
        while let Err(error) = TcpStream::connect(("127.0.0.1", self.port)) {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{error}: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Without prepared statements, which poolers before 1.21 do not follow from one connection to the next.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/{database}?statement-cache-capacity=0",
            self.port
        )
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Debian keeps it where only root's path leads.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.exists())
}
