//! The campaign-service binary.

use campaign_service::{Config, SERVICE, build, wiring};
use std::process::ExitCode;

const HELP: &str = "\
campaign-service: the campaign API and the relay of its changes

usage: campaign-service              serve until told to stop
       campaign-service healthcheck  exit 0 when the one on this machine lives

settings, from the environment or from the file that CONFIG_FILE names:
  HTTP_ADDR, METRICS_ADDR, METRICS_ENABLED, LOG_LEVEL, LOG_FORMAT, ENVIRONMENT,
  SHUTDOWN_GRACE_SECONDS, SHUTDOWN_DRAIN_SECONDS
  DATABASE_URL               sqlite:PATH (default sqlite:DATA_DIR/adplatform.sqlite)
  DATA_DIR                   ./data
  ADMIN_API_KEY              the first key; at least 16 characters outside development
  API_RATE_LIMIT_PER_SECOND  requests a second and key (100), twice that at once
  ANALYTICS_URL              where /analytics/* is forwarded (http://127.0.0.1:8082)
";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None | Some("healthcheck") => {}
        Some("--help" | "-h" | "help") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(unknown) => {
            eprintln!("{SERVICE}: unknown argument {unknown:?}\n\n{HELP}");
            return ExitCode::from(platform::process::EXIT_CONFIG);
        }
    }
    platform::run(SERVICE, Config::read, |process, config| async move {
        if let Some(key) = config.invented_admin_key() {
            // Development alone, and on the terminal alone: logs hold no secrets.
            eprintln!("{SERVICE}: ADMIN_API_KEY is not set; this run's is {key}");
        }
        let ports = wiring::ports(&config, &process.clock).await?;
        let app = build(
            config,
            ports,
            process.clock.clone(),
            &process.metrics,
            &process.readiness,
            &process.shutdown,
        )?;
        process.serve(app.router).await?;
        Ok(())
    })
}
