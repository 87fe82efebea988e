//! `adplatform`: the whole platform in one process, and the tools around it.

mod demo;
mod dev;
mod duration;
mod house;
mod load;
mod output;
mod prepare;
mod reconcile;
mod restored;
mod topic;
mod traffic;
mod wiring;

use crate::output::print_line;
use crate::prepare::Told;
use crate::reconcile::Compared;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use platform::telemetry::{self, LogFormat, LogSettings};
use platform::{Backends, Clock, Mistakes, ProcessSettings, Settings};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Runs the platform, on embedded storage unless the environment names backends
    Dev(dev::DevArgs),
    /// Sends bid requests at a constant rate and measures
    Load(load::LoadArgs),
    /// Compares ledger, spend events and reports, campaign by campaign and day by day
    Reconcile,
    /// After the database was restored to an earlier instant: has everybody take it for a new one
    Restored(restored::RestoredArgs),
    /// Brings the schema of the configured database up to date
    Migrate(prepare::MigrateArgs),
    /// Makes the topics of the configured Kafka, and corrects those that differ
    Topics(prepare::TopicsArgs),
}

fn main() -> ExitCode {
    let cli = arguments();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let result = runtime.block_on(run(cli.command));
    // A blocking call that hangs must not keep a process that is done.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| failed(&error))
}

fn arguments() -> Cli {
    let program = Cli::command().mut_subcommand("dev", |dev| dev.after_help(dev::settings_help()));
    Cli::from_arg_matches(&program.get_matches()).unwrap_or_else(|error| error.exit())
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => {
            // Its own words are the output; of the services, what is worth a warning. That there is neither a secret
            // nor an exchange at first is none on a fresh store.
            telemetry::init(
                "adplatform",
                &LogSettings {
                    directives: "warn,bidding_service::notice_secret=error,bidding_service::follower=error"
                        .to_owned(),
                    format: LogFormat::Pretty,
                    is_json_asked: false,
                },
            );
            Ok(if demo::run(args).await? {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Command::Dev(args) => {
            // What is wrong with the other settings is told with the services' own.
            telemetry::init("adplatform", &log_settings());
            Ok(dev::run(args).await?.into())
        }
        Command::Load(args) => load::run(&args).await.map(|()| ExitCode::SUCCESS),
        Command::Reconcile => reconcile().await,
        Command::Restored(args) => restored::run(&args).await.map(|()| ExitCode::SUCCESS),
        Command::Migrate(args) => prepare::migrate(&args, told()).await.map(|()| ExitCode::SUCCESS),
        Command::Topics(args) => prepare::topics(&args, told()).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn reconcile() -> anyhow::Result<ExitCode> {
    let mut settings = Settings::from_process();
    let backends = Backends::read(&mut settings, &analytics_service::Config::NEEDED);
    settings.finish()?;
    let stores = wiring::existing(&backends, &Clock::system()).await?;
    let Compared { lines, unreadable } =
        reconcile::compare(&*stores.ledger, &*stores.log, &*stores.reports).await?;
    for record in &unreadable {
        print_line(format_args!("left out: {record}"))?;
    }
    for line in &lines {
        print_line(line)?;
    }
    let different = lines.iter().filter(|line| !line.agrees()).count();
    print_line(format_args!(
        "{} campaign days, {different} with differences",
        lines.len()
    ))?;
    Ok(if different == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a job says is for a person, unless `LOG_FORMAT=json` says otherwise.
fn told() -> Told {
    let log = log_settings();
    if !log.is_json_asked {
        return Told::ToAPerson;
    }
    telemetry::init("adplatform", &log);
    Told::InTheLog
}

fn log_settings() -> LogSettings {
    ProcessSettings::read(&mut Settings::from_process()).log
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let log = log_settings();
    if let Some(mistakes) = error.downcast_ref::<Mistakes>() {
        return telemetry::refuse("adplatform", &log, mistakes);
    }
    if log.is_json_asked {
        telemetry::init("adplatform", &log);
        tracing::error!(error = format!("{error:#}"), "failed");
    } else {
        eprintln!("adplatform: {error:#}");
    }
    ExitCode::FAILURE
}
