//! `damaged/`: what stood at a recording's names and was not what it should be. Kept, each in a folder of its own, and never
//! removed or read again.
//!
//! Must not know: what was wrong with it.

use std::fs::File;
use std::io;

use super::durable;
use super::error::StoreError;
use super::root::Root;
use crate::domain::key::StoreKey;

const DAMAGED: &str = "damaged";

/// Which of a recording's files are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The body and its sidecar.
    Both,
    /// The sidecar alone.
    Sidecar,
}

/// A folder that nothing was kept in before, relative to the archive. It is not made yet.
pub(super) fn new_folder(root: &Root, key: &StoreKey) -> io::Result<String> {
    let (year, month, day, hour, minute, second) = root.clock.now().civil();
    let recording = key.recording();
    let random = durable::random_name()?;
    Ok(format!(
        "{DAMAGED}/{}_{}_{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z_{}",
        recording.workspace,
        recording.id,
        &random[..8]
    ))
}

/// Moves what stands at a recording's names into a folder from [`new_folder`], durably. What does not stand there is no
/// error.
pub(super) fn keep(root: &Root, key: &StoreKey, kept_path: &str, what: Kept) -> Result<(), StoreError> {
    let failed = |refused| StoreError::local("keep what stands at", key.to_string(), refused);
    let from = match root.open_folder(key) {
        Ok(Some(folder)) => folder,
        Ok(None) => return Ok(()),
        Err(planted) if durable::is_no_folder(&planted) => return Ok(()),
        Err(refused) => return Err(failed(refused)),
    };
    let to = make_kept_folder(root, kept_path).map_err(failed)?;
    let mut names = vec![key.sidecar_name()];
    if what == Kept::Both {
        names.insert(0, key.file_name());
    }
    for name in names {
        match durable::publish_no_replace(&from, &name, &to, &name) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
            moved => moved.map_err(failed)?,
        }
    }
    // Into its new place first: what a power cut undoes must not be gone from both.
    to.sync_all().and_then(|()| from.sync_all()).map_err(failed)
}

fn make_kept_folder(root: &Root, kept_path: &str) -> io::Result<File> {
    let mut at = root.folder.try_clone()?;
    for name in kept_path.split('/') {
        let (below, _) = durable::make_folder(&at, name, root.modes.folder)?;
        at.sync_all()?;
        at = below;
    }
    Ok(at)
}

/// Whether anything stands at a body's name.
pub(super) fn is_taken(root: &Root, key: &StoreKey) -> Result<bool, StoreError> {
    let failed = |refused| StoreError::local("look at", key.to_string(), refused);
    let folder = match root.open_folder(key) {
        Ok(Some(folder)) => folder,
        Ok(None) => return Ok(false),
        Err(planted) if durable::is_no_folder(&planted) => return Ok(false),
        Err(refused) => return Err(failed(refused)),
    };
    Ok(durable::stat(&folder, &key.file_name()).map_err(failed)?.is_some())
}
