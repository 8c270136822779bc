//! Whether a folder is one that only we, and root, can change: otherwise no promise about what lies in it holds.
//!
//! Must not know: what lies in it.

use std::fs::File;
use std::io;
use std::path::Path;

use super::error::OpenError;

const OTHERS_MAY_WRITE: u32 = 0o002;
const GROUP_MAY_WRITE: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// Refuses a folder that everybody may write to, or that belongs to somebody who is neither us nor root.
pub(super) fn check_folder(folder: &File, dir: &Path) -> Result<(), OpenError> {
    let found = rustix::fs::fstat(folder).map_err(|refused| look(dir, refused.into()))?;
    let (mode, owner) = (found.st_mode & 0o7777, found.st_uid);
    if mode & OTHERS_MAY_WRITE != 0 {
        return Err(OpenError::WorldWritable {
            dir: dir.to_owned(),
            mode,
        });
    }
    let us = rustix::process::geteuid().as_raw();
    if owner != us && owner != 0 {
        return Err(OpenError::OtherOwner {
            dir: dir.to_owned(),
            owner,
            us,
        });
    }
    Ok(())
}

/// Refuses a place that everybody could put another in the place of: one of the folders above it lets everybody
/// rename what is in it. `dir` is resolved.
pub(super) fn check_above(dir: &Path) -> Result<(), OpenError> {
    for above in dir.ancestors().skip(1) {
        let found = rustix::fs::stat(above).map_err(|refused| look(above, refused.into()))?;
        let mode = found.st_mode & 0o7777;
        if mode & OTHERS_MAY_WRITE != 0 && mode & STICKY == 0 {
            return Err(OpenError::ReplaceableByAll {
                dir: dir.to_owned(),
                above: above.to_owned(),
                mode,
            });
        }
    }
    Ok(())
}

/// What is allowed and should be known: members of the folder's group may change what lies in it.
pub(super) fn remark(folder: &File, dir: &Path) -> io::Result<Option<String>> {
    let mode = rustix::fs::fstat(folder)?.st_mode & 0o7777;
    let dir = dir.display();
    Ok((mode & GROUP_MAY_WRITE != 0).then(|| {
        format!("{dir} can be written by its group (mode {mode:04o}): run `chmod g-w` on it unless that is meant")
    }))
}

fn look(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        op: "look at",
        path: path.to_owned(),
        source,
    }
}
