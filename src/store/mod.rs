//! The archive on the disk: bodies come in through `staging/` and get their name once they are whole and durable.
//!
//! All file work runs on blocking threads. What is returned as stored survives a power cut. Must not know: HTTP, the
//! catalog, or when a recording is due.

mod durable;
mod error;
mod facts;
mod kept;
mod local;
mod lock;
mod marker;
mod place;
mod reader;
mod reread;
mod root;
mod shared_sync;
pub mod sidecar;
mod staging;
mod survey;

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

pub use error::Conflict;
pub use error::OpenError;
pub use error::StoreError;
pub use error::StoreErrorKind;
pub use facts::FileSystem;
pub use facts::FileSystemKind;
pub use facts::Holder;
pub use facts::PlaceFacts;
pub use kept::Kept;
pub use reader::Expected;
pub use reader::Listing;
pub use reader::Reread;
pub use reader::StoreReader;
pub use reader::Walk;
pub use reread::ReadPace;
pub use staging::BUFFER_BYTES;
pub use staging::BodyFacts;
pub use staging::BodyPlan;
pub use staging::SealedBody;
pub use staging::StagedBody;

use crate::domain::clock::SharedClock;
use crate::domain::ids::RecordingRef;
use crate::domain::key::StoreKey;
use crate::domain::recording::History;
use crate::domain::report::StoredObject;
use root::Root;
use root::STAGING;

/// Which archive to open, and how.
#[derive(Clone)]
pub struct StoreOptions {
    /// Where it lies. May be a link to the place; it is resolved once.
    pub dir: PathBuf,
    /// Its id, where only this archive will do. Without one, a missing or empty directory becomes a new archive.
    pub expected_id: Option<String>,
    /// Whether the group may read what is made from now on: 0640 and 0750 instead of 0600 and 0700.
    pub group_readable: bool,
    /// Free space that is never taken.
    pub min_free_bytes: u64,
    /// Tells `archived_at`.
    pub clock: SharedClock,
    /// Whether what is stored is synced. Without it nothing that is returned as stored is sure to survive: for measuring
    /// what the syncs cost, and for nothing else.
    pub durable: bool,
}

/// What is written beside a body, besides what the body says of itself.
#[derive(Debug, Clone)]
pub struct SidecarNote {
    /// Which recording it is.
    pub recording: RecordingRef,
    /// Upstream's JSON object, without `url` and without signed links. Its `id` is the recording's.
    pub metadata: String,
    /// What the catalog knows of it besides.
    pub history: History,
    /// The media host's `Content-Type`, verbatim.
    pub content_type: Option<String>,
    /// The media host's `ETag`, verbatim.
    pub etag: Option<String>,
    /// Something an operator may want to look at.
    pub remark: Option<String>,
}

/// What can be seen of an archive without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveGlance {
    /// Its id; `None` where there is no marker.
    pub id: Option<String>,
    /// Free bytes that this user may take.
    pub free_bytes: u64,
}

/// Room on the archive's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free bytes that this user may take, the reserve included.
    pub free_bytes: u64,
    /// Free bytes that are never taken.
    pub reserve_bytes: u64,
}

/// An open archive, of which this process is the only writer until every clone and every body is dropped.
#[derive(Clone)]
pub struct Store {
    root: Arc<Root>,
}

impl Store {
    /// Opens the archive, or makes it in a missing or empty place where no id is expected. Removes what an earlier
    /// process left in `staging/`. Blocks, but waits for no other writer.
    ///
    /// # Errors
    /// When it is locked, not the right one, or not safe to write to. Until the lock is held nothing is changed, save
    /// that a missing directory may have been made.
    pub fn open(options: &StoreOptions) -> Result<Self, OpenError> {
        Ok(Self {
            root: Arc::new(Root::open(options)?),
        })
    }

    /// Looks at an archive that another process may be writing. Takes no lock and changes nothing. Blocks.
    ///
    /// # Errors
    /// When the place cannot be opened or its marker cannot be understood.
    pub fn look(dir: &Path) -> Result<ArchiveGlance, OpenError> {
        let io = |source| OpenError::Io {
            op: "look at",
            path: dir.to_owned(),
            source,
        };
        let resolved = dir.canonicalize().map_err(io)?;
        let folder = root::open_to_look(&resolved)?;
        Ok(ArchiveGlance {
            id: marker::read(&folder, &resolved)?.map(|marker| marker.id),
            free_bytes: durable::free_bytes(&folder).map_err(io)?,
        })
    }

    /// Whether a folder is safe to keep a part of the archive in: owned by us or root, and in nobody else's power. Blocks.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check_place(dir: &Path) -> Result<(), OpenError> {
        let resolved = dir.canonicalize().map_err(|source| OpenError::Io {
            op: "look at",
            path: dir.to_owned(),
            source,
        })?;
        root::open(&resolved).map(drop)
    }

    /// What can be seen of a place, of its file system, and of who writes the archive in it. Changes nothing. The lock is
    /// held for a moment to see whether it is held; whoever opens the archive then tries again. Blocks.
    ///
    /// # Errors
    /// The place cannot be opened or looked at.
    pub fn facts(dir: &Path) -> Result<PlaceFacts, OpenError> {
        facts::look(dir)
    }

    /// Whether this user may read and write a file; true where there is none. Blocks for a moment.
    #[must_use]
    pub fn may_write(path: &Path) -> bool {
        facts::may_write(path)
    }

    /// Tries in a directory what an archive needs: make, write, sync, rename, link and remove a file. Takes no lock, and
    /// leaves the place as it was. Blocks.
    ///
    /// Returns what is allowed there and should be known, in one line.
    ///
    /// # Errors
    /// Says which of them the place refuses, that others could change what lies there, or that it is neither empty nor an
    /// archive.
    pub fn try_place(dir: &Path) -> Result<Option<String>, OpenError> {
        let io = |source| OpenError::Io {
            op: "write to",
            path: dir.to_owned(),
            source,
        };
        let resolved = dir.canonicalize().map_err(io)?;
        let folder = root::open(&resolved)?;
        marker::examine(&folder, &resolved, None)?;
        durable::try_folder(&folder).map_err(io)?;
        place::remark(&folder, &resolved).map_err(io)
    }

    /// As [`Store::try_place`], in a folder that holds a part of an archive and no marker: that of a catalog that lies
    /// elsewhere. Blocks.
    ///
    /// # Errors
    /// Says what the folder refuses, or that others could change what lies there.
    pub fn try_folder(dir: &Path) -> Result<(), OpenError> {
        let io = |source| OpenError::Io {
            op: "write to",
            path: dir.to_owned(),
            source,
        };
        let folder = root::open(&dir.canonicalize().map_err(io)?)?;
        durable::try_folder(&folder).map_err(io)
    }

    /// The read side.
    ///
    /// # Errors
    /// As [`StoreReader::open`].
    pub fn reader(&self) -> Result<StoreReader, OpenError> {
        StoreReader::open(&self.root.dir)
    }

    /// The id in the archive's marker.
    #[must_use]
    pub fn archive_id(&self) -> &str {
        &self.root.id
    }

    /// The archive's directory, with links resolved.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.root.dir
    }

    /// How many unfinished files of an earlier process were removed when the archive was opened.
    #[must_use]
    pub fn cleared_staging(&self) -> u64 {
        self.root.cleared_staging
    }

    /// What was found when the archive was opened that is allowed and should be known, each in one line.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.root.remarks
    }

    /// Whether there is any file at all below `recordings/`. Stops at the first. Blocks.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn has_recordings(&self) -> io::Result<bool> {
        durable::holds_a_file(&self.root.recordings)
    }

    /// Free bytes that this user may take, the reserve included. Blocks for a moment.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub fn free_bytes(&self) -> io::Result<u64> {
        durable::free_bytes(&self.root.staging)
    }

    /// Keeps this much free from now on.
    pub fn set_min_free_bytes(&self, bytes: u64) {
        self.root.set_min_free_bytes(bytes);
    }

    /// How much room there is, and how much of it is kept.
    ///
    /// # Errors
    /// Of kind `Local` when the file system does not tell.
    pub async fn space(&self) -> Result<Space, StoreError> {
        let root = Arc::clone(&self.root);
        on_disk("ask for the free space of", move || {
            let free_bytes = durable::free_bytes(&root.staging)
                .map_err(|refused| StoreError::local("ask for the free space of", STAGING, refused))?;
            Ok(Space {
                free_bytes,
                reserve_bytes: root.min_free_bytes(),
            })
        })
        .await
    }

    /// Whether a process writes the archive in `dir` now; none, where that cannot be told.
    #[must_use]
    pub fn is_in_use(dir: &Path) -> bool {
        lock::is_taken(dir).unwrap_or(false)
    }

    /// Tries whether bodies could be stored now, with a small file that is removed again.
    ///
    /// # Errors
    /// Of kind `Local`: the reserve is reached, or a file cannot be made, written, synced or removed.
    pub async fn ready(&self) -> Result<(), StoreError> {
        let root = Arc::clone(&self.root);
        on_disk("try", move || local::probe(&root)).await
    }

    /// Refuses a body that would eat into the reserve. Sets nothing aside: every write looks again.
    ///
    /// # Errors
    /// Of kind `Local`.
    pub async fn reserve(&self, body_bytes: u64) -> Result<(), StoreError> {
        let root = Arc::clone(&self.root);
        on_disk("take space in", move || local::check_space(&root, body_bytes)).await
    }

    /// Begins a body, in a file of its own, which the first write makes.
    #[must_use]
    pub fn begin(&self, plan: BodyPlan) -> StagedBody {
        StagedBody::begin(Arc::clone(&self.root), plan)
    }

    /// For each key, whether anything stands at its body's name, in their order: where nothing does, there is nothing to
    /// adopt. Where that cannot be told, something does.
    ///
    /// # Errors
    /// Of kind `Local` when the machine cannot start a thread.
    pub async fn standing_at(&self, keys: Vec<StoreKey>) -> Result<Vec<bool>, StoreError> {
        let root = Arc::clone(&self.root);
        on_disk("look at", move || {
            let is_taken = |key: &StoreKey| {
                let standing = durable::stat(&root.folder, &key.to_string());
                !matches!(standing, Ok(None))
            };
            Ok(keys.iter().map(is_taken).collect())
        })
        .await
    }

    /// Takes a body that an earlier process published and did not live to report: one that lies at its name with a
    /// sidecar that names this recording and describes these very bytes. Re-reads the body. Runs to its end once begun.
    ///
    /// `None` where there is no such body; what stands there is left as it is, and [`SealedBody::publish`] will hold it
    /// against what is downloaded.
    ///
    /// # Errors
    /// Of kind `Local` when the disk refuses.
    pub async fn adopt(&self, key: &StoreKey, recording: &RecordingRef) -> Result<Option<StoredObject>, StoreError> {
        let (root, key, recording) = (Arc::clone(&self.root), key.clone(), recording.clone());
        on_disk("adopt from", move || local::adopt(&root, &key, &recording)).await
    }

    /// Names a folder below `damaged/` for what stands at this recording's names. It is made by [`Store::keep`].
    ///
    /// # Errors
    /// Of kind `Local` when the system gives no random bytes.
    pub fn kept_folder(&self, key: &StoreKey) -> Result<String, StoreError> {
        kept::new_folder(&self.root, key)
            .map_err(|refused| StoreError::local("name a folder for", key.to_string(), refused))
    }

    /// Moves what stands at this recording's names into a folder from [`Store::kept_folder`], durably, so that the names are
    /// free. Runs to its end once begun.
    ///
    /// # Errors
    /// Of kind `Local` when the disk refuses. Some of it may have been moved.
    pub async fn keep(&self, key: &StoreKey, kept_path: &str, what: Kept) -> Result<(), StoreError> {
        let (root, key, kept_path) = (Arc::clone(&self.root), key.clone(), kept_path.to_owned());
        on_disk("keep what stands in", move || kept::keep(&root, &key, &kept_path, what)).await
    }

    /// Whether anything stands at this recording's body's name.
    ///
    /// # Errors
    /// Of kind `Local` when the disk refuses.
    pub async fn is_taken(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let (root, key) = (Arc::clone(&self.root), key.clone());
        on_disk("look at", move || kept::is_taken(&root, &key)).await
    }

    /// Writes the sidecar of a stored body anew, in the place of the one that is there, durably. Runs to its end once
    /// begun.
    ///
    /// # Errors
    /// Of kind `Conflict` when something stands there that is no sidecar of ours or describes another body; it is left as
    /// it is. Of kind `Local` when the disk refuses.
    pub async fn describe_again(
        &self,
        object: StoredObject,
        metadata: String,
        history: History,
    ) -> Result<(), StoreError> {
        let root = Arc::clone(&self.root);
        on_disk("describe again in", move || {
            local::describe_again(&root, object, metadata, history)
        })
        .await
    }
}

/// Runs file work on a blocking thread, to its end whatever becomes of the future.
async fn on_disk<T: Send + 'static>(
    op: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(ended) => Err(StoreError::local(op, STAGING, io::Error::other(ended))),
    }
}
