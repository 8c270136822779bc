//! What can be seen of a place without changing it: its file system, its room, who writes it, what we may write in it.
//!
//! Must not know: which of it is good.

use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::path::Path;

use rustix::fs::Access;
use rustix::fs::AtFlags;
use rustix::fs::FsWord;
use rustix::fs::StatVfsMountFlags;

use super::durable;
use super::durable::Standing;
use super::error::OpenError;
use super::lock;
use super::marker;
use super::root;
use super::root::STAGING;
use crate::domain::key::RECORDINGS;

/// What keeps the bytes of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystemKind {
    /// A disk of this machine, as far as the kernel tells.
    Local,
    /// Another machine's, over a network.
    Network,
    /// A program's, through FUSE: it may be local or not.
    Program,
    /// The memory of this machine: a restart empties it.
    Memory,
    /// The writable layer of a container: it goes with the container.
    Layer,
}

/// The file system of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Its name, or its number where we have no name for it.
    pub name: String,
    /// What keeps the bytes.
    pub kind: FileSystemKind,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Free bytes that this user may take.
    pub free_bytes: u64,
    /// Files that this user may still make; `None` where the file system does not count them.
    pub free_files: Option<u64>,
}

/// Who writes an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody, now.
    Nobody,
    /// This process, in words.
    Process(String),
    /// The lock cannot be looked at, and why.
    Unknown(String),
}

/// What can be seen of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceFacts {
    /// Its file system.
    pub file_system: FileSystem,
    /// Who writes the archive in it.
    pub holder: Holder,
    /// Parts of the archive that lie on another mount than the place itself.
    pub elsewhere: Vec<&'static str>,
    /// Parts of the archive that this user may not write in.
    pub closed: Vec<&'static str>,
    /// Whether a recording lies in it, or may lie where this user cannot look.
    pub has_recordings: bool,
}

/// Looks at a place. Changes nothing; the lock is taken for a moment, shared, to see whether it is held.
pub(super) fn look(dir: &Path) -> Result<PlaceFacts, OpenError> {
    let io = |source| OpenError::Io {
        op: "look at",
        path: dir.to_owned(),
        source,
    };
    let folder = root::open_to_look(&dir.canonicalize().map_err(io)?)?;
    let own = root::mount(&folder).map_err(io)?;
    let (mut elsewhere, mut closed, mut has_recordings) = (Vec::new(), Vec::new(), false);
    for part in [STAGING, RECORDINGS] {
        match durable::open_folder(&folder, part) {
            Ok(opened) => {
                if root::mount(&opened).map_err(io)? != own {
                    elsewhere.push(part);
                }
                has_recordings |= part == RECORDINGS && durable::holds_a_file(&opened).unwrap_or(true);
            }
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => continue,
            Err(_) => has_recordings |= part == RECORDINGS,
        }
        let rights = Access::WRITE_OK | Access::EXEC_OK;
        if rustix::fs::accessat(&folder, part, rights, AtFlags::EACCESS).is_err() {
            closed.push(part);
        }
    }
    Ok(PlaceFacts {
        file_system: file_system(&folder).map_err(io)?,
        holder: holder(&folder),
        elsewhere,
        closed,
        has_recordings,
    })
}

/// Whether this user may write a file; true where there is none.
pub(super) fn may_write(path: &Path) -> bool {
    let rights = Access::READ_OK | Access::WRITE_OK;
    match rustix::fs::accessat(rustix::fs::CWD, path, rights, AtFlags::EACCESS) {
        Ok(()) => true,
        Err(refused) => refused == rustix::io::Errno::NOENT,
    }
}

fn holder(folder: &File) -> Holder {
    let file = match durable::standing(folder, marker::LOCK) {
        Ok(Standing::Nothing) => return Holder::Nobody,
        Ok(Standing::File(file, _)) => file,
        Ok(Standing::Other(found)) => return Holder::Unknown(format!("birdkeep.lock is {found}")),
        Err(refused) => return Holder::Unknown(format!("birdkeep.lock: {refused}")),
    };
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = file.unlock();
            Holder::Nobody
        }
        Err(TryLockError::WouldBlock) => Holder::Process(lock::read_holder(&file)),
        Err(TryLockError::Error(refused)) => Holder::Unknown(format!("birdkeep.lock: {refused}")),
    }
}

fn file_system(folder: &File) -> io::Result<FileSystem> {
    let (name, kind) = named(rustix::fs::fstatfs(folder)?.f_type);
    let space = rustix::fs::fstatvfs(folder)?;
    Ok(FileSystem {
        name,
        kind,
        read_only: space.f_flag.contains(StatVfsMountFlags::RDONLY),
        free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
        free_files: (space.f_files > 0).then_some(space.f_favail),
    })
}

/// The name and kind of a file system by its number (statfs(2), linux/magic.h).
fn named(number: FsWord) -> (String, FileSystemKind) {
    use FileSystemKind::{Layer, Local, Memory, Network, Program};
    // Of 32 bits; the type that carries them may extend the sign.
    let (name, kind) = match number & 0xffff_ffff {
        0x0000_ef53 => ("ext4", Local),
        0x5846_5342 => ("xfs", Local),
        0x9123_683e => ("btrfs", Local),
        0x2fc1_2fc1 => ("zfs", Local),
        0xf2f5_2010 => ("f2fs", Local),
        0xca45_1a4e => ("bcachefs", Local),
        0x0102_1994 => ("tmpfs", Memory),
        0x8584_58f6 => ("ramfs", Memory),
        0x794c_7630 => ("overlayfs", Layer),
        0x0000_6969 => ("nfs", Network),
        0xff53_4d42 => ("cifs", Network),
        0xfe53_4d42 => ("smb2", Network),
        0x0000_517b => ("smb", Network),
        0x0102_1997 => ("9p", Network),
        0x00c3_6400 => ("ceph", Network),
        0x5346_414f | 0x6b41_4653 => ("afs", Network),
        0x7375_7245 => ("coda", Network),
        0x0bd0_0bd0 => ("lustre", Network),
        0x4750_4653 => ("gpfs", Network),
        0x0116_1970 => ("gfs2", Network),
        0x7461_636f => ("ocfs2", Network),
        0x6573_5546 => ("fuse", Program),
        0x786f_4256 => ("vboxsf", Program),
        other => return (format!("type {other:#x}"), Local),
    };
    (name.to_owned(), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_told_apart_by_what_keeps_the_bytes() {
        for (number, name, kind) in [
            (0xef53, "ext4", FileSystemKind::Local),
            (0x6969, "nfs", FileSystemKind::Network),
            (0xff53_4d42, "cifs", FileSystemKind::Network),
            (0xfe53_4d42, "smb2", FileSystemKind::Network),
            (0x0102_1997, "9p", FileSystemKind::Network),
            (0x00c3_6400, "ceph", FileSystemKind::Network),
            (0x6573_5546, "fuse", FileSystemKind::Program),
            (0x0102_1994, "tmpfs", FileSystemKind::Memory),
            (0x1234, "type 0x1234", FileSystemKind::Local),
        ] {
            assert_eq!(named(number), (name.to_owned(), kind));
        }
        // As a machine of 32 bits gives it.
        assert_eq!(
            named(FsWord::from(0xff53_4d42_u32.cast_signed())).1,
            FileSystemKind::Network
        );
    }
}
