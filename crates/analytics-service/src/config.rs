//! Settings of this service; those of every process are the platform's.

use platform::{EmbeddedStore, Secret, SettingHelp, Settings};

#[derive(Clone, Debug)]
pub struct Config {
    /// `sqlite:{file}` or `sqlite::memory:`; all five ports are in it.
    pub database_url: String,
    /// The first administrator's key. In development it may be absent: then only stored keys are known.
    pub admin_api_key: Option<Secret>,
}

impl Config {
    /// The settings that [`Config::read`] asks for, as `--help` tells them.
    pub const HELP: &'static [&'static [SettingHelp]] = &[
        EmbeddedStore::HELP,
        &[(
            "ADMIN_API_KEY",
            "the first administrator's key; in development it may be absent",
        )],
    ];

    /// Reads `DATABASE_URL`, `DATA_DIR` and `ADMIN_API_KEY`; mistakes stay in `settings`.
    pub fn read(settings: &mut Settings) -> Self {
        Self {
            database_url: EmbeddedStore::read(settings).database_url,
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
