//! Where a process runs.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// `ENVIRONMENT`: development is forgiving (secrets may be invented), everything else is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Environment {
    /// A laptop or a test.
    Development,
    /// Anything else, by its name: production, staging, …
    Production(String),
}

impl Environment {
    pub fn is_development(&self) -> bool {
        matches!(self, Self::Development)
    }
}

impl FromStr for Environment {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        match text {
            "development" => Ok(Self::Development),
            other => Ok(Self::Production(other.to_owned())),
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production(name) => name,
        })
    }
}
