//! What re-reading an archived recording can find wrong.
//!
//! Must not know: how files are read, who is told.

use std::fmt;
use std::str::FromStr;

/// The kinds of findings, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// Nothing stands at the body's name.
    Missing,
    /// What stands there is not what was archived.
    Damaged,
    /// The disk does not give the body back. It may be whole.
    Unreadable,
    /// The body is as it should be, its sidecar is not.
    Sidecar,
}

/// Every kind, in the order people read them.
pub const FINDING_KINDS: [FindingKind; 4] = [
    FindingKind::Missing,
    FindingKind::Damaged,
    FindingKind::Unreadable,
    FindingKind::Sidecar,
];

impl FindingKind {
    /// The kind's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Unreadable => "unreadable",
            Self::Sidecar => "sidecar",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that names no kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of missing, damaged, unreadable, sidecar")]
pub struct InvalidFindingKind;

impl FromStr for FindingKind {
    type Err = InvalidFindingKind;

    fn from_str(text: &str) -> Result<Self, InvalidFindingKind> {
        FINDING_KINDS
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(InvalidFindingKind)
    }
}

/// What is wrong with one recording's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of wrong.
    pub kind: FindingKind,
    /// In words, without secrets.
    pub detail: String,
}

impl Finding {
    /// A finding of this kind.
    #[must_use]
    pub fn new(kind: FindingKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}
