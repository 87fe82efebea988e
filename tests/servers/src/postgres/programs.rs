//! Where the server programs are, and as whom they run: they refuse to run as root.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Programs and the user they run as.
#[derive(Clone)]
pub(super) struct Account {
    programs: PathBuf,
    /// User and group; `None` for those of the test.
    user: Option<(u32, u32)>,
}

impl Account {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Gives a file or folder to the server.
    pub(super) fn own(&self, path: &Path) {
        if let Some((uid, gid)) = self.user {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
    }
}

/// `None`, said loudly, where there is no PostgreSQL to start.
pub(super) fn account() -> Option<Account> {
    match (programs(), unprivileged_user()) {
        (Some(programs), Ok(user)) => Some(Account { programs, user }),
        (None, _) => skipped("PostgreSQL's server programs are not installed"),
        (_, Err(why)) => skipped(why),
    }
}

/// Whether a [`super::Server`] can be started here; as it, says loudly when not.
pub fn is_installed() -> bool {
    account().is_some()
}

/// A program that came with the server: `psql`, `pgbench`.
pub fn program(name: &str) -> Option<PathBuf> {
    programs()
        .map(|folder| folder.join(name))
        .filter(|program| program.exists())
}

pub(super) fn skipped<T>(why: &str) -> Option<T> {
    assert!(
        std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
        "REQUIRE_SERVICES=1, and {why}"
    );
    // On a line of its own: a lone test thread has printed the test's name before. Not by a macro, whose output a
    // passing test swallows.
    let line = format!("\nSKIPPED: tests on PostgreSQL: {why}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    None
}

/// A temporary folder that the server may write to.
pub(super) fn folder_for(account: &Account) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    account.own(folder.path());
    folder
}

pub(super) fn unprivileged(mut command: Command, account: &Account) -> Command {
    if let Some((uid, gid)) = account.user {
        command.uid(uid).gid(gid);
    }
    command
}

/// The folder of `initdb` and `postgres`: the one in `POSTGRES_PROGRAMS`, or the newest there is.
fn programs() -> Option<PathBuf> {
    let has_both = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    if let Some(chosen) = std::env::var_os("POSTGRES_PROGRAMS") {
        return Some(PathBuf::from(chosen)).filter(has_both);
    }
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
        .find(has_both)
}

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
