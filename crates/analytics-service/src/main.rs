//! The analytics service as a process of its own; `--help` tells how.

use analytics_service::{Config, SERVICE, build, wiring};
use platform::Program;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let program = Program {
        name: SERVICE,
        purpose: "counts what happened and answers reports",
        settings: Config::HELP,
    };
    platform::run(program, Config::read, |process, config| async move {
        let ports = wiring::ports(&config, &process, None).await?;
        let app = build(&config, ports, &process)?;
        process.serve(app.router).await?;
        Ok(())
    })
}
