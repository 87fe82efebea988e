//! `adplatform`: the whole platform in one process, and the tools around it.

mod demo;
mod dev;
mod duration;
mod house;
mod load;
mod reconcile;
mod traffic;
mod wiring;

use clap::{Parser, Subcommand};
use platform::telemetry::{self, LogFormat, LogSettings};
use platform::{Clock, EmbeddedStore, Mistakes, ProcessSettings, Settings};
use std::process::ExitCode;

/// An advertising platform: campaigns in, bids out, money counted, reports back.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the platform on a fresh store and trades with an exchange before your eyes
    Demo(demo::DemoArgs),
    /// Runs the platform on embedded storage (settings come from the environment)
    Dev(dev::DevArgs),
    /// Sends bid requests at a constant rate and measures
    Load(load::LoadArgs),
    /// Compares ledger, spend events and reports, campaign by campaign and day by day
    Reconcile,
    /// Brings the schema of the configured store up to date
    Migrate,
}

/// As every service: settings that are wrong (`EX_USAGE` of sysexits.h).
const EXIT_CONFIG: u8 = platform::process::EXIT_CONFIG;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let result = runtime.block_on(run(cli.command));
    // A blocking call that hangs must not keep a process that is done.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| failed(&error))
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => {
            // Its own words are the output; of the services, what is worth a warning. That there is neither a secret
            // nor an exchange at first is none on a fresh store.
            telemetry::init(&LogSettings {
                directives: "warn,bidding_service::notice_secret=error,bidding_service::follower=error"
                    .to_owned(),
                format: LogFormat::Pretty,
            });
            Ok(if demo::run(args).await? {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Command::Dev(args) => {
            // What is wrong with the other settings is told with the services' own.
            telemetry::init(&ProcessSettings::read(&mut Settings::from_process()).log);
            Ok(dev::run(args).await?.into())
        }
        Command::Load(args) => load::run(&args).await.map(|()| ExitCode::SUCCESS),
        Command::Reconcile => reconcile().await,
        Command::Migrate => {
            let url = database_url()?;
            wiring::open(&url, &Clock::system()).await?;
            println!("the schema of {url} is up to date");
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn reconcile() -> anyhow::Result<ExitCode> {
    let url = database_url()?;
    // A mistyped path must not become an empty store on which everything agrees.
    anyhow::ensure!(wiring::exists(&url), "there is no store at {url}");
    let stores = wiring::open(&url, &Clock::system()).await?;
    let lines = reconcile::compare(&*stores.ledger, &*stores.log, &*stores.reports).await?;
    for line in &lines {
        println!("{line}");
    }
    let different = lines.iter().filter(|line| !line.agrees()).count();
    println!("{} campaign days, {different} with differences", lines.len());
    Ok(if different == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The store that the services would open with the same settings.
fn database_url() -> anyhow::Result<String> {
    let mut settings = Settings::from_process();
    let store = EmbeddedStore::read(&mut settings);
    settings.finish()?;
    Ok(store.database_url)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    if let Some(mistakes) = error.downcast_ref::<Mistakes>() {
        eprintln!("adplatform: bad settings\n{mistakes}");
        return ExitCode::from(EXIT_CONFIG);
    }
    eprintln!("adplatform: {error:#}");
    ExitCode::FAILURE
}
