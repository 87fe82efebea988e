//! The campaign service as a process of its own; `--help` tells how.

use campaign_service::{Config, SERVICE, build, wiring};
use platform::Program;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let program = Program {
        name: SERVICE,
        purpose: "the campaign API and the relay of its changes",
        settings: Config::HELP,
    };
    platform::run(program, Config::read, |process, config| async move {
        if let Some(key) = config.invented_admin_key() {
            // Development alone, and on the terminal alone: logs hold no secrets.
            eprintln!("{SERVICE}: ADMIN_API_KEY is not set; this run's is {key}");
        }
        let ports = wiring::ports(&config, &process, None).await?;
        let app = build(&config, ports, &process)?;
        process.serve(app.router).await?;
        Ok(())
    })
}
