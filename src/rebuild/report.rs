//! What was found, used and not used; how far the work is.
//!
//! Must not know: who reads it.

use std::path::PathBuf;

use crate::domain::found::FoundBody;
use crate::domain::found::FoundRecording;
use crate::domain::ids::RecordingId;

/// How many of each kind a report names; the rest is counted. Memory must not grow with what is wrong.
const MOST_NAMED: usize = 10_000;

/// How far the work is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Sidecars that were dealt with.
    pub done: u64,
    /// Sidecars there are; 0 while they are being counted.
    pub of: u64,
    /// Bytes of the bodies that were dealt with, as their sidecars state them.
    pub bytes: u64,
    /// Bytes of all bodies, as their sidecars state them.
    pub of_bytes: u64,
}

/// Something in the archive that could not be used. It was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Where, relative to the archive, as one line.
    pub path: String,
    /// Why, in one line.
    pub reason: String,
}

/// What a rebuild made, and what it could not use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Rows made, those included that have no sound body.
    pub recordings: u64,
    /// Bytes of the bodies that are archived now.
    pub bytes: u64,
    /// Recordings whose sidecar has no body: they are due.
    pub without_body: Vec<RecordingId>,
    /// Recordings whose body is not what its sidecar describes, or cannot be read: they are archived, with a finding.
    pub damaged: Vec<RecordingId>,
    /// What could not be used.
    pub unusable: Vec<Unusable>,
    /// Bodies that have no sidecar that could be used.
    pub bodies_without_sidecar: Vec<String>,
    /// How many more of any kind there are than are named here.
    pub not_named: u64,
    /// Whether the bodies were read.
    pub hashed: bool,
    /// What stood in the catalog's way and was moved: from where, to where.
    pub moved_aside: Vec<(PathBuf, PathBuf)>,
}

impl RebuildReport {
    /// Whether everything that was found could be used.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.without_body.is_empty()
            && self.damaged.is_empty()
            && self.unusable.is_empty()
            && self.bodies_without_sidecar.is_empty()
    }

    pub(super) fn count(&mut self, found: &FoundRecording, is_lost: bool) {
        let id = found.recording.id;
        self.recordings += 1;
        if is_lost {
            self.name(id, |report| &mut report.without_body);
            return;
        }
        self.bytes += found.object.size_bytes;
        if matches!(found.body, FoundBody::Unsound(_)) {
            self.name(id, |report| &mut report.damaged);
        }
    }

    pub(super) fn refuse(&mut self, unusable: Unusable) {
        self.name(unusable, |report| &mut report.unusable);
    }

    pub(super) fn note_lone_body(&mut self, path: String) {
        self.name(path, |report| &mut report.bodies_without_sidecar);
    }

    fn name<T>(&mut self, thing: T, list: impl FnOnce(&mut Self) -> &mut Vec<T>) {
        let list = list(self);
        if list.len() < MOST_NAMED {
            list.push(thing);
        } else {
            self.not_named += 1;
        }
    }
}
