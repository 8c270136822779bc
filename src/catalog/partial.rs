//! A file that is being made beside the place it will have: private from its first moment, named only when it is whole.
//!
//! It is removed when it is dropped unnamed. Must not know: what is in it.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::RenameFlags;
use rustix::io::Errno;

use super::preflight::beside;

/// The file, under the name it is made as.
pub(super) struct Partial {
    /// Held while SQLite writes by the name: it tells whether that is still the same file, and is what is synced.
    file: File,
    path: PathBuf,
    named: bool,
}

impl Partial {
    /// Makes an empty file `.<name>.partial-<random>` in the folder of `destination`. Follows no link.
    pub(super) fn create(destination: &Path, mode: u32) -> io::Result<Self> {
        let name = destination
            .file_name()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".partial-{:016x}", fastrand::u64(..)));
        let path = destination.with_file_name(hidden);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        let partial = Self {
            file,
            path,
            named: false,
        };
        // What the umask took away, or the group is to have.
        partial.file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(partial)
    }

    /// The name it is made as.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs it, gives it its name unless that is taken, and syncs the folder. Nothing is left where one of these fails.
    pub(super) fn publish(mut self, destination: &Path) -> io::Result<u64> {
        let (own, standing) = (self.file.metadata()?, fs::symlink_metadata(&self.path)?);
        if (own.dev(), own.ino(), own.nlink()) != (standing.dev(), standing.ino(), 1) {
            return Err(io::Error::other("somebody put another file in the place of the copy"));
        }
        self.file.sync_all()?;
        rename_no_replace(&self.path, destination)?;
        self.named = true;
        let folder = destination.parent().unwrap_or(Path::new("/"));
        if let Err(refused) = File::open(folder).and_then(|folder| folder.sync_all()) {
            // A name that the next power cut may take away again is no backup.
            drop(fs::remove_file(destination));
            return Err(refused);
        }
        Ok(own.len())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.named {
            drop(fs::remove_file(&self.path));
        }
        drop(fs::remove_file(beside(&self.path, "-journal")));
    }
}

fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows this flag; a second link is as strict about names.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty())?;
            fs::remove_file(from)
        }
        other => Ok(other?),
    }
}
