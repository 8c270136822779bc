//! What the command is told: the events, and the JSON they are written in.
//!
//! The names and members are stable, scripts read them. Must not know: how a command is run, when an event happens.

use serde::Serialize;

use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::redact::blank_numbers;

/// The version of the JSON: grows when a member changes its meaning or goes.
const VERSION: u32 = 1;

/// Ids that an event names at most; its count goes on.
pub const MOST_RECORDINGS: usize = 100;

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// Recordings have spent their attempts.
    GaveUp,
    /// A workspace's credential is refused.
    Paused,
    /// Re-reading found what is not as it was archived.
    DamageFound,
    /// The archive's disk takes no more recordings.
    DiskLow,
}

/// Every kind of event.
pub const EVENT_KINDS: [EventKind; 4] = [
    EventKind::GaveUp,
    EventKind::Paused,
    EventKind::DamageFound,
    EventKind::DiskLow,
];

impl EventKind {
    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GaveUp => "gave_up",
            Self::Paused => "paused",
            Self::DamageFound => "damage_found",
            Self::DiskLow => "disk_low",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        EVENT_KINDS.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Something that an operator may want to be told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing.
    pub kind: EventKind,
    /// When it was seen.
    pub at: Timestamp,
    /// Where; `None`: it is about all of the archive.
    pub workspace: Option<WorkspaceName>,
    /// One line for people, without secrets.
    pub text: String,
    /// How many recordings it is about.
    pub count: u64,
    /// The newest of them, [`MOST_RECORDINGS`] at most.
    pub recordings: Vec<RecordingId>,
}

impl Event {
    /// Whether both are told as one while they wait.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        (self.kind, &self.workspace) == (other.kind, &other.workspace)
    }

    /// Takes in a later one that goes with it.
    pub(super) fn absorb(&mut self, mut later: Self) {
        later.count += self.count;
        later.recordings.append(&mut self.recordings);
        later.recordings.truncate(MOST_RECORDINGS);
        *self = later;
    }

    /// As one line of JSON.
    pub(super) fn to_json(&self, archive_id: &str) -> String {
        let written = Written {
            version: VERSION,
            event: self.kind.as_str(),
            at: self.at.to_string(),
            archive_id,
            workspace: self.workspace.as_ref().map(WorkspaceName::as_str),
            text: &blank_numbers(&self.text),
            count: self.count,
            recordings: self.recordings.iter().map(ToString::to_string).collect(),
        };
        serde_json::to_string(&written).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    event: &'static str,
    at: String,
    archive_id: &'a str,
    workspace: Option<&'a str>,
    text: &'a str,
    count: u64,
    recordings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_kinds_are_the_same() {
        for kind in EVENT_KINDS {
            assert_eq!(EventKind::from_name(kind.as_str()), Some(kind));
        }
        assert_eq!(EventKind::from_name("gave-up"), None);
    }

    #[test]
    fn what_waits_is_told_as_one_and_stays_bounded() {
        let event = |count: u8| Event {
            kind: EventKind::GaveUp,
            at: "2024-01-01T00:00:00Z".parse().unwrap(),
            workspace: Some("support".parse().unwrap()),
            text: format!("{count} more"),
            count: u64::from(count),
            recordings: (0..count).map(|n| RecordingId::from_bytes([n; 16])).collect(),
        };
        let mut told = event(80);
        assert!(told.goes_with(&event(1)));
        told.absorb(event(70));
        assert_eq!((told.count, told.recordings.len()), (150, MOST_RECORDINGS));
        assert_eq!(told.text, "70 more");
        let json: serde_json::Value = serde_json::from_str(&told.to_json("a-1")).unwrap();
        assert_eq!(json["event"], "gave_up");
        assert_eq!(json["archive_id"], "a-1");
        assert_eq!(json["recordings"].as_array().unwrap().len(), MOST_RECORDINGS);
    }
}
