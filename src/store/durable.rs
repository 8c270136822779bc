//! Every creation, rename, removal and sync of the archive, each one name below an open folder.
//!
//! No function here follows a link in the last part of a name, and no name has more than one part, so that nothing
//! planted in the archive leads out of it. Must not know: what the files mean.

use std::ffi::CStr;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

/// The permission bits of what we make, whatever the umask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modes {
    pub(super) file: Mode,
    pub(super) folder: Mode,
}

impl Modes {
    pub(super) fn new(group_readable: bool) -> Self {
        let (file, folder) = if group_readable { (0o640, 0o750) } else { (0o600, 0o700) };
        Self {
            file: Mode::from_raw_mode(file),
            folder: Mode::from_raw_mode(folder),
        }
    }
}

/// What stands at a name.
#[derive(Debug)]
pub(super) enum Standing {
    Nothing,
    /// A regular file with one name, open for reading.
    File(File, Stat),
    /// Something that we did not put there, in words.
    Other(&'static str),
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens a folder. A link or anything else that is no folder is `ENOTDIR` or `ELOOP`.
pub(super) fn open_folder(parent: &File, name: &str) -> io::Result<File> {
    Ok(rustix::fs::openat(parent, name, FOLDER, Mode::empty())?.into())
}

/// Opens a folder below another by its names, in one step; `None` where the kernel cannot do that. No link on the way is
/// followed: it is `ELOOP`.
pub(super) fn open_below(parent: &File, path: &str) -> Option<io::Result<File>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(parent, path, FOLDER, Mode::empty(), resolve) {
        // Older kernels, and sandboxes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => None,
        opened => Some(opened.map(File::from).map_err(io::Error::from)),
    }
}

/// Opens a folder by its resolved path.
pub(super) fn open_resolved(path: &Path) -> io::Result<File> {
    Ok(rustix::fs::open(path, FOLDER, Mode::empty())?.into())
}

/// Opens a folder and makes it before where it is missing; says whether it did.
pub(super) fn make_folder(parent: &File, name: &str, mode: Mode) -> io::Result<(File, bool)> {
    let is_new = match rustix::fs::mkdirat(parent, name, mode) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        // A read-only or full file system may say so before it says that the folder is there.
        Err(refused) => match open_folder(parent, name) {
            Ok(_) => false,
            Err(_) => return Err(refused.into()),
        },
    };
    let folder = open_folder(parent, name)?;
    if is_new {
        rustix::fs::fchmod(&folder, mode)?;
    }
    Ok((folder, is_new))
}

/// Makes a folder with all its missing parents, each durable.
pub(super) fn make_folders(path: &Path, mode: Mode) -> io::Result<()> {
    let mut missing: Vec<PathBuf> = Vec::new();
    let mut at = std::path::absolute(path)?;
    while !at.try_exists()? {
        missing.push(at.clone());
        if !at.pop() {
            break;
        }
    }
    for folder in missing.iter().rev() {
        match DirBuilder::new().mode(mode.as_raw_mode()).create(folder) {
            Ok(()) => rustix::fs::fchmod(open_resolved(folder)?, mode)?,
            Err(refused) if refused.kind() == io::ErrorKind::AlreadyExists => {}
            Err(refused) => return Err(refused),
        }
        if let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

/// Makes a file that did not exist.
pub(super) fn create_file(folder: &File, name: &str, mode: Mode) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: File = rustix::fs::openat(folder, name, flags, mode)?.into();
    if let Err(refused) = rustix::fs::fchmod(&file, mode) {
        let _ = remove(folder, name);
        return Err(refused.into());
    }
    Ok(file)
}

/// Opens a file for reading and writing, and makes it where it is missing. The caller checks what was opened.
pub(super) fn open_or_create_file(folder: &File, name: &str, mode: Mode) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, mode)?.into())
}

/// What stands in the place of a file of ours, in words, where that is no regular file with one name.
pub(super) fn no_file_of_ours(stat: &Stat) -> Option<&'static str> {
    match kind(stat) {
        FileType::RegularFile if stat.st_nlink > 1 => Some("a file with several names (hard links)"),
        FileType::RegularFile => None,
        other => Some(in_words(other)),
    }
}

/// Looks at a name. Neither follows what stands there nor waits for it.
pub(super) fn standing(folder: &File, name: &str) -> io::Result<Standing> {
    match stat(folder, name)? {
        None => return Ok(Standing::Nothing),
        Some(stat) if kind(&stat) == FileType::RegularFile => {}
        Some(stat) => return Ok(Standing::Other(in_words(kind(&stat)))),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(Errno::NOENT) => return Ok(Standing::Nothing),
        Err(Errno::LOOP) => return Ok(Standing::Other(in_words(FileType::Symlink))),
        Err(refused) => return Err(refused.into()),
    };
    let stat = rustix::fs::fstat(&file)?;
    Ok(match no_file_of_ours(&stat) {
        None => Standing::File(file, stat),
        Some(other) => Standing::Other(other),
    })
}

/// The kind of thing at a name, if there is one.
pub(super) fn stat(folder: &File, name: &str) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(refused) => Err(refused.into()),
    }
}

/// Gives a file its final name in one step, or fails with `EEXIST` where the name is taken.
pub(super) fn publish_no_replace(from: &File, name: &str, to: &File, final_name: &str) -> io::Result<()> {
    match rustix::fs::renameat_with(from, name, to, final_name, RenameFlags::NOREPLACE) {
        // Not every file system knows this flag; a second link is as strict about names.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            rustix::fs::linkat(from, name, to, final_name, AtFlags::empty())?;
            remove(from, name)
        }
        other => Ok(other?),
    }
}

/// Puts a file in the place of another in one step.
pub(super) fn replace(from: &File, name: &str, to: &File, final_name: &str) -> io::Result<()> {
    Ok(rustix::fs::renameat(from, name, to, final_name)?)
}

/// Removes a name that is no folder.
pub(super) fn remove(folder: &File, name: &str) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?)
}

/// Removes every regular file in a folder; says how many there were. Leaves everything else where it is, and says what
/// one of it is.
pub(super) fn clear_files(folder: &File) -> io::Result<(u64, Option<&'static str>)> {
    let (mut cleared, mut foreign) = (0, None);
    for name in names(folder)? {
        let name = name?;
        let found = rustix::fs::statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
        if kind(&found) == FileType::RegularFile {
            rustix::fs::unlinkat(folder, &*name, AtFlags::empty())?;
            cleared += 1;
        } else {
            foreign = Some(in_words(kind(&found)));
        }
    }
    Ok((cleared, foreign))
}

/// The names in a folder, as they come.
pub(super) fn names(folder: &File) -> io::Result<impl Iterator<Item = io::Result<Box<CStr>>>> {
    Ok(Dir::read_from(folder)?.filter_map(|entry| match entry {
        Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => None,
        Ok(entry) => Some(Ok(entry.file_name().into())),
        Err(refused) => Some(Err(refused.into())),
    }))
}

/// Whether a regular file lies anywhere below a folder; stops at the first. What cannot be looked into may hold one.
pub(super) fn holds_a_file(folder: &File) -> io::Result<bool> {
    for name in names(folder)? {
        let name = name?;
        match kind(&rustix::fs::statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW)?) {
            FileType::RegularFile => return Ok(true),
            FileType::Directory => {
                let holds = rustix::fs::openat(folder, &*name, FOLDER, Mode::empty())
                    .map_err(io::Error::from)
                    .and_then(|below| holds_a_file(&below.into()));
                if holds.unwrap_or(true) {
                    return Ok(true);
                }
            }
            _ => {}
        }
    }
    Ok(false)
}

/// Bytes of free space that this user may take.
pub(super) fn free_bytes(folder: &File) -> io::Result<u64> {
    let space = rustix::fs::fstatvfs(folder)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Whether an error says that something which is no folder stands in a folder's place.
pub(super) fn is_no_folder(refused: &io::Error) -> bool {
    matches!(Errno::from_io_error(refused), Some(Errno::NOTDIR | Errno::LOOP))
}

/// A name of 128 random bits.
pub(super) fn random_name() -> io::Result<String> {
    let mut random = [0_u8; 16];
    let filled = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    if filled != random.len() {
        return Err(io::Error::other("the system gave too few random bytes"));
    }
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

/// The kind of file a stat tells of.
pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// A kind of file in words.
pub(super) fn in_words(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown kind",
    }
}

/// Makes, writes, syncs, renames, links and removes a file, and syncs the folder. That a file system knows no links is no
/// fault, where it can rename without replacing.
pub(super) fn try_folder(folder: &File) -> io::Result<()> {
    let mut random = [0_u8; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let name = format!(".birdkeep-check-{:016x}", u64::from_ne_bytes(random));
    let renamed = format!("{name}-renamed");
    let mut file = create_file(folder, &name, Mode::from_raw_mode(0o600))?;
    let tried = io::Write::write_all(&mut file, b"birdkeep")
        .and_then(|()| file.sync_all())
        .and_then(|()| replace(folder, &name, folder, &renamed))
        .and_then(|()| try_names(folder, &renamed, &name))
        .and_then(|()| folder.sync_all());
    // One of the two names is taken, or both, whatever failed.
    let removed = remove(folder, &renamed);
    let also = remove(folder, &name);
    tried.and(removed.or(also))
}

/// Whether a file can be given a name that is free, and no name that is taken.
fn try_names(folder: &File, name: &str, free: &str) -> io::Result<()> {
    publish_no_replace(folder, name, folder, free)?;
    drop(create_file(folder, name, Mode::from_raw_mode(0o600))?);
    match publish_no_replace(folder, name, folder, free) {
        Err(refused) if refused.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(refused) => Err(refused),
        Ok(()) => Err(io::Error::other(
            "a rename that may not replace anything replaced a file",
        )),
    }
}
