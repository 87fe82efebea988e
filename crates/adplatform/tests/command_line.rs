//! The program's command line, as a person types it.

use std::process::{Command, Output};

fn adplatform(args: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adplatform"));
    command
        .env_clear()
        .args(args)
        .envs(settings.iter().copied())
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_names_every_command() {
    let output = adplatform(&["--help"], &[]);
    assert!(output.status.success());
    for command in ["demo", "dev", "load", "reconcile", "migrate", "topics"] {
        assert!(text(&output.stdout).contains(command), "{command}");
    }
}

#[test]
fn dev_help_tells_how_to_move_the_addresses() {
    let help = text(&adplatform(&["dev", "--help"], &[]).stdout);
    for (flag, default) in [
        ("--campaign-addr", "127.0.0.1:8080"),
        ("--bidding-addr", "127.0.0.1:8081"),
        ("--analytics-addr", "127.0.0.1:8082"),
        ("--metrics-addr", "127.0.0.1:9090"),
    ] {
        assert!(help.contains(flag) && help.contains(default), "{flag}: {help}");
    }
}

#[test]
fn dev_help_lists_the_settings_of_every_service_once() {
    let help = text(&adplatform(&["dev", "--help"], &[]).stdout);
    for name in [
        "DATABASE_URL",
        "REDIS_URL",
        "KAFKA_BROKERS",
        "NOTICE_SECRET",
        "ADMIN_API_KEY",
        "SPOOL_DIR",
    ] {
        let count = help.matches(&format!("\n  {name} ")).count();
        assert_eq!(count, 1, "{name}: {help}");
    }
}

#[test]
fn jobs_refuse_bad_settings_with_exit_64_and_no_password() {
    for (job, name, value) in [
        ("migrate", "DATABASE_URL", "mysql://ads:hunter2@db/ads"),
        ("migrate", "DATABASE_URL", "postgres://ads:hunter2@db:port/ads"),
        ("topics", "KAFKA_BROKERS", "kafka"),
        ("reconcile", "REDIS_URL", "http://:hunter2@redis"),
    ] {
        let output = adplatform(&[job], &[(name, value)]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{job}: {said}");
        assert!(said.contains(name) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn jobs_wait_for_their_server_and_say_when_they_give_up() {
    for (job, name, value) in [
        (
            "migrate",
            "DATABASE_URL",
            "postgres://ads:hunter2@127.0.0.1:1/ads",
        ),
        ("topics", "KAFKA_BROKERS", "127.0.0.1:1"),
    ] {
        let output = adplatform(&[job, "--patience", "1s"], &[(name, value)]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{job}: {said}");
        assert!(said.contains("did not answer within 1 s"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn in_a_pod_jobs_log_in_json() {
    let json = ("LOG_FORMAT", "json");
    let lines = |output: &Output| -> Vec<serde_json::Value> {
        assert_eq!(text(&output.stderr), "");
        let log = text(&output.stdout);
        log.lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    };
    let done = lines(&adplatform(&["topics"], &[json]));
    assert!(
        done.len() == 1
            && done[0]["outcome"]
                .as_str()
                .is_some_and(|told| told.contains("embedded"))
    );

    let away = ("DATABASE_URL", "postgres://ads:hunter2@127.0.0.1:1/ads");
    let waited = lines(&adplatform(&["migrate", "--patience", "1s"], &[json, away]));
    let last = waited.last().expect("a line");
    assert_eq!(last["message"], "failed");
    assert!(
        last["error"]
            .as_str()
            .is_some_and(|told| told.contains("did not answer within 1 s"))
    );

    let bad = adplatform(
        &["migrate"],
        &[json, ("DATABASE_URL", "mysql://ads:hunter2@db/ads")],
    );
    assert_eq!(bad.status.code(), Some(64));
    let told = lines(&bad);
    assert!(told.len() == 1 && told[0]["name"] == "DATABASE_URL", "{told:?}");
}

#[test]
fn an_embedded_log_needs_no_topics() {
    let output = adplatform(&["topics"], &[]);
    assert!(output.status.success() && text(&output.stdout).contains("embedded"));
}

#[test]
fn bad_settings_are_listed_and_exit_64() {
    let free = [
        "--campaign-addr",
        "--bidding-addr",
        "--analytics-addr",
        "--metrics-addr",
    ];
    let args: Vec<&str> = std::iter::once("dev")
        .chain(free.iter().flat_map(|flag| [*flag, "127.0.0.1:0"]))
        .collect();
    let output = adplatform(&args, &[("BID_TIMEOUT_MS", "soon"), ("KAFKA_BROKERS", "kafka")]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("BID_TIMEOUT_MS") && said.contains("KAFKA_BROKERS"),
        "{said}"
    );
    assert_eq!(text(&output.stdout), "", "nothing has begun");
}

#[test]
fn an_address_that_is_taken_is_told_with_the_flag_that_moves_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address").to_string();
    let output = adplatform(&["dev", "--campaign-addr", &addr], &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&addr) && said.contains("--campaign-addr"), "{said}");
}

#[test]
fn a_store_is_migrated_as_often_as_one_likes() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().to_string_lossy();
    for _ in 0..2 {
        let output = adplatform(&["migrate"], &[("DATA_DIR", &data_dir)]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert!(folder.path().join("adplatform.sqlite").exists());
}

#[test]
fn reconcile_makes_no_store_where_there_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("mistyped");
    let data_dir = data_dir.to_string_lossy();
    let output = adplatform(&["reconcile"], &[("DATA_DIR", &data_dir)]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no store") && said.contains("mistyped"), "{said}");
    assert!(!folder.path().join("mistyped").exists());
}

#[test]
fn load_says_what_it_cannot_do() {
    for (url, why) in [("https://example.com/bid", "http://"), ("nowhere", "nowhere")] {
        let output = adplatform(&["load", "--url", url, "--duration", "1s"], &[]);
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    }
}
