//! Settings of this service; those of every process are the platform's.

use platform::{Secret, Settings};

/// Backends that this build has no adapter for.
const NOT_AVAILABLE: [&str; 3] = ["REDIS_HOST", "REDIS_URL", "KAFKA_BROKERS"];

#[derive(Clone, Debug)]
pub struct Config {
    /// `sqlite:{file}` or `sqlite::memory:`; all five ports are in it.
    pub database_url: String,
    /// The first administrator's key. In development it may be absent: then only stored keys are known.
    pub admin_api_key: Option<Secret>,
}

impl Config {
    /// Reads `DATABASE_URL`, `DATA_DIR` and `ADMIN_API_KEY`; mistakes stay in `settings`.
    pub fn read(settings: &mut Settings) -> Self {
        for name in NOT_AVAILABLE {
            if let Some(value) = settings.optional(name) {
                settings.mistake(
                    name,
                    value,
                    "this build has the embedded backend only: leave it unset",
                );
            }
        }
        let data_dir = settings.path("DATA_DIR", "./data");
        let embedded_url = format!("sqlite:{}", data_dir.join("adplatform.sqlite").display());
        let database_url = match settings.optional("DATABASE_URL") {
            Some(url) => url,
            None if settings.environment().is_development() => embedded_url,
            // A typo must never give every pod a store of its own.
            None => "nothing".to_owned(),
        };
        if !database_url.starts_with("sqlite:") {
            settings.mistake(
                "DATABASE_URL",
                &database_url,
                "this build has the embedded backend only: expected sqlite:path/to/file",
            );
        }
        Self {
            database_url,
            admin_api_key: settings.secret("ADMIN_API_KEY"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistaken(pairs: &[(&str, &str)]) -> Vec<String> {
        let mut settings = Settings::from_pairs(pairs.iter().copied());
        Config::read(&mut settings);
        let mistakes = settings.finish().err();
        mistakes
            .iter()
            .flat_map(|mistakes| mistakes.iter())
            .map(|mistake| mistake.name.clone())
            .collect()
    }

    #[test]
    fn a_laptop_needs_no_settings() {
        let mut settings = Settings::from_pairs([("DATA_DIR", "/var/lib/ads")]);
        let config = Config::read(&mut settings);
        assert!(settings.finish().is_ok());
        assert_eq!(config.database_url, "sqlite:/var/lib/ads/adplatform.sqlite");
    }

    #[test]
    fn backends_that_are_not_there_are_mistakes_and_all_are_told() {
        let pairs = [
            ("REDIS_HOST", "r"),
            ("KAFKA_BROKERS", "k:9092"),
            ("DATABASE_URL", "postgres://u:secret@h/d"),
        ];
        assert_eq!(mistaken(&pairs), ["REDIS_HOST", "KAFKA_BROKERS", "DATABASE_URL"]);
    }

    #[test]
    fn production_must_name_its_store_and_its_key() {
        assert_eq!(
            mistaken(&[("ENVIRONMENT", "production")]),
            ["DATABASE_URL", "ADMIN_API_KEY"]
        );
        let named = [
            ("ENVIRONMENT", "production"),
            ("DATABASE_URL", "sqlite:/data/a.sqlite"),
            ("ADMIN_API_KEY", "k"),
        ];
        assert!(mistaken(&named).is_empty());
    }
}
