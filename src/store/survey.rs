//! Files that are about to be relied on: made durable, and their length told, before a catalog says that they are there.
//!
//! Changes and follows nothing. Must not know: what a body should be.

use std::fs::File;
use std::sync::Arc;

use super::Store;
use super::durable;
use super::durable::Standing;
use super::error::StoreError;
use super::local;
use super::on_disk;
use super::root::Root;
use crate::domain::key::RECORDINGS;
use crate::domain::key::StoreKey;

impl Store {
    /// Makes everything durable that lies on the archive's file system, whoever wrote it: once, where each file by itself
    /// would cost a flush of the disk. Cancel-safe.
    ///
    /// # Errors
    /// Of kind `Local` when the disk refuses; which file that concerns is not known.
    pub async fn settle_all(&self) -> Result<(), StoreError> {
        let root = Arc::clone(&self.root);
        on_disk("sync", move || {
            rustix::fs::syncfs(&root.recordings)
                .map_err(|refused| StoreError::local("sync", RECORDINGS, refused.into()))
        })
        .await
    }

    /// The length of the body at a key; `None` where no regular file with one name stands at its place. Cancel-safe.
    ///
    /// # Errors
    /// Of kind `Local` when the disk refuses.
    pub async fn length_of(&self, key: &StoreKey) -> Result<Option<u64>, StoreError> {
        let (root, key) = (Arc::clone(&self.root), key.clone());
        on_disk("look at", move || {
            body_of(&root, &key).map(|found| found.map(|(_, _, bytes)| bytes))
        })
        .await
    }

    /// Makes a body, its sidecar and their names durable, whoever put them there; returns the body's length. `None` where
    /// no regular file with one name stands at its place. Cancel-safe; what has begun on the disk runs to its end.
    ///
    /// # Errors
    /// Of kind `Local` when the disk refuses.
    pub async fn settle(&self, key: &StoreKey) -> Result<Option<u64>, StoreError> {
        let (root, key) = (Arc::clone(&self.root), key.clone());
        on_disk("settle", move || settle(&root, &key)).await
    }
}

/// The folder, the body and its length.
fn body_of(root: &Root, key: &StoreKey) -> Result<Option<(File, File, u64)>, StoreError> {
    let failed = |op| move |refused| StoreError::local(op, key.to_string(), refused);
    let folder = match root.open_folder(key) {
        Ok(Some(folder)) => folder,
        Ok(None) => return Ok(None),
        Err(planted) if durable::is_no_folder(&planted) => return Ok(None),
        Err(refused) => return Err(failed("open the folder of")(refused)),
    };
    match durable::standing(&folder, &key.file_name()).map_err(failed("look at"))? {
        Standing::File(body, stat) => Ok(Some((folder, body, u64::try_from(stat.st_size).unwrap_or(0)))),
        _ => Ok(None),
    }
}

fn settle(root: &Root, key: &StoreKey) -> Result<Option<u64>, StoreError> {
    let failed = |op| move |refused| StoreError::local(op, key.to_string(), refused);
    let Some((folder, body, size_bytes)) = body_of(root, key)? else {
        return Ok(None);
    };
    body.sync_all().map_err(failed("sync"))?;
    if let Standing::File(sidecar, _) = durable::standing(&folder, &key.sidecar_name()).map_err(failed("look at"))? {
        sidecar.sync_all().map_err(failed("sync"))?;
    }
    local::sync_folders(root, key, &folder)?;
    Ok(Some(size_bytes))
}
