//! Settings of this service; those of every process are the platform's.

use platform::{Backend, Backends, Secret, SettingHelp, Settings};

#[derive(Clone, Debug)]
pub struct Config {
    pub backends: Backends,
    /// The first administrator's key. In development it may be absent: then only stored keys are known.
    pub admin_api_key: Option<Secret>,
}

impl Config {
    /// What this service keeps its state in.
    pub const NEEDED: [Backend; 3] = [Backend::Database, Backend::Redis, Backend::Kafka];

    /// The settings that [`Config::read`] asks for, as `--help` tells them.
    pub const HELP: &'static [&'static [SettingHelp]] = &[
        Backends::DATABASE_HELP,
        Backends::REDIS_HELP,
        Backends::KAFKA_HELP,
        &[(
            "ADMIN_API_KEY",
            "the first administrator's key; in development it may be absent",
        )],
    ];

    /// Reads them; mistakes stay in `settings` until its `finish`.
    pub fn read(settings: &mut Settings) -> Self {
        Self {
            backends: Backends::read(settings, &Self::NEEDED),
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
        assert!(mistaken(&[]).is_empty());
    }

    #[test]
    fn production_must_name_its_store_and_its_key() {
        assert_eq!(
            mistaken(&[("ENVIRONMENT", "production")]),
            ["DATABASE_URL", "REDIS_HOST", "KAFKA_BROKERS", "ADMIN_API_KEY"]
        );
        let named = [
            ("ENVIRONMENT", "production"),
            ("DATABASE_URL", "sqlite:/data/a.sqlite"),
            ("ADMIN_API_KEY", "k"),
        ];
        assert!(mistaken(&named).is_empty());
    }
}
