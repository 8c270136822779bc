//! A recording as the archive itself tells of it: its sidecar read, its body looked at.
//!
//! Must not know: how files are read, or what a catalog makes of it.

use super::clock::Timestamp;
use super::finding::Finding;
use super::recording::History;
use super::recording::Recording;
use super::report::StoredObject;

/// A recording that was found in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecording {
    /// What upstream said of it last, read out of its sidecar.
    pub recording: Recording,
    /// What a catalog knew of it besides.
    pub history: History,
    /// Whether the sidecar says all of `history`, so that it need not be written again.
    pub sidecar_is_complete: bool,
    /// What the sidecar says of the body.
    pub object: StoredObject,
    /// What the body is.
    pub body: FoundBody,
}

/// What stands in a body's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundBody {
    /// The very bytes that the sidecar describes: they were read.
    Sound,
    /// A file of the length that the sidecar states. It was not read.
    Unread,
    /// Something else, or nothing.
    Unsound(Finding),
}

impl FoundRecording {
    /// When upstream certainly still listed it: a lower bound, since a sidecar does not tell of quiet listings.
    #[must_use]
    pub fn last_seen_at(&self) -> Timestamp {
        let superseded = self.history.versions.iter().map(|version| version.superseded_at);
        superseded
            .chain([self.object.archived_at, self.history.first_seen_at])
            .max()
            .unwrap_or(self.object.archived_at)
    }
}
