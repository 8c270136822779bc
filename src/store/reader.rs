//! An archive opened to be read, beside the process that writes it: what lies there, and whether it is what it should be.
//!
//! Takes no lock, follows no link and changes nothing. Must not know: the catalog, or what is done about what is found.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::durable;
use super::durable::Standing;
use super::error::OpenError;
use super::error::StoreError;
use super::local::read_sidecar;
use super::local::sidecar_path;
use super::on_disk;
use super::reread;
use super::reread::ReadPace;
use super::root;
use super::sidecar::Sidecar;
use crate::domain::digest::Sha256Digest;
use crate::domain::finding::Finding;
use crate::domain::finding::FindingKind;
use crate::domain::key::RECORDINGS;
use crate::domain::key::StoreKey;
use crate::domain::redact::one_line;

/// Folders deeper than this are not looked into; ours are five deep.
const DEEPEST: usize = 12;

/// What a body should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Where it lies.
    pub key: StoreKey,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

/// What re-reading a body came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reread {
    /// The body and its sidecar are as they should be.
    Sound,
    /// They are not.
    Unsound(Finding),
    /// It was told to stop before the end.
    Stopped,
}

/// One folder below `recordings/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The folder, relative to the archive.
    pub folder: String,
    /// The regular files in it, in order. A name that is not text is shown as well as it can be.
    pub files: Vec<String>,
    /// What is neither a file nor a folder, or too deep to be looked into, each with what it is.
    pub strangers: Vec<(String, &'static str)>,
}

impl Listing {
    fn unreadable(path: &str) -> Self {
        Self {
            folder: path.to_owned(),
            files: Vec::new(),
            strangers: vec![(".".to_owned(), "a folder that cannot be read")],
        }
    }
}

/// An archive, open for reading. Clones share it.
#[derive(Clone)]
pub struct StoreReader {
    dir: PathBuf,
    folder: Arc<File>,
}

impl StoreReader {
    /// Opens an archive to read it. Blocks.
    ///
    /// # Errors
    /// The place, or its `recordings`, cannot be opened.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let failed = |op, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { op, path, source }
        };
        let resolved = dir.canonicalize().map_err(failed("resolve", dir))?;
        let folder = root::open_to_look(&resolved)?;
        let recordings = resolved.join(RECORDINGS);
        durable::open_folder(&folder, RECORDINGS).map_err(failed("open", &recordings))?;
        Ok(Self {
            dir: resolved,
            folder: Arc::new(folder),
        })
    }

    /// The archive's directory, with links resolved.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Re-reads a body and its sidecar.
    ///
    /// # Errors
    /// Of kind `Local`: this process cannot read at all, as when it has too few descriptors.
    pub async fn examine(&self, expected: Expected, pace: ReadPace) -> Result<Reread, StoreError> {
        let folder = Arc::clone(&self.folder);
        on_disk("re-read", move || examine(&folder, &expected, &pace)).await
    }

    /// Hashes the body at a key: SHA-256 and length. `None` where no regular file with one name stands there, or when told
    /// to stop.
    ///
    /// # Errors
    /// Of kind `Local` when the disk refuses.
    pub async fn hash(&self, key: &StoreKey, pace: ReadPace) -> Result<Option<(Sha256Digest, u64)>, StoreError> {
        let (folder, key) = (Arc::clone(&self.folder), key.clone());
        on_disk("read", move || {
            let failed = |refused| StoreError::local("read", key.to_string(), refused);
            let Some(folder) = open_folders(&folder, key.folders()).map_err(failed)? else {
                return Ok(None);
            };
            match durable::standing(&folder, &key.file_name()).map_err(failed)? {
                Standing::File(file, _) => reread::hash(&file, &pace).map_err(failed),
                _ => Ok(None),
            }
        })
        .await
    }

    /// Reads the sidecar of this name in a folder of [`Walk`], or says why it is none.
    ///
    /// # Errors
    /// Of kind `Local` when the disk refuses.
    pub async fn sidecar(&self, folder: &str, name: &str) -> Result<Result<Sidecar, String>, StoreError> {
        let (root, folder, name) = (Arc::clone(&self.folder), folder.to_owned(), name.to_owned());
        on_disk("read", move || {
            let failed = |refused| StoreError::local("read", format!("{folder}/{name}"), refused);
            let Some(below) = open_folders(&root, folder.split('/')).map_err(failed)? else {
                return Ok(Err("its folder is gone".to_owned()));
            };
            match durable::standing(&below, &name).map_err(failed)? {
                Standing::File(file, _) => read_sidecar(&file).map_err(failed),
                Standing::Other(found) => Ok(Err(format!("it is {found}"))),
                Standing::Nothing => Ok(Err("it is gone".to_owned())),
            }
        })
        .await
    }

    /// A walk over `recordings/`, or over the part of it below `recordings/<workspace>`.
    #[must_use]
    pub fn walk(&self, workspace: Option<&str>) -> Walk {
        let top = workspace.map_or_else(|| RECORDINGS.to_owned(), |name| format!("{RECORDINGS}/{name}"));
        Walk {
            folder: Arc::clone(&self.folder),
            open: vec![top],
        }
    }
}

/// Goes through folders, each once, in order. Holds the names of one folder at a time and the folders yet to come beside
/// those it is in.
pub struct Walk {
    folder: Arc<File>,
    open: Vec<String>,
}

impl Walk {
    /// The next folder; `None` at the end. One that the disk does not give back is a stranger to itself.
    ///
    /// # Errors
    /// Of kind `Local`: this process cannot read at all, as when it has too few descriptors.
    pub async fn next(&mut self) -> Result<Option<Listing>, StoreError> {
        let Some(path) = self.open.pop() else {
            return Ok(None);
        };
        let folder = Arc::clone(&self.folder);
        let (listing, below) = on_disk("list", move || match list(&folder, &path) {
            Err(refused) if is_ours(&refused) => Err(StoreError::local("list", path, refused)),
            Err(_) => Ok((Listing::unreadable(&path), Vec::new())),
            Ok(listed) => Ok(listed),
        })
        .await?;
        self.open.extend(below.into_iter().rev());
        Ok(Some(listing))
    }
}

fn list(root: &File, path: &str) -> io::Result<(Listing, Vec<String>)> {
    let (mut files, mut strangers, mut below) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(folder) = open_folders(root, path.split('/'))? {
        for name in durable::names(&folder)? {
            let name = name?;
            let text = one_line(&name.to_string_lossy(), usize::MAX);
            let is_text = name.to_str().is_ok_and(|name| name == text);
            match rustix::fs::statat(&folder, &*name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .map(|stat| durable::kind(&stat))
            {
                Ok(FileType::RegularFile) => files.push(text),
                Ok(FileType::Directory) if is_text && path.split('/').count() < DEEPEST => {
                    below.push(format!("{path}/{text}"));
                }
                Ok(kind) => strangers.push((text, durable::in_words(kind))),
                // Gone since: a writer may have put a sidecar in the place of another.
                Err(Errno::NOENT) => {}
                Err(refused) => return Err(refused.into()),
            }
        }
    }
    files.sort();
    strangers.sort();
    below.sort();
    let listing = Listing {
        folder: path.to_owned(),
        files,
        strangers,
    };
    Ok((listing, below))
}

/// Opens folder after folder; `None` where one is missing, or is no folder.
fn open_folders<'a>(root: &File, names: impl Iterator<Item = &'a str>) -> io::Result<Option<File>> {
    let mut at = root.try_clone()?;
    for name in names {
        at = match durable::open_folder(&at, name) {
            Ok(folder) => folder,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound || durable::is_no_folder(&missing) => {
                return Ok(None);
            }
            Err(refused) => return Err(refused),
        };
    }
    Ok(Some(at))
}

fn examine(root: &File, expected: &Expected, pace: &ReadPace) -> Result<Reread, StoreError> {
    let key = &expected.key;
    let folder = match open_folders(root, key.folders()) {
        Ok(Some(folder)) => folder,
        Ok(None) => return Ok(Reread::Unsound(missing("its folder is not there"))),
        Err(refused) => return unreadable(key, refused),
    };
    let body = match durable::standing(&folder, &key.file_name()) {
        Ok(Standing::File(file, _)) => file,
        Ok(Standing::Nothing) => return Ok(Reread::Unsound(missing("no file has its name"))),
        Ok(Standing::Other(found)) => return Ok(Reread::Unsound(damaged(&format!("in its place is {found}")))),
        Err(refused) => return unreadable(key, refused),
    };
    match reread::hash(&body, pace) {
        Ok(None) => Ok(Reread::Stopped),
        Ok(Some((sha256, size_bytes))) if size_bytes != expected.size_bytes => Ok(Reread::Unsound(damaged(&format!(
            "{size_bytes} bytes instead of {}: SHA-256 {sha256}",
            expected.size_bytes
        )))),
        Ok(Some((sha256, _))) if sha256 != expected.sha256 => {
            Ok(Reread::Unsound(damaged(&format!("other bytes: SHA-256 {sha256}"))))
        }
        Ok(Some(_)) => Ok(examine_sidecar(&folder, expected)?.map_or(Reread::Sound, Reread::Unsound)),
        Err(refused) => unreadable(key, refused),
    }
}

fn examine_sidecar(folder: &File, expected: &Expected) -> Result<Option<Finding>, StoreError> {
    let key = &expected.key;
    let read = match durable::standing(folder, &key.sidecar_name()) {
        Ok(Standing::File(file, _)) => read_sidecar(&file),
        Ok(Standing::Nothing) => Ok(Err("it is missing".to_owned())),
        Ok(Standing::Other(found)) => Ok(Err(format!("in its place is {found}"))),
        Err(refused) => Err(refused),
    };
    let why = match read {
        Ok(Ok(sidecar)) => {
            let names_it = sidecar.workspace == key.recording().workspace
                && sidecar.recording_id() == Some(key.recording().id)
                && (sidecar.sha256, sidecar.size_bytes) == (expected.sha256, expected.size_bytes);
            if names_it {
                return Ok(None);
            }
            "it describes another body".to_owned()
        }
        Ok(Err(why)) => why,
        Err(refused) if is_ours(&refused) => return Err(StoreError::local("read", sidecar_path(key), refused)),
        Err(refused) => format!("it cannot be read: {refused}"),
    };
    Ok(Some(Finding::new(FindingKind::Sidecar, why)))
}

fn missing(why: &str) -> Finding {
    Finding::new(FindingKind::Missing, why)
}

fn damaged(why: &str) -> Finding {
    Finding::new(FindingKind::Damaged, why)
}

fn unreadable(key: &StoreKey, refused: io::Error) -> Result<Reread, StoreError> {
    if is_ours(&refused) {
        return Err(StoreError::local("re-read", key.to_string(), refused));
    }
    Ok(Reread::Unsound(Finding::new(
        FindingKind::Unreadable,
        refused.to_string(),
    )))
}

/// Whether an error says that this process lacks something, and nothing about the file.
fn is_ours(refused: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(refused),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)
    )
}
