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
use crate::domain::key::StoreKey;

impl Store {
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

fn settle(root: &Root, key: &StoreKey) -> Result<Option<u64>, StoreError> {
    let failed = |op| move |refused| StoreError::local(op, key.to_string(), refused);
    let folder = match root.open_folder(key) {
        Ok(Some(folder)) => folder,
        Ok(None) => return Ok(None),
        Err(planted) if durable::is_no_folder(&planted) => return Ok(None),
        Err(refused) => return Err(failed("open the folder of")(refused)),
    };
    let look = |name: String| durable::standing(&folder, &name).map_err(failed("look at"));
    let Standing::File(body, stat) = look(key.file_name())? else {
        return Ok(None);
    };
    let sync = |file: &File| file.sync_all().map_err(failed("sync"));
    sync(&body)?;
    if let Standing::File(sidecar, _) = look(key.sidecar_name())? {
        sync(&sidecar)?;
    }
    local::sync_folders(root, key, &folder)?;
    Ok(Some(u64::try_from(stat.st_size).unwrap_or(0)))
}
