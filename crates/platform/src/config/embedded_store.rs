//! Where the embedded store is, for every process that opens it.

use std::path::PathBuf;

use super::{SettingHelp, Settings};

const DATABASE_URL: &str = "DATABASE_URL";
/// Settings of backends that this build has no adapter for.
const ABSENT_BACKENDS: [&str; 3] = ["REDIS_HOST", "REDIS_URL", "KAFKA_BROKERS"];

/// The place of the embedded store, the one backend of this build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedStore {
    /// `DATA_DIR`: the folder of everything that a process keeps.
    pub data_dir: PathBuf,
    /// `DATABASE_URL`: `sqlite:PATH` or `sqlite::memory:`.
    pub database_url: String,
}

impl EmbeddedStore {
    /// The settings that [`EmbeddedStore::read`] asks for, as `--help` tells them.
    pub const HELP: &'static [SettingHelp] = &[
        ("DATA_DIR", "folder of what is kept (./data)"),
        (
            "DATABASE_URL",
            "sqlite:PATH (in development: adplatform.sqlite in DATA_DIR)",
        ),
    ];

    /// Reads them; mistakes stay in `settings` until its `finish`.
    ///
    /// Outside development the store must be named: a typo must never give each replica a store of its own. The
    /// settings of other backends are refused, so that a hope is told at the start and not by missing data.
    pub fn read(settings: &mut Settings) -> Self {
        for name in ABSENT_BACKENDS {
            if settings.optional_secret(name).is_some() {
                settings.mistake(
                    name,
                    "",
                    "this build has the embedded store alone: leave it unset",
                );
            }
        }
        let data_dir = settings.path("DATA_DIR", "./data");
        let default = format!("sqlite:{}", data_dir.join("adplatform.sqlite").display());
        // Read as a secret: the URL of a server may hold its password in several places.
        let named = settings.optional_secret(DATABASE_URL);
        let mistake = match &named {
            Some(url) if !is_sqlite(url.expose()) => {
                Some("this build has the embedded store alone: expected sqlite:PATH")
            }
            None if !settings.environment().is_development() => {
                Some("required outside development: sqlite:PATH, such as sqlite:/data/adplatform.sqlite")
            }
            _ => None,
        };
        if let Some(expected) = mistake {
            settings.mistake(DATABASE_URL, "", expected);
        }
        Self {
            data_dir,
            database_url: named.map_or(default, |url| url.expose().to_owned()),
        }
    }
}

/// Without a path SQLite would open a database that is gone with the process.
fn is_sqlite(url: &str) -> bool {
    url.strip_prefix("sqlite:")
        .map(|rest| rest.trim_start_matches('/'))
        .is_some_and(|path| !path.is_empty() && !path.starts_with('?'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<EmbeddedStore, String> {
        let mut settings = Settings::from_pairs(pairs.iter().copied());
        let store = EmbeddedStore::read(&mut settings);
        settings
            .finish()
            .map(|()| store)
            .map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_laptop_needs_no_settings() {
        let store = read(&[]).unwrap();
        assert_eq!(store.database_url, "sqlite:./data/adplatform.sqlite");
        assert_eq!(store.data_dir, PathBuf::from("./data"));
    }

    #[test]
    fn the_store_is_in_the_data_folder_unless_it_is_named() {
        let folder = ("DATA_DIR", "/var/lib/ads");
        let store = read(&[folder]).unwrap();
        assert_eq!(store.database_url, "sqlite:/var/lib/ads/adplatform.sqlite");
        let store = read(&[folder, ("DATABASE_URL", "sqlite:/fast/a.sqlite")]).unwrap();
        assert_eq!(store.database_url, "sqlite:/fast/a.sqlite");
        assert_eq!(store.data_dir, PathBuf::from("/var/lib/ads"));
        assert!(read(&[("DATABASE_URL", "sqlite::memory:")]).is_ok());
    }

    #[test]
    fn outside_development_the_store_must_be_named() {
        let production = ("ENVIRONMENT", "production");
        let told = read(&[production]).unwrap_err();
        assert!(told.starts_with("DATABASE_URL: required"), "{told}");
        assert!(read(&[production, ("DATABASE_URL", "sqlite:/data/a.sqlite")]).is_ok());
    }

    #[test]
    fn backends_that_are_not_there_are_all_told_and_no_password_is() {
        let told = read(&[
            ("REDIS_HOST", "redis"),
            ("REDIS_URL", "redis://:hunter2@redis"),
            ("KAFKA_BROKERS", "kafka:9092"),
            ("DATABASE_URL", "postgres://db/ads?user=app&password=hunter2"),
        ])
        .unwrap_err();
        let names: Vec<&str> = told
            .lines()
            .filter_map(|line| Some(line.split_once(':')?.0))
            .collect();
        assert_eq!(
            names,
            ["REDIS_HOST", "REDIS_URL", "KAFKA_BROKERS", "DATABASE_URL"]
        );
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn services_of_one_process_tell_the_same_mistake_once() {
        let mut settings = Settings::from_pairs([("DATABASE_URL", "postgres:"), ("KAFKA_BROKERS", "k:9092")]);
        EmbeddedStore::read(&mut settings);
        EmbeddedStore::read(&mut settings);
        assert_eq!(settings.finish().unwrap_err().iter().count(), 2);
    }

    #[test]
    fn what_names_no_file_is_a_mistake() {
        for url in [
            "/data/a.sqlite",
            "sqlite:",
            "sqlite://",
            "sqlite:?mode=rwc",
            "host=db password=hunter2",
        ] {
            let told = read(&[("DATABASE_URL", url)]).unwrap_err();
            assert!(
                told.contains("expected sqlite:PATH") && !told.contains("hunter2"),
                "{told}"
            );
        }
    }
}
