//! Where the server programs are.

use std::io::Write;
use std::path::PathBuf;

pub(super) struct Programs {
    pub(super) server: PathBuf,
    pub(super) client: PathBuf,
}

/// `None`, said loudly, where there is no Redis to start.
pub(super) fn programs() -> Option<Programs> {
    let found = program(&["redis-server", "valkey-server"]).zip(program(&["redis-cli", "valkey-cli"]));
    if found.is_none() {
        skipped("redis-server and redis-cli are not installed");
    }
    found.map(|(server, client)| Programs { server, client })
}

/// Whether a server can be started here; says loudly when not, and panics with `REQUIRE_SERVICES=1`.
pub fn is_installed() -> bool {
    programs().is_some()
}

fn program(names: &[&str]) -> Option<PathBuf> {
    let folders = match std::env::var_os("REDIS_PROGRAMS") {
        Some(folder) => vec![PathBuf::from(folder)],
        None => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect(),
    };
    folders
        .iter()
        .flat_map(|folder| names.iter().map(|name| folder.join(name)))
        .find(|program| program.exists())
}

fn skipped(why: &str) {
    assert!(
        std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
        "REQUIRE_SERVICES=1, and {why}"
    );
    // On a line of its own: a lone test thread has printed the test's name before. Not by a macro, whose output a
    // passing test swallows.
    let line = format!("\nSKIPPED: tests on Redis: {why}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}
