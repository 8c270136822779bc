//! What is wrong with a configuration: every fault, each with its key, where the value came from and the way out.
//!
//! Nothing secret may enter a fault: what is put here goes to the terminal and the journal. Must not know: which
//! keys exist.

use std::fmt;
use std::path::PathBuf;

use crate::domain::redact::one_line;

/// The longest text that is repeated from a configuration, in characters.
const SHOWN_CHARS: usize = 200;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An option of the command line.
    Option(&'static str),
    /// A configuration file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// Nobody set it, and it has a default.
    Default,
    /// Nobody set it, and it has none.
    NotSet,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(name) => write!(f, "option {name}"),
            Self::File(path) => write!(f, "file {}", one_line(&path.to_string_lossy(), SHOWN_CHARS)),
            Self::Variable(name) => write!(f, "environment variable {}", one_line(name, SHOWN_CHARS)),
            Self::Default => f.write_str("default"),
            Self::NotSet => f.write_str("not set"),
        }
    }
}

/// One thing that is wrong. Prints as one line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The path of the key, `download.concurrency`.
    pub key: String,
    /// Where the value came from.
    pub origin: Origin,
    /// What was found there; absent where it is, or might be, a secret.
    pub found: Option<String>,
    /// What is wrong, or what was expected, and what to do.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.key, SHOWN_CHARS))?;
        if let Some(found) = &self.found {
            write!(f, " = {}", one_line(found, SHOWN_CHARS))?;
        }
        write!(f, " ({}): {}", self.origin, one_line(&self.remedy, 4 * SHOWN_CHARS))
    }
}

/// Everything that is wrong with a configuration: a heading, then one fault a line, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFaults(Vec<Fault>);

impl ConfigFaults {
    pub(super) fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort();
        faults.dedup();
        Self(faults)
    }

    /// The faults, in the order of their keys.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has 1 fault:")?,
            count => write!(f, "the configuration has {count} faults:")?,
        }
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigFaults {}
