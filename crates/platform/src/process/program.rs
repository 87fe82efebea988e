//! What a program is called, tells of itself, and takes as arguments.

use std::ffi::OsString;

use super::ProcessSettings;
use crate::config::SettingHelp;
use crate::traces::TraceSettings;

/// A program that [`super::run`] runs.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in help, logs and metrics.
    pub name: &'static str,
    /// What it is for, in half a sentence.
    pub purpose: &'static str,
    /// The settings that it has beside [`ProcessSettings`].
    pub settings: &'static [&'static [SettingHelp]],
}

/// What the arguments ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Serve,
    Healthcheck,
    Help,
    /// The argument that nobody knows.
    Unknown(OsString),
}

impl Task {
    /// From the arguments behind the program's name.
    pub(super) fn read(mut arguments: impl Iterator<Item = OsString>) -> Self {
        let Some(first) = arguments.next() else {
            return Self::Serve;
        };
        let task = match first.to_str() {
            Some("healthcheck") => Self::Healthcheck,
            Some("--help" | "-h" | "help") => Self::Help,
            _ => return Self::Unknown(first),
        };
        arguments.next().map_or(task, Self::Unknown)
    }
}

impl Program {
    pub(super) fn help(&self) -> String {
        let Self { name, purpose, .. } = self;
        let mut help = format!(
            "\
{name}: {purpose}

usage: {name}              serve until told to stop
       {name} healthcheck  exit 0 when the one on this machine lives
       {name} --help       this text

settings, from the environment or from the file that CONFIG_FILE names:
"
        );
        let settings = || {
            ProcessSettings::HELP
                .iter()
                .chain(TraceSettings::HELP)
                .chain(self.settings.iter().copied().flatten())
        };
        let width = settings().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, meaning) in settings() {
            help.push_str(&format!("  {name:width$}  {meaning}\n"));
        }
        help
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(arguments: &[&str]) -> Task {
        Task::read(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments_that_nobody_knows_are_not_passed_over() {
        assert_eq!(task(&[]), Task::Serve);
        assert_eq!(task(&["healthcheck"]), Task::Healthcheck);
        assert_eq!(task(&["-h"]), Task::Help);
        assert_eq!(task(&["serve"]), Task::Unknown("serve".into()));
        assert_eq!(task(&["healthcheck", "now"]), Task::Unknown("now".into()));
    }

    #[test]
    fn help_tells_the_settings_of_every_process_and_its_own() {
        let help = Program {
            name: "greeter",
            purpose: "says hello",
            settings: &[&[("GREETING", "what it says (hello)")]],
        }
        .help();
        for part in [
            "greeter: says hello",
            "greeter healthcheck",
            "\n  HTTP_ADDR  ",
            "\n  GREETING                     what it says (hello)\n",
        ] {
            assert!(help.contains(part), "{part} in {help}");
        }
    }
}
