//! Files that the configuration names: where they are looked up, and their bytes up to a limit.
//!
//! Must not know: what is in them.

use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use secrecy::zeroize::Zeroizing;

use super::sources::Sources;

/// What a pipe or a file of the kernel may hold though its length is told as none.
const SMALL_FILE_BYTES: usize = 8 * 1024;

/// Where relative names are looked up: among systemd's credentials where there are any, else beside the configuration
/// file, else in the current directory.
pub(super) fn folder(sources: &Sources) -> &Path {
    let beside_file = || sources.file.as_ref().and_then(|file| file.path.parent());
    sources
        .credentials_dir
        .as_deref()
        .or_else(beside_file)
        .unwrap_or(Path::new(""))
}

/// The absolute path of a named file, or what is wrong with the name.
pub(super) fn locate(name: &str, sources: &Sources) -> Result<PathBuf, String> {
    if name.trim().is_empty() || name.contains('\0') {
        return Err("expected the path of a file".to_owned());
    }
    sources
        .absolute(&folder(sources).join(name))
        .ok_or_else(|| "is relative, and there is no current directory; make it absolute".to_owned())
}

/// The bytes of a file, wiped when they are dropped, and its mode; one byte more than `limit_bytes` where there are
/// more.
pub(super) fn read(path: &Path, limit_bytes: u64) -> io::Result<(Zeroizing<Vec<u8>>, u32)> {
    read_open(File::open(path)?, limit_bytes)
}

/// As [`read`], for a file that was read before; `None` for what gives its bytes only once. Waits for no writer.
pub(super) fn read_again(path: &Path, limit_bytes: u64) -> io::Result<Option<(Zeroizing<Vec<u8>>, u32)>> {
    let no_waiting = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | no_waiting, Mode::empty())?);
    if file.metadata()?.is_file() {
        read_open(file, limit_bytes).map(Some)
    } else {
        Ok(None)
    }
}

fn read_open(file: File, limit_bytes: u64) -> io::Result<(Zeroizing<Vec<u8>>, u32)> {
    let found = file.metadata()?;
    let mode = found.permissions().mode();
    // With room for all from the start: a vector that moves leaves what it held behind.
    let room = usize::try_from(found.len().min(limit_bytes))
        .unwrap_or(0)
        .max(SMALL_FILE_BYTES);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + 1));
    file.take(limit_bytes + 1).read_to_end(&mut bytes)?;
    Ok((bytes, mode))
}
