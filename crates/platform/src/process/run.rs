//! The shared body of `main`.

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;

use super::program::Task;
use super::{Process, ProcessSettings, Program};
use crate::config::{Mistakes, Settings};
use crate::healthcheck::healthcheck;
use crate::http::chain;
use crate::server::EVENT_INTERVAL;
use crate::telemetry;

/// The exit code of a process whose settings or arguments are wrong (`EX_USAGE` of sysexits.h).
pub const EXIT_CONFIG: u8 = 64;

/// Why a process could not start.
pub type StartError = Box<dyn Error + Send + Sync>;

/// Runs a service from its settings to its exit code.
///
/// `read` reads the service's own settings; `start` builds it, calls [`Process::serve`], and returns. The process
/// then runs until it is told to stop. `SERVICE healthcheck` asks a running one whether it lives, `SERVICE --help` tells
/// of the settings.
///
/// Exit codes: 0 after a clean stop, 1 when it could not start or had to be cut short, 64 for bad settings, all of
/// them listed (see [`telemetry::refuse`]), and for an argument that is not known.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     use platform::Program;
///     platform::run(
///         Program { name: "greeter", purpose: "says hello", settings: &[&[("GREETING", "what it says (hello)")]] },
///         |settings| settings.string("GREETING", "hello"),
///         |process, greeting| async move {
///             let routes = axum::Router::new().route("/", axum::routing::get(|| async move { greeting }));
///             process.serve(routes).await?;
///             Ok(())
///         },
///     )
/// }
/// ```
pub fn run<C, F, Starting>(program: Program, read: impl FnOnce(&mut Settings) -> C, start: F) -> ExitCode
where
    F: FnOnce(Process, C) -> Starting,
    Starting: Future<Output = Result<(), StartError>>,
{
    let name = program.name;
    match Task::read(std::env::args_os().skip(1)) {
        Task::Serve => serve(name, read, start),
        Task::Healthcheck => report_health(&ProcessSettings::read(&mut Settings::from_process())),
        Task::Help => {
            print!("{}", program.help());
            ExitCode::SUCCESS
        }
        Task::Unknown(argument) => {
            eprintln!("{name}: unknown argument {argument:?}\n\n{}", program.help());
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn serve<C, F, Starting>(service: &'static str, read: impl FnOnce(&mut Settings) -> C, start: F) -> ExitCode
where
    F: FnOnce(Process, C) -> Starting,
    Starting: Future<Output = Result<(), StartError>>,
{
    let mut settings = Settings::from_process();
    let process_settings = ProcessSettings::read(&mut settings);
    let config = read(&mut settings);
    let log = process_settings.log.clone();
    if let Err(mistakes) = settings.finish() {
        return telemetry::refuse(service, &log, &mistakes);
    }
    telemetry::init(service, &log);
    for name in settings.unknown_in_file() {
        tracing::warn!(name, "setting in the file is not known here");
    }
    match live(service, process_settings, |process| start(process, config)) {
        Ok(ended) => ended,
        Err(error) => match error.downcast::<Mistakes>() {
            // An adapter refused what it was given.
            Ok(mistakes) => telemetry::refuse(service, &log, &mistakes),
            Err(error) => {
                tracing::error!(error = chain(&*error), "cannot start");
                ExitCode::FAILURE
            }
        },
    }
}

fn live<F, Starting>(
    service: &'static str,
    settings: ProcessSettings,
    start: F,
) -> Result<ExitCode, StartError>
where
    F: FnOnce(Process) -> Starting,
    Starting: Future<Output = Result<(), StartError>>,
{
    let process = Process::new(service, settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .event_interval(EVENT_INTERVAL)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        process.shutdown.listen_for_signals()?;
        // Metrics and probes first: they tell how the start goes.
        process.serve_metrics().await?;
        process.export_traces();
        let shutdown = process.shutdown.clone();
        let starting = start(process);
        tokio::select! {
            started = starting => started?,
            // Nothing serves yet, so a signal during the start has nothing to wait for.
            () = shutdown.requested().cancelled() => tracing::info!("stopped while starting"),
        }
        let ended = shutdown.finished().await;
        tracing::info!(?ended, "stopped");
        Ok::<_, StartError>(ended)
    });
    // A blocking call that hangs must not keep a process that has said it stopped.
    runtime.shutdown_background();
    Ok(ended?.into())
}

fn report_health(settings: &ProcessSettings) -> ExitCode {
    match healthcheck(settings.http_addr) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", settings.http_addr);
            ExitCode::FAILURE
        }
    }
}
