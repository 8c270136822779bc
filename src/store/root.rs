//! Opening an archive: where it is, whether it is the right one, whether we are its only writer.
//!
//! From here on everything goes by open folders and not by path. Must not know: bodies and sidecars.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustix::fs::AtFlags;
use rustix::fs::StatxFlags;

use super::StoreOptions;
use super::durable;
use super::durable::Modes;
use super::error::OpenError;
use super::lock;
use super::lock::Lock;
use super::marker;
use super::place;
use super::shared_sync::SharedSyncs;
use crate::domain::clock::SharedClock;
use crate::domain::key::RECORDINGS;
use crate::domain::key::StoreKey;

pub(super) const STAGING: &str = "staging";

/// How many folders are remembered as durable before all are forgotten, which costs syncs and nothing else.
const MOST_DURABLE_FOLDERS: usize = 4096;

/// An open archive, held for as long as this lives.
pub(super) struct Root {
    pub(super) dir: PathBuf,
    pub(super) id: String,
    pub(super) folder: File,
    pub(super) staging: File,
    pub(super) recordings: File,
    pub(super) modes: Modes,
    min_free_bytes: AtomicU64,
    pub(super) clock: SharedClock,
    pub(super) cleared_staging: u64,
    pub(super) remarks: Vec<String>,
    /// Folders whose entry in their parent is known to be on the disk, and that of every folder above them.
    durable_folders: Mutex<HashSet<String>>,
    syncs: SharedSyncs,
    durable: bool,
    /// Held, never read: dropping it gives up the archive.
    _lock: Lock,
}

impl Root {
    pub(super) fn open(options: &StoreOptions) -> Result<Self, OpenError> {
        let modes = Modes::new(options.group_readable);
        let expected = options.expected_id.as_deref();
        let (dir, folder) = find(&options.dir, expected, modes)?;
        let io = |op, path: &Path| {
            let path = path.to_owned();
            move |source| refused(op, path, source)
        };
        match marker::examine(&folder, &dir, expected) {
            // Another process may be making the archive right now; its lock says so.
            Err(OpenError::MarkerMissing { .. }) if durable::stat(&folder, marker::LOCK).is_ok_and(|s| s.is_some()) => {
            }
            examined => drop(examined?),
        }
        let lock = lock::take(&folder, &dir, modes)?;
        let found = marker::examine(&folder, &dir, expected)?;
        let now = options.clock.now();
        lock::sign(&lock, modes, now).map_err(io("write", &dir.join(marker::LOCK)))?;
        let marker = if let Some(marker) = found {
            marker
        } else {
            make_private(&folder, modes).map_err(io("set the mode of", &dir))?;
            marker::make(&folder, modes, now).map_err(io("make archive.json in", &dir))?
        };
        let staging = part(&folder, &dir, STAGING, modes)?;
        let recordings = part(&folder, &dir, RECORDINGS, modes)?;
        if mount(&staging).map_err(io("look at", &dir))? != mount(&recordings).map_err(io("look at", &dir))? {
            return Err(OpenError::TwoFileSystems { dir });
        }
        let (cleared_staging, foreign) = durable::clear_files(&staging).map_err(io("clear", &dir.join(STAGING)))?;
        let mut remarks = Vec::from_iter(place::remark(&folder, &dir).map_err(io("look at", &dir))?);
        if let Some(foreign) = foreign {
            let staging = dir.join(STAGING);
            remarks.push(format!(
                "in {} lies {foreign}, which is left alone: move it away",
                staging.display()
            ));
        }
        Ok(Self {
            dir,
            id: marker.id,
            folder,
            staging,
            recordings,
            modes,
            min_free_bytes: AtomicU64::new(options.min_free_bytes),
            clock: options.clock.clone(),
            cleared_staging,
            remarks,
            durable_folders: Mutex::default(),
            syncs: SharedSyncs::default(),
            durable: options.durable,
            _lock: lock,
        })
    }

    /// Free space that is never taken.
    pub(super) fn min_free_bytes(&self) -> u64 {
        self.min_free_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_min_free_bytes(&self, bytes: u64) {
        self.min_free_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Makes a file's bytes durable.
    pub(super) fn sync_file(&self, file: &File) -> io::Result<()> {
        if self.durable { file.sync_all() } else { Ok(()) }
    }

    /// Opens the folder of a key from the archive down; `None` where it does not exist.
    pub(super) fn open_folder(&self, key: &StoreKey) -> io::Result<Option<File>> {
        let path = key.folders().collect::<Vec<_>>().join("/");
        let opened = durable::open_below(&self.folder, &path).unwrap_or_else(|| self.step_down(key));
        match opened {
            Ok(folder) => Ok(Some(folder)),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// Opens the folder of a key one part at a time.
    fn step_down(&self, key: &StoreKey) -> io::Result<File> {
        let mut at = self.folder.try_clone()?;
        for name in key.folders() {
            at = durable::open_folder(&at, name)?;
        }
        Ok(at)
    }

    /// As [`Self::open_folder`], and makes what is missing.
    pub(super) fn make_folder(&self, key: &StoreKey) -> io::Result<File> {
        if let Some(folder) = self.open_folder(key)? {
            return Ok(folder);
        }
        let mut at = self.folder.try_clone()?;
        let mut path = String::new();
        for name in key.folders() {
            path = format!("{path}/{name}");
            let (folder, made) = durable::make_folder(&at, name, self.modes.folder)?;
            if made {
                self.durable_folders
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&path);
            }
            at = folder;
        }
        Ok(at)
    }

    /// Makes the entries in `folder`, which is that of `key`, durable, and the entry of every folder above it.
    ///
    /// A folder that exists may still be one that another task, or a process that was killed, has made and not
    /// synced: only what this process has synced itself is left out.
    pub(super) fn sync_folders(&self, key: &StoreKey, folder: &File) -> io::Result<()> {
        let mut path = String::new();
        let mut unsynced = Vec::new();
        for (depth, name) in key.folders().enumerate() {
            path = format!("{path}/{name}");
            let known = self.durable_folders.lock().unwrap_or_else(PoisonError::into_inner);
            if !known.contains(&path) {
                unsynced.push((depth, path.clone()));
            }
        }
        // Only the first body of a day comes by here.
        for (depth, _) in &unsynced {
            let mut at = self.folder.try_clone()?;
            for name in key.folders().take(*depth) {
                at = durable::open_folder(&at, name)?;
            }
            self.sync_file(&at)?;
        }
        if self.durable {
            self.syncs.sync(&path, folder)?;
        }
        let mut known = self.durable_folders.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > MOST_DURABLE_FOLDERS {
            known.clear();
        }
        known.extend(unsynced.into_iter().map(|(_, path)| path));
        Ok(())
    }
}

/// Resolves the archive's place once, and makes it where that is allowed.
fn find(dir: &Path, expected: Option<&str>, modes: Modes) -> Result<(PathBuf, File), OpenError> {
    let io = |op| {
        move |source| OpenError::Io {
            op,
            path: dir.to_owned(),
            source,
        }
    };
    if let Err(missing) = dir.canonicalize() {
        match (missing.kind(), expected) {
            (io::ErrorKind::NotFound, Some(expected)) => {
                return Err(OpenError::NotMounted {
                    dir: dir.to_owned(),
                    expected: expected.to_owned(),
                    found: "the directory does not exist",
                });
            }
            (io::ErrorKind::NotFound, None) => {
                durable::make_folders(dir, modes.folder).map_err(|source| refused("make", dir.to_owned(), source))?;
            }
            _ => return Err(not_a_directory(dir, io("resolve")(missing))),
        }
    }
    let dir = dir.canonicalize().map_err(io("resolve"))?;
    let folder = open(&dir)?;
    Ok((dir, folder))
}

/// Opens a resolved place for reading, whoever may write to it.
pub(super) fn open_to_look(dir: &Path) -> Result<File, OpenError> {
    let refused = |source| {
        not_a_directory(
            dir,
            OpenError::Io {
                op: "open",
                path: dir.to_owned(),
                source,
            },
        )
    };
    durable::open_resolved(dir).map_err(refused)
}

/// Opens a resolved place and refuses one that others can change.
pub(super) fn open(dir: &Path) -> Result<File, OpenError> {
    let folder = open_to_look(dir)?;
    place::check_folder(&folder, dir)?;
    place::check_above(dir)?;
    Ok(folder)
}

fn not_a_directory(dir: &Path, refused: OpenError) -> OpenError {
    match refused {
        OpenError::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory => {
            OpenError::NotADirectory { dir: dir.to_owned() }
        }
        other => other,
    }
}

fn refused(op: &'static str, path: PathBuf, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => OpenError::NotWritable { path, source },
        _ => OpenError::Io { op, path, source },
    }
}

/// Gives a new archive's own folder our mode, where it is ours to change.
fn make_private(folder: &File, modes: Modes) -> io::Result<()> {
    if rustix::fs::fstat(folder)?.st_uid == rustix::process::geteuid().as_raw() {
        rustix::fs::fchmod(folder, modes.folder)?;
    }
    Ok(())
}

/// Opens one of the archive's own folders, and makes it where it is missing.
fn part(folder: &File, dir: &Path, name: &str, modes: Modes) -> Result<File, OpenError> {
    let path = dir.join(name);
    match durable::make_folder(folder, name, modes.folder) {
        Ok((part, false)) => place::check_folder(&part, &path).map(|()| part),
        Ok((part, true)) => match folder.sync_all() {
            Ok(()) => Ok(part),
            Err(source) => Err(refused("sync", dir.to_owned(), source)),
        },
        Err(planted) if durable::is_no_folder(&planted) => {
            let found = durable::stat(folder, name).ok().flatten();
            let found = found.map_or("of an unknown kind", |stat| durable::in_words(durable::kind(&stat)));
            Err(OpenError::NotOurs {
                path,
                found,
                wanted: "a directory",
            })
        }
        Err(source) => Err(refused("make", path, source)),
    }
}

/// What two folders must share for a rename between them: the device, and the mount where the kernel tells.
pub(super) fn mount(folder: &File) -> io::Result<(u64, Option<u64>)> {
    let device = rustix::fs::fstat(folder)?.st_dev;
    let mount = rustix::fs::statx(folder, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
        .ok()
        .filter(|stat| stat.stx_mask & StatxFlags::MNT_ID.bits() != 0)
        .map(|stat| stat.stx_mnt_id);
    Ok((device, mount))
}
