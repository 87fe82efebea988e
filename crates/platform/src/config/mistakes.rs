//! What is wrong with the settings, all of it.

use std::fmt;

use super::Environment;

/// One setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub name: String,
    /// What was found; `None` for secrets and for what is missing.
    pub found: Option<String>,
    pub expected: String,
}

impl Mistake {
    pub(super) fn new(name: &str, found: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Self {
            name: name.to_owned(),
            found: Some(without_credentials(&found.to_string())),
            expected: expected.to_string(),
        }
    }

    pub(super) fn hidden(name: &str, expected: impl fmt::Display) -> Self {
        Self {
            name: name.to_owned(),
            found: None,
            expected: expected.to_string(),
        }
    }

    pub(super) fn missing_secret(name: &str, environment: &Environment) -> Self {
        Self::hidden(
            name,
            format_args!("missing secret, required when ENVIRONMENT is {environment}"),
        )
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some(found) => write!(f, "{}: found {found:?}: {}", self.name, self.expected),
            None => write!(f, "{}: {}", self.name, self.expected),
        }
    }
}

/// `scheme://user:password@host` may stand in any URL: everything between `//` and the last `@` is left out.
fn without_credentials(text: &str) -> String {
    match (text.find("//"), text.rfind('@')) {
        (Some(slashes), Some(at)) if slashes < at => format!("{}…{}", &text[..slashes + 2], &text[at..]),
        _ => text.to_owned(),
    }
}

/// At least one [`Mistake`]; prints one on each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn unless_empty(mistakes: Vec<Mistake>) -> Result<(), Self> {
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(Self(mistakes))
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// What adapters say against the settings that they were given: what only a driver can judge.
#[derive(Debug, Default)]
pub struct Refusals(Vec<Mistake>);

impl Refusals {
    /// The adapter, where there is one and nothing speaks against it. `name` is the setting that chose it; the
    /// error must quote no secret.
    pub fn adapter<T, E: fmt::Display>(&mut self, name: &str, made: Option<Result<T, E>>) -> Option<T> {
        match made? {
            Ok(adapter) => Some(adapter),
            Err(error) => {
                self.0.push(Mistake::hidden(name, error));
                None
            }
        }
    }

    /// Every refusal, or `Ok` when there is none.
    pub fn finish(self) -> Result<(), Mistakes> {
        Mistakes::unless_empty(self.0)
    }
}
