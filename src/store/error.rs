//! What can go wrong on the disk, sorted by what to do about it.
//!
//! Must not know: attempts, states, or who is told.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::domain::digest::Sha256Digest;

/// An operation on an open archive that could not be done.
#[derive(Debug, thiserror::Error)]
#[error("could not {op} {path}")]
pub struct StoreError {
    /// The operation, as a verb.
    pub op: &'static str,
    /// Where, relative to the archive.
    pub path: String,
    /// What to do about it.
    pub kind: StoreErrorKind,
    source: Box<dyn Error + Send + Sync>,
}

/// What to do about a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The machine's fault: full, read-only, not permitted, out of descriptors, broken. Not the recording's: nothing
    /// should be tried on this disk until it is over.
    Local,
    /// Something else stands at one of this recording's names. It is never overwritten and never followed.
    Conflict,
    /// The body is larger than was allowed.
    TooLarge,
    /// What was given to keep beside the body is not what it must be: a fault of the program.
    Invalid,
}

/// The source of a [`StoreErrorKind::Conflict`] between two bodies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "another body stands there, {existing_bytes} bytes with SHA-256 {existing_sha256}; \
     ours has {our_bytes} bytes and SHA-256 {our_sha256}"
)]
pub struct Conflict {
    /// SHA-256 of what stands there.
    pub existing_sha256: Sha256Digest,
    /// Length in bytes of what stands there.
    pub existing_bytes: u64,
    /// SHA-256 of the body that was to be published.
    pub our_sha256: Sha256Digest,
    /// Length in bytes of the body that was to be published.
    pub our_bytes: u64,
}

/// A reason in our own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Because(String);

impl StoreError {
    pub(super) fn local(op: &'static str, path: impl Into<String>, source: io::Error) -> Self {
        Self {
            op,
            path: path.into(),
            kind: StoreErrorKind::Local,
            source: source.into(),
        }
    }

    pub(super) fn because(
        kind: StoreErrorKind,
        op: &'static str,
        path: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            op,
            path: path.into(),
            kind,
            source: Because(reason.into()).into(),
        }
    }

    pub(super) fn conflict_of_bodies(path: String, conflict: Conflict) -> Self {
        Self {
            op: "publish",
            path,
            kind: StoreErrorKind::Conflict,
            source: conflict.into(),
        }
    }

    /// Whether this is the machine's fault and not the recording's.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.kind == StoreErrorKind::Local
    }

    /// The two bodies, where the fault is that they differ.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict> {
        self.source.downcast_ref()
    }
}

/// Why an archive was not opened. Nothing was changed, unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The place is not a directory.
    #[error("archive.dir {dir} is not a directory")]
    NotADirectory {
        /// The place.
        dir: PathBuf,
    },
    /// The archive that the configuration names is not here.
    #[error(
        "{dir} does not hold the archive {expected} that archive.id or the catalog names: {found}. \
         Is its volume mounted? Nothing was created"
    )]
    NotMounted {
        /// The place.
        dir: PathBuf,
        /// The id in the configuration.
        expected: String,
        /// What was found instead.
        found: &'static str,
    },
    /// Another archive than the configured one is here.
    #[error(
        "{dir} holds the archive {found}, but archive.id or the catalog names {expected}: mount the right volume, or correct archive.id or catalog.path"
    )]
    OtherArchive {
        /// The place.
        dir: PathBuf,
        /// The id in the configuration.
        expected: String,
        /// The id in the marker.
        found: String,
    },
    /// Files, but no marker.
    #[error(
        "{dir} has no archive.json but is not empty (it holds {beside}): if it is an archive, put its archive.json \
         back from a backup; if not, name an empty directory in archive.dir"
    )]
    MarkerMissing {
        /// The place.
        dir: PathBuf,
        /// One thing that is there.
        beside: String,
    },
    /// The marker cannot be understood.
    #[error("{path} is not an archive's marker ({why}): put it back from a backup")]
    MarkerGarbled {
        /// The marker.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The archive was laid out by a later version.
    #[error("{path} has layout version {found}, this birdkeep knows versions up to {known}: use a newer birdkeep")]
    NewerLayout {
        /// The marker.
        path: PathBuf,
        /// The version in the marker.
        found: u64,
        /// The newest version this program knows.
        known: u64,
    },
    /// Another process writes this archive.
    #[error("the archive is in use by {holder} (lock {path}): stop it first, or wait until it ends")]
    Locked {
        /// Who, as far as the lock file tells.
        holder: String,
        /// The lock file.
        path: PathBuf,
    },
    /// Everybody may write to the archive's directory.
    #[error("{dir} can be written by everybody (mode {mode:04o}): run `chmod o-w` on it")]
    WorldWritable {
        /// The place.
        dir: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The archive's directory, or one in it, belongs to another user, who can change it at will.
    #[error(
        "{dir} belongs to the user with id {owner}, and birdkeep runs as {us}: run it as the owner, or give the archive to \
         the user it runs as"
    )]
    OtherOwner {
        /// The place.
        dir: PathBuf,
        /// Whose it is.
        owner: u32,
        /// As whom we run.
        us: u32,
    },
    /// Everybody may put another directory in the archive's place.
    #[error(
        "everybody could put another directory in the place of {dir}: {above} has mode {mode:04o}; run `chmod o-w` or `chmod +t` on it"
    )]
    ReplaceableByAll {
        /// The place.
        dir: PathBuf,
        /// The directory above it.
        above: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Something stands where a part of the archive belongs.
    #[error("{path} is {found}, not {wanted}: it is not followed; move it away or put the right thing there")]
    NotOurs {
        /// Where.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// What belongs there.
        wanted: &'static str,
    },
    /// Staging and recordings do not share a file system, so that no body could be published in one step.
    #[error("{dir}: staging and recordings must lie on one mounted file system, and do not")]
    TwoFileSystems {
        /// The archive.
        dir: PathBuf,
    },
    /// We may not write here.
    #[error("{path} cannot be made or written by this user: give the archive to the user birdkeep runs as")]
    NotWritable {
        /// Where it was tried.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something else. Folders may have been made.
    #[error("could not {op} {path}")]
    Io {
        /// The operation, as a verb.
        op: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
