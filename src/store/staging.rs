//! Bodies on their way in: hashed as they pass, counted, and gone without a trace unless they are published.
//!
//! Must not know: names in `recordings/`, or where the bytes come from.

use std::fs::File;
use std::io;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use md5::Md5;
use sha2::Digest;
use sha2::Sha256;

use super::SidecarNote;
use super::durable;
use super::error::StoreError;
use super::error::StoreErrorKind;
use super::local;
use super::on_disk;
use super::root::Root;
use super::root::STAGING;
use crate::domain::audio;
use crate::domain::audio::Mp3Scanner;
use crate::domain::audio::Mp3Summary;
use crate::domain::digest::Md5Digest;
use crate::domain::digest::Sha256Digest;
use crate::domain::key::StoreKey;
use crate::domain::recording::Format;
use crate::domain::report::StoredObject;

/// How much of a body is held in memory between writes, in bytes.
pub const BUFFER_BYTES: usize = 256 * 1024;

/// In how many pieces: a host that sends byte by byte makes us hold more than its bytes.
const BUFFER_PIECES: usize = 256;

/// What is known of a body before it comes.
#[derive(Debug, Clone, Copy)]
pub struct BodyPlan {
    /// What upstream says it is; MP3 frames are counted on the way.
    pub format: Format,
    /// Whether to take an MD5 too, for an `ETag` that is one.
    pub want_md5: bool,
    /// The most it may be.
    pub max_bytes: u64,
}

/// What a body turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyFacts {
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    /// Its MD5, where that was wanted.
    pub md5: Option<Md5Digest>,
    /// Its first [`audio::LEADING_BYTES`] bytes, or all there are.
    pub leading: Vec<u8>,
    /// What its frames say, for a whole MP3.
    pub mp3: Option<Mp3Summary>,
}

/// A file in `staging/` that is removed when this is dropped.
pub(super) struct StagedFile {
    pub(super) root: Arc<Root>,
    pub(super) file: File,
    name: String,
    settled: bool,
}

impl StagedFile {
    pub(super) fn create(root: &Arc<Root>) -> Result<Self, StoreError> {
        let create = |refused| StoreError::local("create a file in", STAGING, refused);
        let name = format!("{}.part", durable::random_name().map_err(create)?);
        let file = durable::create_file(&root.staging, &name, root.modes.file).map_err(create)?;
        Ok(Self {
            root: Arc::clone(root),
            file,
            name,
            settled: false,
        })
    }

    pub(super) fn path(&self) -> String {
        format!("{STAGING}/{}", self.name)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(bytes)
            .map_err(|refused| StoreError::local("write", self.path(), refused))
    }

    /// Makes the bytes durable. Never twice: after a failed sync the kernel may call lost bytes written, so that a
    /// failure here ends this file.
    pub(super) fn sync(self) -> Result<SyncedFile, StoreError> {
        match self.root.sync_file(&self.file) {
            Ok(()) => Ok(SyncedFile(self)),
            Err(refused) => Err(StoreError::local("sync", self.path(), refused)),
        }
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.settled
            && let Err(refused) = durable::remove(&self.root.staging, &self.name)
        {
            // Left for the next start, which clears what is staged.
            tracing::debug!(path = self.path(), error = %refused, "a staged file could not be removed");
        }
    }
}

/// A staged file whose bytes are durable: the only kind that can get a final name.
pub(super) struct SyncedFile(StagedFile);

impl SyncedFile {
    /// The archive that it is staged in.
    pub(super) fn root(&self) -> Arc<Root> {
        Arc::clone(&self.0.root)
    }

    /// Gives it its final name; says `false`, and removes it, where that name is taken.
    pub(super) fn publish(mut self, folder: &File, name: &str) -> io::Result<bool> {
        match durable::publish_no_replace(&self.0.root.staging, &self.0.name, folder, name) {
            Ok(()) => {
                self.0.settled = true;
                Ok(true)
            }
            Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(refused) => Err(refused),
        }
    }

    /// Removes it, and says so where that fails.
    pub(super) fn remove(mut self) -> Result<(), StoreError> {
        self.0.settled = true;
        durable::remove(&self.0.root.staging, &self.0.name)
            .map_err(|refused| StoreError::local("remove", self.0.path(), refused))
    }

    /// Puts it in the place of a file.
    pub(super) fn replace(mut self, folder: &File, name: &str) -> io::Result<()> {
        durable::replace(&self.0.root.staging, &self.0.name, folder, name)?;
        self.0.settled = true;
        Ok(())
    }
}

/// A body being received. Dropping it, at any time, removes its file.
pub struct StagedBody {
    root: Arc<Root>,
    plan: BodyPlan,
    received_bytes: u64,
    /// `None` once a write failed or was cut off.
    state: Option<Receiving>,
}

struct Receiving {
    root: Arc<Root>,
    /// Made by the first write, so that a small body takes one turn on a blocking thread.
    staged: Option<StagedFile>,
    /// As they came, so that no byte is copied on its way.
    pieces: Vec<Bytes>,
    held_bytes: usize,
    written_bytes: u64,
    leading: Vec<u8>,
    sha256: Sha256,
    md5: Option<Md5>,
    mp3: Option<Mp3Scanner>,
}

impl Receiving {
    fn begin(root: Arc<Root>, plan: BodyPlan) -> Self {
        Self {
            root,
            staged: None,
            pieces: Vec::new(),
            held_bytes: 0,
            written_bytes: 0,
            leading: Vec::new(),
            sha256: Sha256::new(),
            md5: plan.want_md5.then(Md5::new),
            mp3: (plan.format == Format::Mp3).then(Mp3Scanner::default),
        }
    }

    /// Writes what is in memory, and hashes it. Blocks.
    fn flush(mut self) -> Result<Self, StoreError> {
        if self.is_flushed() {
            return Ok(self);
        }
        if self.root.min_free_bytes() > 0 {
            local::check_space(&self.root, self.held_bytes as u64)?;
        }
        let staged = match &mut self.staged {
            Some(staged) => staged,
            none => none.insert(StagedFile::create(&self.root)?),
        };
        for piece in self.pieces.drain(..) {
            staged.write(&piece)?;
            self.sha256.update(&piece);
            if let Some(md5) = &mut self.md5 {
                md5.update(&piece);
            }
            if let Some(mp3) = &mut self.mp3 {
                mp3.update(&piece);
            }
            let leading = (audio::LEADING_BYTES - self.leading.len()).min(piece.len());
            self.leading.extend_from_slice(&piece[..leading]);
            self.written_bytes += piece.len() as u64;
        }
        self.held_bytes = 0;
        Ok(self)
    }

    /// Whether all that came is in a file.
    fn is_flushed(&self) -> bool {
        self.pieces.is_empty() && self.staged.is_some()
    }

    /// What the bytes written so far are.
    fn facts(&self) -> BodyFacts {
        BodyFacts {
            size_bytes: self.written_bytes,
            sha256: Sha256Digest(self.sha256.clone().finalize().into()),
            md5: self.md5.clone().map(|md5| Md5Digest(md5.finalize().into())),
            leading: self.leading.clone(),
            mp3: self.mp3.clone().and_then(Mp3Scanner::finish),
        }
    }
}

impl StagedBody {
    pub(super) fn begin(root: Arc<Root>, plan: BodyPlan) -> Self {
        Self {
            state: Some(Receiving::begin(Arc::clone(&root), plan)),
            root,
            plan,
            received_bytes: 0,
        }
    }

    /// How many bytes were taken so far, those still in memory included.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Takes the next bytes of the body. Most calls only hold them; one in 256 KiB writes.
    ///
    /// Not cancel-safe: a body whose write was cut off cannot be gone on with, and its file is removed.
    ///
    /// # Errors
    /// Of kind `TooLarge` beyond the most it may be, of kind `Local` when the disk refuses or its reserve would be
    /// eaten. The file is removed by then, and every later call fails.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.received_bytes = self.received_bytes.saturating_add(chunk.len() as u64);
        if self.received_bytes > self.plan.max_bytes {
            self.state = None;
            let reason = format!("the body is larger than {} bytes", self.plan.max_bytes);
            return Err(StoreError::because(
                StoreErrorKind::TooLarge,
                "stage the body in",
                STAGING,
                reason,
            ));
        }
        let mut state = self.state.take().ok_or_else(cut_off)?;
        state.held_bytes += chunk.len();
        state.pieces.push(chunk);
        if state.held_bytes >= BUFFER_BYTES || state.pieces.len() >= BUFFER_PIECES {
            state = on_disk("write to", move || state.flush()).await?;
        }
        self.state = Some(state);
        Ok(())
    }

    /// Drops what came so far and begins anew, in another file: for a body that changed upstream.
    pub fn restart(&mut self, want_md5: bool) {
        *self = Self::begin(Arc::clone(&self.root), BodyPlan { want_md5, ..self.plan });
    }

    /// Writes what is in memory and says what came so far is. More may follow. Nothing is synced yet.
    ///
    /// Not cancel-safe: cut off, the body cannot be gone on with, and its file is removed.
    ///
    /// # Errors
    /// Of kind `Local` when the disk refuses; the file is removed by then.
    pub async fn facts(&mut self) -> Result<BodyFacts, StoreError> {
        let mut state = self.state.take().ok_or_else(cut_off)?;
        if !state.is_flushed() {
            state = on_disk("write to", move || state.flush()).await?;
        }
        let facts = state.facts();
        self.state = Some(state);
        Ok(facts)
    }

    /// Ends the body as what [`StagedBody::facts`] said it is.
    ///
    /// Cancelled, it removes the file.
    ///
    /// # Errors
    /// Of kind `Local` when the disk refuses; the file is removed by then.
    pub async fn seal(mut self) -> Result<SealedBody, StoreError> {
        let facts = self.facts().await?;
        let staged = self.state.take().and_then(|state| state.staged);
        Ok(SealedBody {
            facts,
            staged: staged.ok_or_else(cut_off)?,
        })
    }
}

fn cut_off() -> StoreError {
    let reason = "an earlier write of this body failed or was cut off";
    StoreError::because(StoreErrorKind::Local, "write to", STAGING, reason)
}

/// A whole body in `staging/`, to be checked and then published. Dropping it removes its file.
pub struct SealedBody {
    /// What the body is.
    pub facts: BodyFacts,
    staged: StagedFile,
}

impl SealedBody {
    /// Syncs the body and its sidecar at the same time, gives both their names and makes the names durable, together with those of others
    /// that are published then.
    ///
    /// A body of the same bytes that stands there already is adopted. Runs to its end once begun, also when the future
    /// is dropped. The archive may then hold the body without the caller knowing; [`super::Store::adopt`] finds it.
    ///
    /// # Errors
    /// Of kind `Conflict` when something else stands at one of its names, of kind `Local` when the disk refuses.
    /// Nothing that stood there was changed, and nothing stays in `staging/`.
    pub async fn publish(self, key: &StoreKey, note: SidecarNote) -> Result<StoredObject, StoreError> {
        let key = key.clone();
        let Self { facts, staged } = self;
        on_disk("publish in", move || {
            let (beside, sidecar) = local::stage_sidecar(&staged.root, &facts, &key, note)?;
            let (body, beside) = (staged.sync()?, beside.sync()?);
            local::publish(body, &facts, (beside, sidecar), &key)
        })
        .await
    }
}
