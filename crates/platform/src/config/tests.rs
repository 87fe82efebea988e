use std::io::Write;
use std::time::Duration;

use super::*;

fn settings_with_file(toml: &str, env: &[(&str, &str)]) -> Settings {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(toml.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let env = env
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    Settings::from_env_and_file(env.chain([(CONFIG_FILE.to_owned(), path)]))
}

#[test]
fn every_mistake_is_reported_at_once_with_what_was_found_and_what_is_expected() {
    let mut settings = Settings::from_pairs([
        ("ENVIRONMENT", "production"),
        ("HTTP_ADDR", "localhost"),
        ("METRICS_ENABLED", "perhaps"),
        ("BID_TIMEOUT_MS", "soon"),
        ("GRACE", "-3"),
        ("BODY_LIMIT", "12 parsecs"),
    ]);
    let addr = SocketAddr::from(([127, 0, 0, 1], 1));
    assert_eq!(settings.socket_addr("HTTP_ADDR", addr), addr);
    assert!(settings.bool("METRICS_ENABLED", true));
    assert_eq!(settings.parse("BID_TIMEOUT_MS", 100_u32), 100);
    let grace = settings.duration_seconds("GRACE", Duration::from_secs(25), 0.0..=60.0);
    assert_eq!(grace, Duration::from_secs(25));
    assert_eq!(settings.bytes("BODY_LIMIT", 7), 7);
    assert_eq!(settings.secret("ADMIN_API_KEY"), None);

    let text = settings.finish().unwrap_err().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert!(
        lines.contains(&"METRICS_ENABLED: found \"perhaps\": expected true or false"),
        "{text}"
    );
    assert!(lines.contains(&"GRACE: found \"-3\": expected 0 to 60"), "{text}");
    for name in ["HTTP_ADDR", "BID_TIMEOUT_MS", "BODY_LIMIT", "ADMIN_API_KEY"] {
        assert!(
            lines.iter().any(|line| line.starts_with(&format!("{name}: "))),
            "{name} in {text}"
        );
    }
}

#[test]
fn what_is_no_number_is_told_the_range_too() {
    let mut settings = Settings::from_pairs([("BID_TIMEOUT_MS", "x")]);
    settings.parse_within("BID_TIMEOUT_MS", 100_u64, 1..=10_000);
    assert_eq!(
        settings.finish().unwrap_err().to_string(),
        "BID_TIMEOUT_MS: found \"x\": expected 1 to 10000"
    );
}

#[test]
fn good_settings_have_no_mistakes() {
    let mut settings = Settings::from_pairs([("A", " 5 "), ("B", "on"), ("C", "64KiB"), ("D", "0.5")]);
    assert_eq!(settings.parse_within("A", 1_u8, 1..=9), 5);
    assert!(settings.bool("B", false));
    assert_eq!(settings.bytes("C", 1), 65_536);
    assert_eq!(
        settings.duration_seconds("D", Duration::ZERO, 0.0..=1.0),
        Duration::from_millis(500)
    );
    assert_eq!(settings.finish(), Ok(()));
}

#[test]
fn the_environment_wins_over_the_file_unless_it_is_empty() {
    let toml = "A = \"file\"\nB = \"file\"\nC = 7\nD = true\nE = 1.5\n";
    let mut settings = settings_with_file(toml, &[("A", "env"), ("B", "")]);
    assert_eq!(settings.string("A", "default"), "env");
    assert_eq!(settings.string("B", "default"), "file");
    assert_eq!(settings.parse("C", 0), 7);
    assert!(settings.bool("D", false));
    assert_eq!(settings.parse("E", 0.0), 1.5);
    assert_eq!(settings.string("F", "default"), "default");
    assert_eq!(settings.finish(), Ok(()));
}

#[test]
fn a_name_that_nobody_asked_for_is_told_but_no_mistake() {
    let mut settings = settings_with_file("KNOWN = 1\nKNWON = 1\n", &[]);
    settings.parse("KNOWN", 0);
    assert_eq!(settings.unknown_in_file(), ["KNWON"]);
    assert_eq!(settings.finish(), Ok(()));
}

#[test]
fn a_missing_file_and_a_value_that_is_no_scalar_are_mistakes() {
    let mut settings = Settings::from_pairs([(CONFIG_FILE, "/nowhere/at/all.toml")]);
    assert!(
        settings
            .finish()
            .unwrap_err()
            .to_string()
            .starts_with("CONFIG_FILE: found \"/nowhere/at/all.toml\"")
    );

    let mut settings = settings_with_file("[table]\nA = 1\n", &[]);
    assert!(
        settings
            .finish()
            .unwrap_err()
            .to_string()
            .starts_with("table: expected a string")
    );
}

#[test]
fn no_secret_is_printed_whatever_is_wrong() {
    let broken_line = "ADMIN_API_KEY = hunter2-in-a-file\n";
    let mut settings = settings_with_file(
        broken_line,
        &[
            ("NOTICE_SECRET", "hunter2-too-short"),
            ("DATABASE_URL", "postgres://app:hunter2@db/ads"),
        ],
    );
    let secret = settings.secret("NOTICE_SECRET").unwrap();
    settings.mistake("NOTICE_SECRET", secret.expose(), "expected kid:key");
    let url = settings.string("DATABASE_URL", "");
    settings.mistake("DATABASE_URL", url, "expected sqlite:");

    let shown = format!("{settings:?} {secret:?} {}", settings.finish().unwrap_err());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(
        shown.contains("line 1") && shown.contains("postgres://…@db/ads"),
        "{shown}"
    );
}

#[test]
fn a_missing_secret_is_forgiven_in_development_alone() {
    let mut settings = Settings::from_pairs([]);
    assert_eq!(settings.secret("ADMIN_API_KEY"), None);
    assert_eq!(settings.finish(), Ok(()));

    let mut settings = Settings::from_pairs([("ENVIRONMENT", "staging")]);
    assert_eq!(settings.optional_secret("REDIS_PASSWORD"), None);
    assert_eq!(settings.secret("ADMIN_API_KEY"), None);
    let text = settings.finish().unwrap_err().to_string();
    assert_eq!(
        text,
        "ADMIN_API_KEY: missing secret, required when ENVIRONMENT is staging"
    );
}

#[test]
fn bytes_that_do_not_fit_or_are_none_are_refused() {
    for text in [
        "",
        "0",
        "-1",
        "1.5MiB",
        "KiB",
        "99999999999999999999",
        "18446744073709551615GiB",
        "5 apples",
    ] {
        assert_eq!(file::parse_bytes(text), None, "{text}");
    }
    assert_eq!(file::parse_bytes("2 MiB"), Some(2 << 20));
}

proptest::proptest! {
    #[test]
    fn no_text_in_a_setting_or_a_file_panics(value: String, file: String) {
        let mut settings = settings_with_file(&file, &[("X", &value)]);
        settings.bool("X", true);
        settings.bytes("X", 1);
        settings.parse("X", 0_i64);
        settings.duration_seconds("X", Duration::ZERO, 0.0..=f64::MAX);
        let _ = settings.finish().map_err(|mistakes| mistakes.to_string());
    }
}
