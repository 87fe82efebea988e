//! The bidding service as a process of its own: `bidding-service`, and `bidding-service healthcheck`.

use bidding_service::{Config, SERVICE, build, wiring};
use std::process::ExitCode;

fn main() -> ExitCode {
    platform::run(SERVICE, Config::read, |process, config| async move {
        let ports = wiring::ports(&config, &process.clock).await?;
        let app = build(&config, ports, &process)?;
        process.serve(app.router).await?;
        Ok(())
    })
}
