//! Settings: the environment over a file, read through typed getters that collect every mistake instead of
//! stopping at the first.

mod backends;
mod environment;
mod file;
mod mistakes;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub use backends::{Backend, Backends, KafkaSettings, PostgresSettings, RedisSettings};
pub use environment::Environment;
pub use mistakes::{Mistake, Mistakes, Refusals};
pub use secret::Secret;

/// The name of the setting that holds the path of a settings file.
pub const CONFIG_FILE: &str = "CONFIG_FILE";

/// A setting's name, and its meaning with the default in brackets: one line of `--help`.
pub type SettingHelp = (&'static str, &'static str);

/// All settings of a process, with the mistakes found so far.
///
/// Read everything first, then ask [`Settings::finish`]: a getter that finds a mistake notes it and answers with
/// the default, so that one start reports all of them. An empty value counts as absent, since manifests and shells
/// cannot always leave a variable out.
pub struct Settings {
    environment: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    asked: BTreeSet<String>,
    secrets: BTreeSet<String>,
    mistakes: Vec<Mistake>,
    deployment: Environment,
}

impl Settings {
    /// Settings of this process: its environment, over the file that `CONFIG_FILE` names.
    pub fn from_process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        Self::from_env_and_file(variables)
    }

    /// Settings from `env`, over the file that its `CONFIG_FILE` names: a flat TOML table `NAME = value` with
    /// strings, numbers and booleans. A file that cannot be read or parsed is a mistake like any other.
    pub fn from_env_and_file(env: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut settings = Self {
            environment: env.into_iter().collect(),
            file: BTreeMap::new(),
            asked: BTreeSet::new(),
            secrets: BTreeSet::new(),
            mistakes: Vec::new(),
            deployment: Environment::Development,
        };
        if let Some(path) = settings.optional(CONFIG_FILE) {
            let (values, mistakes) = file::read(&path);
            settings.file = values;
            settings.mistakes.extend(mistakes);
        }
        settings.deployment = settings.parse("ENVIRONMENT", Environment::Development);
        settings
    }

    /// Settings from pairs alone; for tests and for programs that embed a service.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::from_env_and_file(
            pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        )
    }

    /// Where this process runs, from `ENVIRONMENT`.
    pub fn environment(&self) -> &Environment {
        &self.deployment
    }

    /// The text of `name`, or `None` when it is absent or empty.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        self.asked.insert(name.to_owned());
        // An empty variable does not hide the file: it stands for "not set".
        [&self.environment, &self.file]
            .into_iter()
            .find_map(|values| {
                values
                    .get(name)
                    .map(|value| value.trim())
                    .filter(|value| !value.is_empty())
            })
            .map(str::to_owned)
    }

    /// The text of `name`, or `default`.
    pub fn string(&mut self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    /// `name` as a path, or `default`.
    pub fn path(&mut self, name: &str, default: &str) -> PathBuf {
        PathBuf::from(self.string(name, default))
    }

    /// `name` by its `FromStr`, or `default` when absent. What cannot be parsed is a mistake.
    pub fn parse<T>(&mut self, name: &str, default: T) -> T
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parse_optional(name).unwrap_or(default)
    }

    /// `name` by its `FromStr`, `None` when absent. What cannot be parsed is a mistake, and `None`.
    pub fn parse_optional<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.optional(name)?;
        text.parse()
            .map_err(|error: T::Err| self.mistake(name, &text, error))
            .ok()
    }

    /// Like [`Settings::parse`], and outside `bounds` is a mistake.
    pub fn parse_within<T>(&mut self, name: &str, default: T, bounds: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display,
        T::Err: Display,
    {
        let Some(text) = self.optional(name) else {
            return default;
        };
        // One answer to "ten", "-1" and "1000000": what would be right.
        match text.parse::<T>().ok().filter(|value| bounds.contains(value)) {
            Some(value) => value,
            None => {
                let expected = format_args!("expected {} to {}", bounds.start(), bounds.end());
                self.mistake(name, &text, expected);
                default
            }
        }
    }

    /// `true|false|1|0|yes|no|on|off` in any case, or `default`.
    pub fn bool(&mut self, name: &str, default: bool) -> bool {
        let Some(text) = self.optional(name) else {
            return default;
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.mistake(name, &text, "expected true or false");
                default
            }
        }
    }

    /// An IP address and port such as `0.0.0.0:8080` or `[::]:8080`, or `default`.
    pub fn socket_addr(&mut self, name: &str, default: SocketAddr) -> SocketAddr {
        let Some(text) = self.optional(name) else {
            return default;
        };
        text.parse().unwrap_or_else(|_| {
            self.mistake(
                name,
                &text,
                "expected an IP address and a port, such as 0.0.0.0:8080",
            );
            default
        })
    }

    /// Whole or fractional seconds within `bounds` (seconds), or `default`.
    pub fn duration_seconds(
        &mut self,
        name: &str,
        default: Duration,
        bounds_seconds: RangeInclusive<f64>,
    ) -> Duration {
        let seconds = self.parse_within(name, default.as_secs_f64(), bounds_seconds);
        Duration::try_from_secs_f64(seconds).unwrap_or(default)
    }

    /// A number of bytes, plain or with `KiB`, `MiB` or `GiB`, at least `1`, or `default`.
    pub fn bytes(&mut self, name: &str, default: usize) -> usize {
        let Some(text) = self.optional(name) else {
            return default;
        };
        file::parse_bytes(&text).unwrap_or_else(|| {
            self.mistake(name, &text, "expected a number of bytes, such as 65536 or 64KiB");
            default
        })
    }

    /// A secret. Absent it is a mistake outside development; in development it is `None`, and the caller may
    /// invent one.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        let secret = self.optional_secret(name);
        if secret.is_none() && !self.deployment.is_development() {
            self.note(Mistake::missing_secret(name, &self.deployment));
        }
        secret
    }

    /// A secret that may be absent everywhere, such as the password of a server that has none.
    pub fn optional_secret(&mut self, name: &str) -> Option<Secret> {
        self.secrets.insert(name.to_owned());
        self.optional(name).map(Secret::new)
    }

    /// Notes a mistake that the caller found, with what was `found` (left out for names that were read as secrets,
    /// and so are credentials in URLs) and what is `expected`, which must not quote a secret.
    pub fn mistake(&mut self, name: &str, found: impl Display, expected: impl Display) {
        self.note(if self.secrets.contains(name) {
            Mistake::hidden(name, expected)
        } else {
            Mistake::new(name, found, expected)
        });
    }

    /// Notes that `name` is absent although it is `expected`.
    pub fn missing(&mut self, name: &str, expected: impl Display) {
        self.note(Mistake::hidden(name, expected));
    }

    /// Several services of one process read the same settings; what is wrong with one is told once.
    fn note(&mut self, mistake: Mistake) {
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// Names in the settings file that no getter has asked for. No mistake, since one file may serve several
    /// services, but worth a warning: it may be a typo.
    pub fn unknown_in_file(&self) -> Vec<&str> {
        self.file
            .keys()
            .filter(|name| !self.asked.contains(*name))
            .map(String::as_str)
            .collect()
    }

    /// Every mistake found so far, or `Ok` when there is none.
    pub fn finish(&mut self) -> Result<(), Mistakes> {
        Mistakes::unless_empty(std::mem::take(&mut self.mistakes))
    }
}

impl fmt::Debug for Settings {
    /// The names alone: the values hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.environment.keys())
            .entries(self.file.keys())
            .finish()
    }
}
