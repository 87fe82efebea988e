//! The shared body of `main`, as a real process: this program is the service when `ACT_AS_SERVICE` is set, and
//! otherwise the test that starts it.
#![expect(
    clippy::unwrap_used,
    reason = "a test, though without the harness that clippy knows tests by"
)]

use platform::Program;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

fn main() -> ExitCode {
    if std::env::var_os("ACT_AS_SERVICE").is_some() {
        return service();
    }
    bad_settings_are_all_listed_and_exit_64();
    where_json_is_asked_for_each_bad_setting_is_a_line_of_the_log();
    an_address_that_is_taken_is_one_log_line_and_exit_1();
    a_live_service_is_healthy_and_a_sigterm_runs_the_hooks_and_exits_0();
    a_second_signal_exits_1_at_once();
    help_goes_to_stdout_whatever_the_settings_and_exits_0();
    an_unknown_argument_exits_64_and_shows_the_help();
    println!("main_body: 7 passed");
    ExitCode::SUCCESS
}

fn service() -> ExitCode {
    platform::run(
        Program {
            name: "greeter",
            purpose: "says hello",
            settings: &[&[("VOLUME", "how loud (1)")]],
        },
        |settings| {
            settings.parse("VOLUME", 1_u8);
            settings.duration_seconds("STOP_SECONDS", Duration::ZERO, 0.0..=60.0)
        },
        |process, stop| async move {
            process.shutdown.on_stop("goodbye", async move {
                tokio::time::sleep(stop).await;
                tracing::info!("goodbye");
            });
            process.serve(axum::Router::new()).await?;
            Ok(())
        },
    )
}

fn command(args: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(args)
        .env_clear()
        .envs([("ACT_AS_SERVICE", "1"), ("LOG_FORMAT", "json")])
        .envs([("HTTP_ADDR", "127.0.0.1:0"), ("METRICS_ADDR", "127.0.0.1:0")])
        .envs(settings.iter().copied());
    command
}

/// A running service, its log so far, and the address of its API. Killed when the test ends early.
struct Running {
    child: Child,
    log: BufReader<std::process::ChildStdout>,
    addr: String,
}

impl Running {
    fn start(settings: &[(&str, &str)]) -> Self {
        let mut child = command(&[], settings).stdout(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self {
            child,
            log,
            addr: String::new(),
        };
        let line = running.line_with(r#""name":"greeter""#);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        running.addr = line["addr"].as_str().unwrap().to_owned();
        running
    }

    fn line_with(&mut self, part: &str) -> String {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(
                self.log.read_line(&mut line).unwrap() > 0,
                "the log ended without {part}"
            );
        }
        line
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bad_settings_are_all_listed_and_exit_64() {
    let settings = [
        ("LOG_LEVEL", "inof"),
        ("METRICS_ENABLED", "maybe"),
        ("VOLUME", "900"),
    ];
    let output = command(&[], &settings).env_remove("LOG_FORMAT").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    for (name, _) in settings {
        assert!(
            text.lines()
                .any(|line| line.starts_with(&format!("{name}: found "))),
            "{name} in {text}"
        );
    }
}

fn where_json_is_asked_for_each_bad_setting_is_a_line_of_the_log() {
    let settings = [("METRICS_ENABLED", "maybe"), ("VOLUME", "900")];
    let output = command(&[], &settings).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    let log = String::from_utf8(output.stdout).unwrap();
    let told: Vec<_> = log
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(
                (&line["level"], &line["message"]),
                (&"ERROR".into(), &"bad setting".into())
            );
            assert!(line["expected"].is_string(), "{line}");
            (line["name"].clone(), line["found"].clone())
        })
        .collect();
    let wanted = [("METRICS_ENABLED", "maybe"), ("VOLUME", "900")];
    assert_eq!(told, wanted.map(|(name, found)| (name.into(), found.into())));
}

fn help_goes_to_stdout_whatever_the_settings_and_exits_0() {
    let output = command(&["--help"], &[("LOG_LEVEL", "inof")]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("HTTP_ADDR") && text.contains("VOLUME"), "{text}");
}

fn an_unknown_argument_exits_64_and_shows_the_help() {
    let output = command(&["serve"], &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("\"serve\"") && text.contains("usage:"), "{text}");
}

fn an_address_that_is_taken_is_one_log_line_and_exit_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = command(&[], &[("HTTP_ADDR", &addr)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stdout).unwrap();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.len() == 1 && errors[0].contains(&addr), "{log}");
}

fn a_live_service_is_healthy_and_a_sigterm_runs_the_hooks_and_exits_0() {
    let mut running = Running::start(&[]);
    let addr = running.addr.clone();
    let healthcheck = || {
        command(&["healthcheck"], &[("HTTP_ADDR", &addr)])
            .status()
            .unwrap()
            .code()
    };
    assert_eq!(healthcheck(), Some(0));
    running.signal("TERM");
    running.line_with("goodbye");
    assert_eq!(running.exit_code(), Some(0));
    assert_eq!(healthcheck(), Some(1));
}

fn a_second_signal_exits_1_at_once() {
    let mut running = Running::start(&[("STOP_SECONDS", "60")]);
    running.signal("TERM");
    running.line_with("SIGTERM");
    running.signal("INT");
    running.line_with("SIGINT");
    assert_eq!(running.exit_code(), Some(1));
}
