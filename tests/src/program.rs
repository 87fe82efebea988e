//! The programs of this workspace as processes.

use std::path::PathBuf;
use std::process::{Child, Command};

/// A program built by the same cargo command as this test.
pub fn path(name: &str) -> PathBuf {
    let folder = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned();
    let program = folder.join(name);
    assert!(
        program.exists(),
        "{} is not built: run `cargo test --workspace`",
        program.display()
    );
    program
}

/// The program without any setting of the environment that this test happens to run in.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(path(name));
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// Sends a signal by name: `TERM`, `KILL`, `STOP`, `CONT`.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(sent.success(), "cannot send SIG{name}");
}
