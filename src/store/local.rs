//! Bodies under their final names: publishing, comparing with what stands there, adopting what a crash left.
//!
//! The order is the promise: a body is synced before it has a name, both names exist before the folders are synced,
//! and only then is anything called stored. Must not know: who asked, or what a catalog says.

use std::fs::File;
use std::io;
use std::io::Read;
use std::sync::Arc;

use rustix::fs::Advice;

use super::SidecarNote;
use super::durable;
use super::durable::Standing;
use super::error::Conflict;
use super::error::StoreError;
use super::error::StoreErrorKind;
use super::reread;
use super::reread::ReadPace;
use super::root::Root;
use super::root::STAGING;
use super::sidecar;
use super::sidecar::Sidecar;
use super::staging::BodyFacts;
use super::staging::StagedFile;
use super::staging::SyncedFile;
use crate::domain::clock::Timestamp;
use crate::domain::digest::Sha256Digest;
use crate::domain::ids::RecordingRef;
use crate::domain::key::StoreKey;
use crate::domain::recording::History;
use crate::domain::report::EarlierSidecar;
use crate::domain::report::StoredObject;

/// Far above what upstream sends for one recording; a sidecar beyond it is not read.
const LONGEST_SIDECAR_BYTES: u64 = 16 * 1024 * 1024;

/// Refuses what would eat into the reserve.
pub(super) fn check_space(root: &Root, more_bytes: u64) -> Result<(), StoreError> {
    let free = durable::free_bytes(&root.staging)
        .map_err(|refused| StoreError::local("ask for the free space of", STAGING, refused))?;
    let kept = root.min_free_bytes();
    if free >= kept.saturating_add(more_bytes) {
        return Ok(());
    }
    let reason = format!("{free} bytes are free, {more_bytes} are needed, and archive.min_free keeps {kept}");
    Err(StoreError::because(
        StoreErrorKind::Local,
        "take space in",
        STAGING,
        reason,
    ))
}

/// Whether a body could be stored now: space beyond the reserve, and a file that can be made, synced and removed.
pub(super) fn probe(root: &Arc<Root>) -> Result<(), StoreError> {
    check_space(root, 0)?;
    let mut probe = StagedFile::create(root)?;
    probe.write(b"birdkeep")?;
    probe.sync()?.remove()
}

/// A body's sidecar, staged, and what it says.
pub(super) fn stage_sidecar(
    root: &Arc<Root>,
    facts: &BodyFacts,
    key: &StoreKey,
    note: SidecarNote,
) -> Result<(StagedFile, Sidecar), StoreError> {
    let (sidecar, text) = describe(key, (facts.sha256, facts.size_bytes), root.clock.now(), note)?;
    Ok((stage_text(root, &text)?, sidecar))
}

/// Gives a body and its sidecar, both durable, their names, and makes the names durable.
pub(super) fn publish(
    body: SyncedFile,
    facts: &BodyFacts,
    (beside, sidecar): (SyncedFile, Sidecar),
    key: &StoreKey,
) -> Result<StoredObject, StoreError> {
    let root = body.root();
    let folder = root.make_folder(key).map_err(|refused| {
        if durable::is_no_folder(&refused) {
            conflict(
                key.to_string(),
                "something that is no directory stands in place of one of its folders",
            )
        } else {
            StoreError::local("make the folders of", key.to_string(), refused)
        }
    })?;
    // Seen before the body has a name, so that a refusal leaves no body without its sidecar.
    if let Standing::Other(found) = look(&folder, &key.sidecar_name(), key)? {
        return Err(conflict(sidecar_path(key), &format!("{found} stands there")));
    }
    let was_free = body
        .publish(&folder, &key.file_name())
        .map_err(|refused| StoreError::local("publish", key.to_string(), refused))?;
    if !was_free {
        compare(&folder, key, facts)?;
    }
    let (sidecar, was_there) = publish_sidecar(beside, &folder, key, sidecar, was_free)?;
    sync_folders(&root, key, &folder)?;
    Ok(stored(key, sidecar, was_there))
}

/// The sidecar of a body, and its text.
fn describe(
    key: &StoreKey,
    (sha256, size_bytes): (Sha256Digest, u64),
    archived_at: Timestamp,
    note: SidecarNote,
) -> Result<(Sidecar, String), StoreError> {
    let sidecar = Sidecar {
        workspace: note.recording.workspace,
        sha256,
        size_bytes,
        content_type: note.content_type,
        etag: note.etag,
        archived_at,
        archiver_version: env!("CARGO_PKG_VERSION").to_owned(),
        remark: note.remark,
        history: Some(note.history),
        metadata: note.metadata,
    };
    let invalid = |why: String| StoreError::because(StoreErrorKind::Invalid, "describe", key.to_string(), why);
    if sidecar.recording_id() != Some(note.recording.id) {
        return Err(invalid("the metadata is not that of this recording".to_owned()));
    }
    let text = sidecar::render(&sidecar).map_err(|why| invalid(why.to_string()))?;
    Ok((sidecar, text))
}

/// Stages a text.
fn stage_text(root: &Arc<Root>, text: &str) -> Result<StagedFile, StoreError> {
    let mut staged = StagedFile::create(root)?;
    staged.write(text.as_bytes())?;
    Ok(staged)
}

/// Writes a sidecar anew, in the place of the one that is there.
pub(super) fn describe_again(
    root: &Arc<Root>,
    object: StoredObject,
    metadata: String,
    history: History,
) -> Result<(), StoreError> {
    let key = object.key;
    let note = SidecarNote {
        recording: key.recording().clone(),
        metadata,
        history,
        content_type: object.content_type,
        etag: object.etag,
        remark: object.remark,
    };
    let (ours, text) = describe(&key, (object.sha256, object.size_bytes), object.archived_at, note)?;
    let failed = |op| move |path: String| move |refused| StoreError::local(op, path, refused);
    let folder = root
        .open_folder(&key)
        .map_err(failed("open the folder of")(key.to_string()))?
        .ok_or_else(|| conflict(key.to_string(), "its folder is gone"))?;
    match look(&folder, &key.sidecar_name(), &key)? {
        Standing::Nothing => {}
        Standing::Other(found) => return Err(conflict(sidecar_path(&key), &format!("{found} stands there"))),
        Standing::File(file, _) => match read_on_disk(&file, &key)? {
            Some(existing) if !describes(&existing, &ours) => {
                let why = "the sidecar there describes another body than the catalog does";
                return Err(conflict(sidecar_path(&key), why));
            }
            Some(mut existing) => {
                // Who wrote it last is no reason to write it again.
                existing.archiver_version.clone_from(&ours.archiver_version);
                if existing == ours {
                    return sync_folders(root, &key, &folder);
                }
            }
            None => {}
        },
    }
    stage_text(root, &text)?
        .sync()?
        .replace(&folder, &key.sidecar_name())
        .map_err(failed("publish")(sidecar_path(&key)))?;
    sync_folders(root, &key, &folder)
}

/// Holds the body that has our name against ours: the same bytes are as good as published.
fn compare(folder: &File, key: &StoreKey, ours: &BodyFacts) -> Result<(), StoreError> {
    let file = match look(folder, &key.file_name(), key)? {
        Standing::File(file, _) => file,
        Standing::Other(found) => return Err(conflict(key.to_string(), &format!("{found} stands there"))),
        Standing::Nothing => return Err(conflict(key.to_string(), "what stood there has just vanished")),
    };
    let (sha256, size_bytes) = hash_on_disk(&file, key)?;
    if (sha256, size_bytes) == (ours.sha256, ours.size_bytes) {
        return Ok(());
    }
    let conflict = Conflict {
        existing_sha256: sha256,
        existing_bytes: size_bytes,
        our_sha256: ours.sha256,
        our_bytes: ours.size_bytes,
    };
    Err(StoreError::conflict_of_bodies(key.to_string(), conflict))
}

/// Puts the sidecar beside its body; one that describes this body already is kept, and the answer says so.
fn publish_sidecar(
    beside: SyncedFile,
    folder: &File,
    key: &StoreKey,
    ours: Sidecar,
    body_was_free: bool,
) -> Result<(Sidecar, bool), StoreError> {
    let name = key.sidecar_name();
    let failed = |refused| StoreError::local("publish", sidecar_path(key), refused);
    let existing = match look(folder, &name, key)? {
        Standing::Nothing => {
            return if beside.publish(folder, &name).map_err(failed)? {
                Ok((ours, false))
            } else {
                Err(conflict(sidecar_path(key), "something has just been put there"))
            };
        }
        Standing::Other(found) => return Err(conflict(sidecar_path(key), &format!("{found} stands there"))),
        Standing::File(file, _) => read_on_disk(&file, key)?,
    };
    match existing {
        Some(existing) if describes(&existing, &ours) => Ok((existing, true)),
        // A body stands with a sidecar of another: which of them is right is not ours to say.
        Some(_) if !body_was_free => Err(conflict(
            sidecar_path(key),
            "the sidecar there describes another body than the one beside it",
        )),
        // Left alone by a crash, or without meaning: it speaks for no body that is here.
        _ => beside.replace(folder, &name).map(|()| (ours, false)).map_err(failed),
    }
}

fn describes(existing: &Sidecar, ours: &Sidecar) -> bool {
    (existing.sha256, existing.size_bytes) == (ours.sha256, ours.size_bytes)
        && existing.workspace == ours.workspace
        && existing.recording_id() == ours.recording_id()
}

/// Takes a body that lies there whole, with its sidecar, as if it had just been published.
pub(super) fn adopt(root: &Root, key: &StoreKey, recording: &RecordingRef) -> Result<Option<StoredObject>, StoreError> {
    let folder = match root.open_folder(key) {
        Ok(Some(folder)) => folder,
        Ok(None) => return Ok(None),
        Err(planted) if durable::is_no_folder(&planted) => return Ok(None),
        Err(refused) => return Err(StoreError::local("open the folder of", key.to_string(), refused)),
    };
    let Standing::File(body, stat) = look(&folder, &key.file_name(), key)? else {
        return Ok(None);
    };
    let Standing::File(beside, _) = look(&folder, &key.sidecar_name(), key)? else {
        return Ok(None);
    };
    let Some(sidecar) = read_on_disk(&beside, key)? else {
        return Ok(None);
    };
    let names_it = sidecar.workspace == recording.workspace && sidecar.recording_id() == Some(recording.id);
    if !names_it || u64::try_from(stat.st_size) != Ok(sidecar.size_bytes) {
        return Ok(None);
    }
    if hash_on_disk(&body, key)? != (sidecar.sha256, sidecar.size_bytes) {
        return Ok(None);
    }
    sync_folders(root, key, &folder)?;
    Ok(Some(stored(key, sidecar, true)))
}

/// Makes a file's bytes durable and hashes what the disk gives back.
///
/// The cache is dropped in between: a sync that failed in an earlier life would leave there what the disk never got.
fn hash_on_disk(file: &File, key: &StoreKey) -> Result<(Sha256Digest, u64), StoreError> {
    let local = |op| move |refused| StoreError::local(op, key.to_string(), refused);
    file.sync_all().map_err(local("sync"))?;
    reread::hash(file, &ReadPace::default())
        .and_then(|hashed| hashed.ok_or_else(|| io::Error::other("nobody stops this")))
        .map_err(local("read"))
}

/// Makes a sidecar's bytes durable and reads what the disk gives back; `None` where that is no sidecar.
fn read_on_disk(file: &File, key: &StoreKey) -> Result<Option<Sidecar>, StoreError> {
    let local = |op| move |refused| StoreError::local(op, sidecar_path(key), refused);
    file.sync_all().map_err(local("sync"))?;
    Ok(read_sidecar(file).map_err(local("read"))?.ok())
}

/// Reads a sidecar from the disk, or says why it is none.
pub(super) fn read_sidecar(file: &File) -> io::Result<Result<Sidecar, String>> {
    // Advice only: where it is not taken, the cache is read.
    let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
    let mut text = Vec::new();
    file.take(LONGEST_SIDECAR_BYTES).read_to_end(&mut text)?;
    Ok(match std::str::from_utf8(&text) {
        Ok(text) => sidecar::parse(text).map_err(|why| why.to_string()),
        Err(_) => Err("not text".to_owned()),
    })
}

pub(super) fn sync_folders(root: &Root, key: &StoreKey, folder: &File) -> Result<(), StoreError> {
    root.sync_folders(key, folder)
        .map_err(|refused| StoreError::local("sync the folders of", key.to_string(), refused))
}

fn look(folder: &File, name: &str, key: &StoreKey) -> Result<Standing, StoreError> {
    durable::standing(folder, name).map_err(|refused| StoreError::local("look at", key.to_string(), refused))
}

fn conflict(path: String, reason: &str) -> StoreError {
    StoreError::because(StoreErrorKind::Conflict, "publish", path, reason)
}

pub(super) fn sidecar_path(key: &StoreKey) -> String {
    let folders: Vec<_> = key.folders().collect();
    format!("{}/{}", folders.join("/"), key.sidecar_name())
}

fn stored(key: &StoreKey, sidecar: Sidecar, was_there: bool) -> StoredObject {
    StoredObject {
        key: key.clone(),
        size_bytes: sidecar.size_bytes,
        sha256: sidecar.sha256,
        content_type: sidecar.content_type,
        etag: sidecar.etag,
        archived_at: sidecar.archived_at,
        remark: sidecar.remark,
        earlier: was_there.then(|| {
            Box::new(EarlierSidecar {
                metadata: sidecar.metadata,
                history: sidecar.history,
            })
        }),
    }
}
