//! `analytics-service`: the process. `analytics-service healthcheck` asks a running one whether it lives.

use analytics_service::{Config, SERVICE, build, wiring};
use std::process::ExitCode;

fn main() -> ExitCode {
    platform::run(SERVICE, Config::read, |process, config| async move {
        let ports = wiring::ports(&config, &process.clock).await?;
        let app = build(&config, ports, &process)?;
        process.serve(app.router).await?;
        Ok(())
    })
}
