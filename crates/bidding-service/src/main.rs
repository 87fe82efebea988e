//! The bidding service as a process of its own; `--help` tells how.

use bidding_service::{Config, SERVICE, build, wiring};
use platform::Program;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let program = Program {
        name: SERVICE,
        purpose: "answers OpenRTB bid requests and takes notices",
        settings: Config::HELP,
    };
    platform::run(program, Config::read, |process, config| async move {
        let ports = wiring::ports(&config, &process, None).await?;
        let app = build(&config, ports, &process)?;
        process.serve_apart(app.router).await?;
        Ok(())
    })
}
